"""Every part that decides the picture is in the record; what does not change is cheap."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import daamkit
from daamkit import fingerprint, zoo
from daamkit.attribution import learned
from daamkit.errors import DaamkitError
from daamkit.measures import reliability
from daamkit.studies import runner
from daamkit.studies.relations import Relations
from tests import tiny
from tests.tiny import generate


def _freeu(pipe):
    pipe.enable_freeu(0.9, 0.2, 1.5, 1.6)


def _fused(pipe):
    weight = pipe.unet.up_blocks[1].attentions[0].transformer_blocks[0].attn2.to_v.weight
    with torch.no_grad():
        weight.mul_(-3)


def _fused_by_data(pipe):  # as PEFT merges: no version is counted
    layer = pipe.unet.mid_block.resnets[0].conv1
    layer.weight.data = layer.weight.data * 1.01


def _within_data(pipe):  # as a token's embedding is loaded
    pipe.text_encoder.get_input_embeddings().weight.data[-1] = 1.0


def _text_encoder(pipe):
    pipe.text_encoder = copy.deepcopy(pipe.text_encoder)
    with torch.no_grad():
        pipe.text_encoder.get_input_embeddings().weight.mul_(-1)


def _autoencoder(pipe):
    pipe.vae = tiny.autoencoder().eval()


def _scaling_factor(pipe):
    pipe.vae.register_to_config(scaling_factor=0.5)


class Lora(nn.Linear):
    """A layer as PEFT has them: beside the weight, adapters with scales."""

    def __init__(self, base: nn.Linear, scale: float) -> None:
        super().__init__(base.in_features, base.out_features, bias=base.bias is not None)
        self.load_state_dict(base.state_dict())
        self.lora_A = nn.ModuleDict({"style": nn.Linear(base.in_features, 2, bias=False)})
        self.lora_B = nn.ModuleDict({"style": nn.Linear(2, base.out_features, bias=False)})
        for layer in (*self.lora_A.values(), *self.lora_B.values()):
            nn.init.constant_(layer.weight, 0.1)
        self.scaling, self.active_adapters = {"style": scale}, ["style"]

    def forward(self, x):
        low = self.lora_B["style"](self.lora_A["style"](x))
        return super().forward(x) + self.scaling["style"] * low


def _attention(pipe):
    return pipe.unet.up_blocks[1].attentions[0].transformer_blocks[0].attn2


def _lora(pipe):
    _attention(pipe).to_q = Lora(_attention(pipe).to_q, 1.0)


def _tokenizer(pipe):
    pipe.tokenizer = tiny.tokenizer()
    pipe.tokenizer.add_tokens("<mine>")


def _processor(pipe):
    class Mine(type(_attention(pipe).processor)):
        """Another way to attend."""

    _attention(pipe).processor = Mine()


CHANGES = [
    _freeu, _fused, _fused_by_data, _within_data, _text_encoder, _autoencoder, _scaling_factor,
    _lora, _tokenizer, _processor,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_part_that_is_changed_is_another_model(change):
    pipe = tiny.sd()
    before = fingerprint.model_facts(pipe)
    assert fingerprint.model_facts(pipe) == before == fingerprint.model_facts(tiny.sd())
    change(pipe)
    after = fingerprint.model_facts(pipe)
    assert after["fingerprint"] != before["fingerprint"]
    assert sum(after["parts"][name] != before["parts"][name] for name in before["parts"]) == 1


def test_the_scale_of_an_adapter_and_freeu_stand_in_the_record():
    pipe = tiny.sd()
    _attention(pipe).to_q = layer = Lora(_attention(pipe).to_q, 0.5)
    half = fingerprint.model_facts(pipe)
    layer.scaling["style"] = 0.75
    more = fingerprint.model_facts(pipe)
    assert half["adapters"] == {"unet": {"style": [0.5]}}
    assert more["adapters"] == {"unet": {"style": [0.75]}}
    assert half["fingerprint"] != more["fingerprint"]
    _freeu(pipe)
    factors = {"s1": 0.9, "s2": 0.2, "b1": 1.5, "b2": 1.6}
    assert fingerprint.model_facts(pipe)["freeu"]["unet"] == factors
    pipe.disable_freeu()
    assert not fingerprint.model_facts(pipe)["freeu"]


def test_where_a_model_lies_and_who_saved_it_does_not_count(tmp_path):
    pipe = tiny.sd()
    pipe.save_pretrained(tmp_path / "pipe")
    again = zoo.load(tmp_path / "pipe")
    told, other = fingerprint.model_facts(pipe), fingerprint.model_facts(again)
    assert told["parts"]["unet"] == other["parts"]["unet"]
    assert told["parts"]["vae"] == other["parts"]["vae"]


def test_a_generation_does_not_change_the_digest():
    pipe = tiny.sd()
    before = fingerprint.model_facts(pipe)
    with daamkit.trace(pipe) as tracer:
        generate(pipe)
    assert tracer.run.record["model"]["fingerprint"] == before["fingerprint"]
    assert fingerprint.model_facts(pipe) == before


def test_weights_are_hashed_once(monkeypatch):
    pipe = tiny.sd()
    told = fingerprint.model_facts(pipe)
    monkeypatch.setattr(fingerprint, "_add", None)
    assert fingerprint.model_facts(pipe) == told


def test_a_large_tensor_is_read_in_blocks_and_at_its_end():
    part = nn.Linear(2048, 512)
    pipe = SimpleNamespace(components={"unet": part})
    before = fingerprint.model_facts(pipe)
    part.weight.data[-1, -1] += 1  # behind PyTorch's back
    assert fingerprint.model_facts(pipe) != before


def test_weights_that_are_nowhere_are_not_known_and_those_that_wait_are():
    pipe = tiny.sd()
    told = fingerprint.model_facts(pipe)
    held = dict(pipe.unet.named_parameters())
    pipe.unet = copy.deepcopy(pipe.unet).to("meta")
    unread = fingerprint.model_facts(pipe)
    assert unread["fingerprint"] is unread["parts"]["unet"] is None
    assert unread["parts"]["vae"] == told["parts"]["vae"]
    for prefix, module in pipe.unet.named_modules():  # as accelerate keeps them
        names = [f"{prefix}.{name}".lstrip(".") for name in module._parameters]
        weights = {n.rpartition(".")[2]: held[n] for n in names if n in held}
        module._hf_hook = SimpleNamespace(weights_map=weights)
    assert fingerprint.model_facts(pipe) == told


def test_a_model_is_traced_whose_weights_come_with_each_pass():
    """As accelerate's sequential offloading has it; between passes they are nowhere."""
    pipe = tiny.sd()
    plain = generate(pipe, "a cat", output_type="latent")
    kept = {name: value.clone() for name, value in pipe.unet.state_dict().items()}
    pipe.unet.to("meta")

    def bring(module, args):
        module.load_state_dict({n: value.clone() for n, value in kept.items()}, assign=True)

    pipe.unet.register_forward_pre_hook(bring)
    pipe.unet.register_forward_hook(lambda module, args, said: module.to("meta") and None)
    with daamkit.trace(pipe) as tracer:
        assert torch.equal(generate(pipe, "a cat", output_type="latent"), plain)
    facts = tracer.run.record["model"]
    assert facts["fingerprint"] is facts["parts"]["unet"] is None
    assert facts["parts"]["text_encoder"] and tracer.run.maps.mass.sum() == pytest.approx(
        1, abs=1e-5
    )
    assert all(each.is_meta for each in pipe.unet.parameters())


