"""What is true of every family, seen on its small pipeline."""

import functools
import math

import pytest
import torch

import daamkit
from daamkit import prompts
from daamkit.attention import families, hooks
from daamkit.tracing import extra
from tests.families import every
from tests.families.checks import Seen, exchanged, explicit
from tests.families.every import CASES, TWO, generate

pytestmark = [
    pytest.mark.filterwarnings("ignore:.FluxPosEmbed. is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The config attributes:UserWarning"),
]


@pytest.fixture(scope="module", params=CASES)
def case(request):
    return CASES[request.param]


@pytest.fixture(scope="module")
def pipe(case):
    return every.deaf(case.build())


@pytest.fixture(scope="module")
def batch(case, pipe):
    """Two prompts of different length, two images each, under guidance: untraced, and traced."""
    options = case.guided | ({case.images: 2} if case.images else {})
    seeds = range(4 if case.images else 2)
    plain, seen = generate(case, pipe, TWO, seeds, **options), Seen()
    keep, branches = ("step", "site", "head"), case.branches
    with hooks.attach(pipe, seen), daamkit.trace(pipe, keep=keep, branches=branches) as tracer:
        traced = generate(case, pipe, TWO, seeds, **options)
    return plain, traced, seen, tracer.runs


@pytest.fixture(scope="module")
def alone(case, pipe):
    """One prompt without guidance: untraced, and traced."""
    plain = generate(case, pipe, **case.alone)
    with daamkit.trace(pipe) as tracer:
        traced = generate(case, pipe, **case.alone)
    return plain, traced, tracer


def test_traced_is_untraced(case, batch, alone):
    assert torch.equal(*batch[:2]) and torch.equal(*alone[:2])
    assert len(batch[3]) == (4 if case.images else 2)


def test_probabilities_are_the_models_over_all_keys(case, pipe, batch):
    seen = batch[2]
    assert max(seen.error.values()) < 1e-5, seen.error
    wanted = {s.name for own in families.sites(pipe).values() for s in own if s.observable}
    assert wanted == {site for _, site in seen.attentions}
    for number, step in enumerate(seen.passes):
        ran = [site for at, site in seen.attentions if at == number]
        sites = sorted(step.sites, key=lambda site: site.order)
        assert ran == [site.name for site in sites if site.observable]
    assert {name for step in seen.passes for name in step.branches} == set(case.branches)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bfloat16", "float16"])
def test_half_precision_rounds_the_model_and_nothing_more(case, dtype):
    """The same picture; maps are float32 sums of the softmax of queries and keys as they are. The
    CPU's fused kernel has a faster exp there, of 20 bits: its log-sum-exp is some 1e-5 off."""
    pipe, seen = every.deaf(case.build()).to(dtype), Seen()
    plain = generate(case, pipe, **case.alone)
    with hooks.attach(pipe, seen), daamkit.trace(pipe, keep=("step", "site", "head")) as tracer:
        traced = generate(case, pipe, **case.alone)
    assert torch.equal(plain, traced)
    assert max(seen.error["softmax"], seen.error["sum"]) < 1e-5
    ran = [at for at, step in enumerate(seen.passes) if "cond" in step.branches]
    for layer in tracer.run.maps.layers.values():
        assert layer.values.dtype == torch.float32
        for index, number in enumerate(ran):
            if (attention := seen.attentions.get((number, layer.name))) is None:
                continue
            row = attention.branches["cond"]
            (spans,), (cells,) = attention.layout.text[row], attention.layout.cells_of(row)
            keys = sorted({k for s in spans for k in range(s.start, s.start + s.length)})
            wanted = explicit(attention)[row][0][:, cells][..., keys].sum(-1)
            kept = layer.values[index].sum(-3).flatten(1)
            assert (wanted - kept).abs().max() < 1e-4


