"""A model that daamkit has never seen becomes readable by one class outside the package."""

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DiffusionPipeline
from diffusers.pipelines.pipeline_utils import ImagePipelineOutput
from torch import nn
from torch.nn import functional as F
from transformers import CLIPTextModel

import daamkit
from daamkit.extend import (
    DaamkitError,
    Encoder,
    Family,
    Layout,
    Reading,
    Site,
    Span,
    Tap,
    attach,
    families,
)
from tests import tiny


class Block(nn.Module):
    """Joint attention of [text, image]."""

    def __init__(self, width: int = 32, heads: int = 4) -> None:
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, tokens):
        parts = self.qkv(tokens).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return tokens + self.out(F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2))


class Painter(nn.Module):
    """Lists of images and of texts; each text is padded to 32 places with a learned one."""

    def __init__(self) -> None:
        super().__init__()
        self.put, self.take = nn.Linear(4, 32), nn.Linear(32, 4)
        self.blocks, self.pad = nn.ModuleList([Block(), Block()]), nn.Parameter(torch.randn(32))

    def forward(self, images, time, texts):
        rows = []
        for image, text in zip(images, texts, strict=True):
            pads = self.pad.expand(32 - len(text), -1)
            rows.append(torch.cat([text, pads, self.put(image.flatten(1).T)]))
        tokens = torch.stack(rows) + time / 1000
        for block in self.blocks:
            tokens = block(tokens)
        shape = images[0].shape
        return [self.take(row[32:]).T.reshape(shape) for row in tokens]


class Studio(DiffusionPipeline):
    """The conditional half of the batch comes first."""

    def __init__(self, painter, scheduler, text_encoder, tokenizer):
        super().__init__()
        self.register_modules(
            painter=painter, scheduler=scheduler, text_encoder=text_encoder, tokenizer=tokenizer
        )

    def embed(self, prompt):
        ids = self.tokenizer(prompt, return_tensors="pt").input_ids
        return self.text_encoder(ids).last_hidden_state[0]

    @torch.no_grad()
    def __call__(self, prompt, num_inference_steps=2, generator=None, output_type="np"):
        prompts = [prompt] if isinstance(prompt, str) else prompt
        texts = [self.embed(text) for text in prompts] + [self.embed("")] * len(prompts)
        x = torch.randn(len(prompts), 4, 6, 8, generator=generator)
        self.scheduler.set_timesteps(num_inference_steps)
        for time in self.scheduler.timesteps:
            with_text, without = torch.stack(self.painter([*x, *x], time, texts)).chunk(2)
            x = self.scheduler.step(without + 5 * (with_text - without), time, x)[0]
        return ImagePipelineOutput(images=x.permute(0, 2, 3, 1)[..., :3].sigmoid().numpy())


class Painters(Family):
    """Sixty lines of model, this much of it for daamkit."""

    image = "images"

    def matches(self, pipe):
        return isinstance(getattr(pipe, "painter", None), Painter)

    def denoisers(self, pipe):
        return {"painter": pipe.painter}

    def sites(self, denoiser):
        return [
            Site(f"blocks.{i}", "joint", "block", i, block.heads, block)
            for i, block in enumerate(denoiser.blocks)
        ]

    def read(self, call, denoiser, inputs, earlier):
        images = torch.stack(inputs["images"])
        rows = call.rows(["cond", "uncond"], len(images))
        return Reading(images, inputs["time"], rows, images.shape[-2:], (inputs["texts"],))

    def write(self, inputs, noisy):
        return inputs | {"images": list(noisy)}

    def select(self, now, rows):
        lists = {name: [now.inputs[name][row] for row in rows] for name in ("images", "texts")}
        return now.inputs | lists

    def predicted(self, now, output):
        return torch.stack(output)

    def layout(self, site, now, queries, keys, nth):
        text = [(Span("text_encoder", 0, len(own)),) for own in now.inputs["texts"]]
        return Layout(now.grid, slice(32, queries), tuple(text))

    def encoders(self, pipe):
        return [Encoder("text_encoder", pipe.tokenizer, pipe.text_encoder)]


@pytest.fixture
def studio():
    torch.manual_seed(0)
    pipe = Studio(
        Painter().eval(),
        DDIMScheduler(),
        CLIPTextModel(tiny.text_config()).eval(),
        tiny.tokenizer(),
    )
    pipe.set_progress_bar_config(disable=True)
    families.register("painters")(Painters)
    yield pipe
    families._registered.pop("painters")