def test_a_folder_of_rows_does_not_go_on_with_another_model(tmp_path):
    pipe, study = tiny.sd(), Relations(n=2, steps=1)
    runner.run(study, tmp_path, batch_size=1, threads=1, pipe=pipe, progress=False)
    last = sorted(tmp_path.glob("cases-*"))[-1]
    last.unlink()
    _fused(pipe)
    with pytest.raises(DaamkitError, match=r"what began .*'unet'.*do not mix") as refused:
        runner.run(study, tmp_path, batch_size=1, threads=1, pipe=pipe, progress=False)
    assert "'vae'" not in str(refused.value)  # only what differs
    assert not last.exists()


def test_a_folder_wants_a_model_that_is_known(tmp_path, monkeypatch):
    told = {"fingerprint": None, "parts": {"unet": None}, "adapters": {}, "freeu": {}}
    monkeypatch.setattr(fingerprint, "model_facts", lambda pipe: told)
    with pytest.raises(DaamkitError, match="unet, whose weights are nowhere"):
        runner.run(Relations(n=1, steps=1), tmp_path, pipe=tiny.sd(), progress=False)


@pytest.mark.parametrize("name", zoo.SHIPPED)
@pytest.mark.parametrize("shipped", [learned.shipped, reliability.shipped])
def test_what_ships_was_learned_of_the_model_that_ships(shipped, name):
    found = fingerprint.model_facts(zoo.load(name))["fingerprint"]
    own = [each for each in shipped() if each.model == name]
    assert own and all(found in (each.fingerprint, *each.also) for each in own)