def test_all_that_text_gets_has_a_name(case, batch):
    """Of each image and branch: its own row, its own tokens, padding and template together; each
    column is what an explicit softmax pays to the keys of its tokens."""
    *_, seen, runs = batch
    whole = functools.cache(lambda *place: explicit(seen.attentions[place]).float())
    for branch in case.branches:
        of_branch = [at for at, step in enumerate(seen.passes) if branch in step.branches]
        for sample, run in enumerate(runs):
            maps, read = run.branch(branch), prompts.texts(seen.passes[0].call, branch)[sample]
            assert maps.steps == len(of_branch) == 2
            for layer in maps.layers.values():
                for index, number in enumerate(of_branch):
                    if layer.ran is not None and index not in layer.ran:
                        assert not layer.values[index].any()
                        continue
                    attention = seen.attentions[number, layer.name]
                    assert (*[layer.frames] * bool(layer.frames), *layer.grid) == (
                        attention.layout.grid
                    )
                    spans = attention.layout.text[attention.branches[branch]][sample]
                    keys = {k for s in spans for k in range(s.start, s.start + s.length)}
                    given = attention.cells(branch)[sample][..., sorted(keys)].sum(-1)
                    kept = layer.values[index].sum(-3).flatten(1)
                    assert (given - kept).abs().max() < 2e-5
                    if attention.site.kind == "cross":
                        assert (kept - 1).abs().max() < 2e-5
                    row = attention.branches[branch].start + sample
                    (cells,) = attention.layout.cells_of(slice(row, row + 1))
                    wanted = of_columns(whole(number, layer.name)[row][:, cells], spans, read)
                    columns = layer.values[index].movedim(-3, 1).flatten(2).mT
                    assert (columns - wanted).abs().max() < 2e-5


def of_columns(shares, spans, read):
    """(heads, cells, keys) as (heads, cells, columns): a key is in one column, whatever encoders
    have it."""
    keys = {
        span.start + at: read.columns[span.encoder][span.first + at]
        for span in reversed(spans)
        for at in range(span.length)
    }
    found = shares.new_zeros(*shares.shape[:2], read.prompt.columns)
    return found.index_add(2, torch.tensor([*keys.values()]), shares[..., [*keys]])


def test_the_size_of_maps_is_told_before(case, alone):
    tracer, sides = alone[2], ("height", "width", "num_frames")
    height, width, frames = (case.call.get(name) for name in sides)
    told = tracer.bytes("a red cat", height=height, width=width, frames=frames, steps=2)
    kept = sum(layer.values.nbytes for layer in tracer.run.maps.layers.values())
    columns = tracer.run.maps.prompt.columns
    assert kept <= told <= kept * (columns + 1) / columns


def test_grids_are_not_square(case, pipe, batch):
    run = batch[3][0]
    height, width = run.maps.size
    assert batch[2].passes[0].grid == case.grid and case.grid[-1] != case.grid[-2]
    assert run.maps.word("cat").mask().shape == (*case.grid[:-2], height, width)
    family, frames = families.family_of(pipe), case.call.get("num_frames")
    told = family.grid(pipe, case.call["height"], case.call["width"], frames)
    assert told == case.grid and (height > width) == (case.grid[-2] > case.grid[-1])


def test_a_word_exchanged_moves_the_columns_called_so(case, pipe):
    """Encoders here mix no places: so these keys move, and no others of the text."""
    own, moved = exchanged(case, pipe)
    assert own and moved == own


def test_each_image_of_a_batch_has_the_maps_that_it_has_alone(case, pipe, batch):
    runs, last = batch[3], len(batch[3]) - 1
    alone = {key: v[1] if isinstance(v, list) else v for key, v in case.guided.items()}
    with daamkit.trace(pipe) as tracer:
        generate(case, pipe, TWO[1], last, **alone)
    assert [word.word.text for word in runs[0].maps.words()][:3] == ["a", "red", "cat"]
    assert [word.word.text for word in runs[last].maps.words()] == ["a", "dog"]
    pair = [run.maps.word("dog").values for run in (runs[last], tracer.run)]
    assert (pair[0] - pair[1]).abs().max() < 2e-3 * pair[1].max()
    if not case.own_masks:  # then the pipeline hides the words of some images from the model
        unread = runs[1].maps.prompt
        assert runs[1].prompt == TWO[0] and not unread.reads(0, len(unread.text))
        with pytest.raises(daamkit.DaamkitError, match="the model has not read .*car"):
            runs[1].maps.word("car")


