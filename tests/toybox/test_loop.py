"""What the training loops write, is whole and one's own."""

import pytest
import torch
from safetensors.torch import load_file

from daamkit.toybox.training import loop


def number(place):
    return int(torch.load(place, weights_only=True)["number"])


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def test_two_that_write_one_place_at_once_do_not_meet(tmp_path, monkeypatch) -> None:
    place, real, others = tmp_path / "part.pt", torch.save, [2]

    def slow(state, part):
        real(state, part)
        if others:
            loop.write({"number": others.pop()}, place)  # meanwhile, from another process
            loop.write_tensors({"a": torch.ones(1)}, place.with_suffix(".safetensors"))

    monkeypatch.setattr(torch, "save", slow)
    loop.write({"number": 1}, place)
    assert number(place) == 1
    assert load_file(tmp_path / "part.safetensors")["a"].item() == 1
    assert names(tmp_path) == ["part.pt", "part.safetensors"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_fails_leaves_what_was_there(tmp_path, monkeypatch, error) -> None:
    place = tmp_path / "part.pt"
    loop.write({"number": 1}, place)

    def full(state, part):
        part.write_bytes(b"half")
        raise error

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(type(error)):
        loop.write({"number": 2}, place)
    assert number(place) == 1 and names(tmp_path) == ["part.pt"]


def test_a_link_to_a_checkpoint_stays_one(tmp_path) -> None:
    (tmp_path / "disk").mkdir()
    place = tmp_path / "part.pt"
    place.symlink_to(tmp_path / "disk" / "part.pt")
    loop.write({"number": 3}, place)
    assert place.is_symlink() and number(tmp_path / "disk" / "part.pt") == 3