def draw(pipe, prompt="a red cat"):
    return pipe(prompt, generator=torch.Generator().manual_seed(0)).images


def test_an_unknown_model_is_refused(studio):
    families._registered.pop("painters")
    try:
        with pytest.raises(DaamkitError, match=r"family that daamkit reads.*got Studio"):
            daamkit.trace(studio).__enter__()
    finally:
        families.register("painters")(Painters)


def test_it_is_traced(studio):
    class Whole(Tap):
        total = 0

        def observe(self, attention):
            self.total = self.total + attention.probabilities("cond")[1, :, 32:, :8].sum(0)

    plain, tap, prompts = (
        draw(studio, ["a cat", "a red cat and a dog"]),
        Whole(),
        ["a cat", "a red cat and a dog"],
    )
    with daamkit.trace(studio, keep=()) as tracer, attach(studio, tap):
        assert np.array_equal(plain, draw(studio, prompts))
    run = tracer.runs[1]
    assert [word.text for word in run.maps.prompt.words()] == ["a", "red", "cat", "and", "a", "dog"]
    (layer,) = run.maps.layers.values()
    assert layer.grid == (6, 8) and layer.group == "block" and layer.heads == 8
    assert torch.allclose(layer.values, tap.total.T.reshape(8, 6, 8), atol=1e-5)
    assert run.maps.word("red").word.columns == (2,)
    assert 0 < run.maps.mass.sum() < 1  # the rest looks at the image and at the padding
    assert tracer.runs[0].maps.prompt.columns == 4


@pytest.mark.parametrize("rows", [
    {"cond": slice(0, 1)},
    {"cond": slice(0, 1), "uncond": slice(0, 1)},
    {"cond": slice(0, 2)},
])  # fmt: skip
def test_rows_that_are_in_no_branch_or_in_two_are_refused(studio, monkeypatch, rows):
    def read(self, call, denoiser, inputs, earlier):
        images = torch.stack(inputs["images"])
        return Reading(images, inputs["time"], rows, images.shape[-2:], (inputs["texts"],))

    monkeypatch.setattr(Painters, "read", read)
    wanted = r"each of 2 batch rows in one branch, a row an image \(1\) in each"
    guiding = daamkit.guide(studio, daamkit.AttendAndExcite(["cat"]))
    with pytest.raises(DaamkitError, match=wanted), guiding:
        draw(studio)


@pytest.mark.parametrize("method", [
    daamkit.AttendAndExcite(["cat"], scale_factor=200.0),
    daamkit.DivideAndBind(["cat"], scale_factor=2000.0, pairs=[("cat", ["red"])]),
    daamkit.SynGen([("cat", ["red"])], scale_factor=200.0, max_iter_to_alter=2),
])  # fmt: skip
def test_it_is_guided(studio, method):
    plain = draw(studio)
    with daamkit.guide(studio, method) as guided:
        moved = draw(studio)
    assert not np.array_equal(plain, moved)
    losses = guided.table()["loss"]
    assert len(losses) == 2 and losses.notna().all()
    assert np.array_equal(plain, draw(studio))
    still = type(method)(**{**vars(method), "scale_factor": 0.0})
    with daamkit.guide(studio, still):
        assert np.array_equal(plain, draw(studio))


@pytest.mark.parametrize("renormalize", [True, False])
def test_it_is_edited(studio, renormalize):
    class Last(Tap):
        def edit(self, attention, output):
            self.attention, self.output = attention, output
            return output

    tap = Last()
    with daamkit.edit(studio, daamkit.Silence("cat", renormalize=renormalize)), attach(studio, tap):
        edited = draw(studio)
    assert not np.array_equal(edited, draw(studio))
    query, key, value = (
        t[0] for t in (tap.attention.query, tap.attention.key, tap.attention.value)
    )
    left = [k for k in range(key.shape[1]) if k != 3]
    scores = query @ key.mT * tap.attention.scale
    shares = scores[..., left].softmax(-1) if renormalize else scores.softmax(-1)[..., left]
    assert (tap.output[0] - shares @ value[:, left]).abs().max() < 1e-6