def test_a_run_is_saved_and_opened(batch, tmp_path):
    run = batch[3][-1]
    again = daamkit.open(run.save(tmp_path / "run"))
    assert again.maps.prompt == run.maps.prompt and len(again.frames) == len(run.frames)
    assert torch.equal(again.maps.word("dog").values, run.maps.word("dog").values)
    assert again.table().equals(run.table())
    assert all(again.maps.layers[name].ran == layer.ran for name, layer in run.maps.layers.items())


def test_a_pipeline_is_opened_from_its_folder(pipe, tmp_path):
    pipe.save_pretrained(tmp_path)
    again = daamkit.load(tmp_path, low_cpu_mem_usage=False)
    assert type(again) is type(pipe)
    assert type(families.family_of(again)) is type(families.family_of(pipe))


def test_a_word_beyond_the_limit_is_not_read(case, pipe):
    text = "a red cat " * math.ceil(case.places / 3) + "and a fox"
    with daamkit.trace(pipe) as tracer:
        generate(case, pipe, text, num_inference_steps=1)
    assert tracer.run.maps.word("cat", 0).values.max() > 0
    with pytest.raises(daamkit.DaamkitError, match="has not read"):
        tracer.run.maps.word("fox")


def test_what_is_denoised_is_put_back_in_the_type_of_its_inputs(case, batch):
    """A scheduler's latents are float32 beside a model in bfloat16."""
    for now in batch[2].passes:
        family = now.family
        given = now.inputs[family.image]
        many = isinstance(given, list)
        small = [each.bfloat16() for each in given] if many else given.bfloat16()
        inputs = now.inputs | {family.image: small}
        noisy = family.read(now.call, now.denoiser, inputs, now.earlier).noisy
        made = family.write(inputs, noisy.float())[family.image]
        for one, other in zip(made, small, strict=True):
            assert one.dtype == torch.bfloat16 and torch.equal(one, other)


@pytest.fixture
def heard(monkeypatch):
    """The keys that concepts have where they first meet the image, in each pass of theirs:
    (concepts, heads, channels)."""
    keys, own = [], extra.Stream.edit

    def edit(stream, attention, output):
        if attention.site.name == stream.sites[0]:
            keys.append(attention.every_key()[stream.where(attention)].clone())
        return own(stream, attention, output)

    monkeypatch.setattr(extra.Stream, "edit", edit)
    return keys


def test_concepts_leave_the_picture_and_do_not_hear_each_other(case, pipe, alone, heard):
    found = []
    for concepts in (["fox", "tree"], ["fox", "car"], ["dog", "car"]):
        heard.clear()
        with daamkit.trace(pipe, concepts=concepts) as tracer:
            assert torch.equal(generate(case, pipe, **case.alone), alone[0])
        found.append((tracer.run.maps, heard[0] if heard else None))
    (one, fox), (other, with_car), (last, dog) = found
    assert set(one.concepts.layers) <= set(one.layers)
    assert not torch.equal(other.concept("fox").values, last.concept("dog").values)
    if fox is None:  # cells look at text alone: each concept is scored beside the prompt by itself
        pair = (maps.concept("fox").values for maps in (one, other))
        assert torch.allclose(*pair, rtol=1e-4)
        return
    shares = one.concepts.layers.values()
    assert all(
        torch.allclose(each.values.sum(-3), torch.tensor(float(one.steps))) for each in shares
    )
    assert torch.equal(fox[0], with_car[0]) and not torch.equal(fox[1], with_car[1])
    assert torch.equal(dog[1], with_car[1]) and not torch.equal(dog[0], fox[0])


def test_concepts_have_no_order(case, pipe):
    """Each has the same place of a text, whatever else is asked for."""
    names, found = ["fox", "car", "a red tree"], []
    for asked in (names, names[::-1], [names[1], names[2], names[0]]):
        with daamkit.trace(pipe, concepts=asked) as tracer:
            generate(case, pipe, **case.alone)
        found.append(tracer.run.maps)
    for name in names:
        one, *others = [maps.concept(name).values for maps in found]
        assert all((one - other).abs().max() < 5e-5 * one.max() for other in others)
    assert not torch.allclose(one, found[0].concept("fox").values, rtol=1e-2)
