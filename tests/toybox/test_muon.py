"""The optimizer of the trainings: orthogonal steps of matrices, AdamW's of all else."""

import copy

import numpy as np
import torch

from daamkit.toybox.training.muon import Muon, orthogonal


def test_singular_vectors_stay_and_values_become_one():
    given = torch.randn(3, 24, 96, generator=torch.Generator().manual_seed(0))
    made = orthogonal(given)
    left, values, right = torch.linalg.svd(given, full_matrices=False)
    seen = left.mT @ made @ right.mT  # diagonal where the singular vectors are the same
    diagonal = torch.diagonal(seen, dim1=1, dim2=2)
    assert (seen - torch.diag_embed(diagonal)).abs().max() < 1e-3
    assert diagonal.min() > 0.6 and diagonal.max() < 1.3
    assert values.max() / values.min() > 2  # they were not so before


def test_other_parameters_move_as_under_adamw():
    first, second = (torch.nn.Linear(4, 3) for _ in range(2))
    second.load_state_dict(first.state_dict())
    options = {"betas": (0.9, 0.99), "weight_decay": 1e-2}
    ours = Muon([first.weight], [first.bias], 1e-2, **options)
    plain = torch.optim.AdamW(second.parameters(), 1e-2, **options)
    for _ in range(3):
        for model, optimizer in ((first, ours), (second, plain)):
            optimizer.zero_grad()
            model(torch.ones(2, 4)).mean().backward()
            optimizer.step()
        second.weight.data.copy_(first.weight.data)
    np.testing.assert_array_equal(first.bias.detach(), second.bias.detach())


def test_a_matrix_and_its_transpose_take_transposed_steps():
    value = torch.randn(6, 20, generator=torch.Generator().manual_seed(1))
    gradient = torch.randn(6, 20, generator=torch.Generator().manual_seed(2))
    wide, tall = torch.nn.Parameter(value.clone()), torch.nn.Parameter(value.T.clone())
    optimizer = Muon([wide, tall], [], 1e-1, weight_decay=0.1)
    wide.grad, tall.grad = gradient.clone(), gradient.T.clone()
    optimizer.step()
    torch.testing.assert_close(wide.data, tall.data.T)
    length = (wide.data - value * 0.99).norm(dim=1) / 20**0.5  # AdamW's steps are about the rate
    assert (length < 0.03).all() and (length > 0.005).all()


def test_a_convolution_steps_as_its_matrix():
    value = torch.randn(6, 5, 3, 3, generator=torch.Generator().manual_seed(1))
    gradient = torch.randn(6, 5, 3, 3, generator=torch.Generator().manual_seed(2))
    kernel = torch.nn.Parameter(value.clone(memory_format=torch.channels_last))
    matrix = torch.nn.Parameter(value.flatten(1).clone())
    kernel.grad, matrix.grad = gradient.clone(), gradient.flatten(1).clone()
    Muon([kernel, matrix], [], 1e-1).step()
    torch.testing.assert_close(kernel.data.flatten(1), matrix.data)


def test_it_goes_on_from_what_was_kept():
    def run(model, optimizer, steps):
        for step in range(steps):
            optimizer.zero_grad()
            model(torch.full((2, 4), float(step))).square().mean().backward()
            optimizer.step()

    torch.manual_seed(0)
    model = torch.nn.Linear(4, 3)
    optimizer = Muon([model.weight], [model.bias], 1e-2)
    run(model, optimizer, 3)
    again = torch.nn.Linear(4, 3)
    again.load_state_dict(model.state_dict())
    other = Muon([again.weight], [again.bias], 1e-2)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    run(model, optimizer, 2)
    run(again, other, 2)
    torch.testing.assert_close(model.weight, again.weight, rtol=0, atol=0)
