"""Segmenters: real architectures with random weights, the errors."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from torch.nn import functional as F

from daamkit.errors import DaamkitError
from daamkit.vision import segmentation
from daamkit.vision.segmentation import ClipSeg, Detector, MaskRcnn, Sam, Universal
from tests import tiny

LABELS = {0: "wall", 1: "car, auto, automobile", 2: "Traffic Light", 3: "cat", 4: "auto;van"}
KNOWN = ["wall", "AUTO", " traffic light", "cat", "van", "car, auto, automobile"]
CLASSES = [[0], [1, 4], [2], [3], [4], [1]]  # of KNOWN
SMALL = {"encoder_layers": 1, "decoder_layers": 2, "num_attention_heads": 2, "num_queries": 6}
DETR = {
    "backbone": None,  # transformers 5.0 has one unless told
    "use_timm_backbone": False,
    "use_pretrained_backbone": False,
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_ffn_dim": 16,
    "decoder_ffn_dim": 16,
    "encoder_attention_heads": 8,
    "decoder_attention_heads": 8,
    "num_queries": 6,
}
HAS_TORCHVISION = importlib.util.find_spec("torchvision") is not None


def has_sam() -> bool:
    try:
        return hasattr(transformers, "Sam3Model")
    except ModuleNotFoundError:
        return False


SAM = pytest.mark.skipif(not has_sam(), reason="transformers has it with torchvision alone")


def swin():
    return transformers.SwinConfig(
        image_size=32,
        patch_size=4,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=4,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )


def resnet(*stages: str):
    return transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8] * 4, depths=[1] * 4, out_features=list(stages)
    )


def mask2former():
    config = transformers.Mask2FormerConfig(
        backbone_config=swin(),
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_feedforward_dim=16,
        dim_feedforward=16,
        id2label=LABELS,
        **SMALL,
    )
    return transformers.Mask2FormerForUniversalSegmentation(config)


def maskformer():
    config = transformers.MaskFormerConfig(
        backbone_config=swin(),
        decoder_config=transformers.DetrConfig(backbone_config=resnet("stage4"), **DETR),
        fpn_feature_size=32,
        mask_feature_size=32,
        id2label=LABELS,
    )
    return transformers.MaskFormerForInstanceSegmentation(config)


def oneformer():
    config = transformers.OneFormerConfig(
        backbone_config=swin(),
        conv_dim=32,
        mask_dim=32,
        hidden_dim=32,
        encoder_feedforward_dim=16,
        dim_feedforward=16,
        text_encoder_width=32,
        text_encoder_num_layers=1,
        text_encoder_vocab_size=len(tiny.tokenizer()),
        query_dec_layers=1,
        id2label=LABELS,
        **SMALL,
    )
    return transformers.OneFormerForUniversalSegmentation(config)


def detr():
    backbone = resnet("stage1", "stage2", "stage3", "stage4")
    config = transformers.DetrConfig(backbone_config=backbone, id2label=LABELS, **DETR)
    return transformers.DetrForSegmentation(config)


def clipseg():
    config = transformers.CLIPSegConfig(
        text_config=tiny.text_config().to_dict(),
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 37,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "image_size": 32,
            "patch_size": 8,
        },
        projection_dim=16,
        extract_layers=[0, 1, 2],
        reduce_dim=16,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=16,
    )
    return transformers.CLIPSegForImageSegmentation(config)


def sam3():
    small = {"hidden_size": 16, "num_attention_heads": 2}
    layer = {"num_layers": 1, "intermediate_size": 16, **small}
    vit = {
        "model_type": "sam3_vit_model",
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 56,
        "patch_size": 14,
        "window_size": 2,
        "global_attn_indexes": [1],
        "pretrain_image_size": 28,
    }
    config = transformers.Sam3Config(
        vision_config={
            "backbone_config": vit,
            "fpn_hidden_size": 16,
            "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        },
        text_config=tiny.text_config().to_dict(),
        geometry_encoder_config=layer,
        detr_encoder_config=layer,
        detr_decoder_config={**layer, "num_queries": 5},
        mask_decoder_config=small,
    )
    return transformers.Sam3Model(config)


class Sam3Processor:
    """Sam3Processor's calls that `Sam` makes; the real one needs torchvision."""

    def __init__(self) -> None:
        self.tokenizer = tiny.tokenizer()

    @classmethod
    def from_pretrained(cls, name: str) -> "Sam3Processor":
        return cls()

    def __call__(self, images=None, text=None, return_tensors=None):
        if text is not None:
            return self.tokenizer(
                text, return_tensors=return_tensors, padding="max_length", max_length=32
            )
        pixels = [np.array(image.resize((56, 56))) / 127.5 - 1 for image in images]
        pixels = torch.tensor(np.array(pixels)).permute(0, 3, 1, 2).float()
        return transformers.BatchFeature({"pixel_values": pixels})


MODELS = {f.__name__: f for f in (mask2former, maskformer, oneformer, detr, clipseg, sam3)}
UNIVERSAL = ["mask2former", "maskformer", "oneformer"]


def model_of(kind: str):
    torch.manual_seed(0)
    return MODELS[kind]().eval()


def processor_of(kind: str, folder: Path):
    size = {"shortest_edge": 40, "longest_edge": 100}  # 70 x 45 becomes 62 x 40, or 64 x 64
    if kind == "detr":
        return transformers.DetrImageProcessor(size=size)
    if kind == "clipseg":
        images = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
        return transformers.CLIPSegProcessor(images, tiny.tokenizer())
    if kind == "sam3":
        return Sam3Processor()
    if kind == "oneformer":
        about = {str(i): {"isthing": 1, "name": label} for i, label in LABELS.items()}
        (folder / "classes.json").write_text(json.dumps(about))
        images = transformers.OneFormerImageProcessor(
            size=size, repo_path=str(folder), class_info_file="classes.json"
        )
        return transformers.OneFormerProcessor(images, tiny.tokenizer())
    name = {"mask2former": "Mask2FormerImageProcessor", "maskformer": "MaskFormerImageProcessor"}
    return getattr(transformers, name[kind])(size=size)


def picture(mode: str = "RGB") -> Image.Image:
    """70 high, 45 wide."""
    values = np.random.default_rng(0).integers(0, 255, (70, 45, 3), np.uint8)
    return Image.fromarray(values).convert(mode)


def say(model, classes=None, masks=None) -> None:
    """A random model says nearly the same of all queries and pixels: put other logits there."""

    def speak(module, args, out):
        random = torch.Generator().manual_seed(0)
        for keys, given in (
            (("class_queries_logits", "logits"), classes),
            (("masks_queries_logits", "pred_masks"), masks),
        ):
            key = next(key for key in keys if key in out)
            values = 3 * torch.randn(out[key].shape, generator=random) if given is None else given
            out[key] = values
        return out

    model.register_forward_hook(speak)


def logits_of(model, processor):
    task = {"task_inputs": ["semantic"]} if model.config.model_type == "oneformer" else {}
    with torch.no_grad():
        out = model(**processor(images=[picture()], return_tensors="pt", **task))
    if "pred_masks" in out:
        return out.logits[0], out.pred_masks[0]
    return out.class_queries_logits[0], out.masks_queries_logits[0]


def enlarge(maps: torch.Tensor, height: int = 70, width: int = 45) -> torch.Tensor:
    return F.interpolate(maps[None], (height, width), mode="bilinear", align_corners=False)[0]


def same(a, b) -> bool:
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize(
    ("kind", "made"),
    [*((kind, Universal) for kind in UNIVERSAL), ("detr", Detector), ("clipseg", ClipSeg)],
)
def test_a_saved_model_comes_back_as_it_was(kind, made, tmp_path, capfd) -> None:
    model, processor = model_of(kind), processor_of(kind, tmp_path)
    model.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    transformers.utils.logging.enable_progress_bar()  # whatever ran before in this process
    capfd.readouterr()
    loaded = segmentation.segmenter(str(tmp_path / "model"))
    assert "Loading" not in capfd.readouterr().err
    assert transformers.utils.logging.is_progress_bar_enabled()
    assert type(loaded) is made and isinstance(loaded, segmentation.Segmenter)
    for key, value in loaded.model.state_dict().items():
        assert torch.equal(value, model.state_dict()[key]), key
    assert not loaded.model.training
    masks = loaded.segment(picture(), KNOWN)
    assert [mask.shape for mask in masks] == [(70, 45)] * len(KNOWN)
    assert {mask.dtype for mask in masks} == {np.dtype(bool)}
    assert same(masks, made(model, processor).segment(picture(), KNOWN))
    assert same(masks, loaded.segment(picture(), KNOWN))
    assert loaded.segment(picture(), []) == []
    assert loaded.segment(picture("RGBA"), ["cat"])[0].shape == (70, 45)
    assert loaded.segment(picture("L"), ["cat"])[0].shape == (70, 45)
    if made is Universal:
        again = segmentation.segmenter(str(tmp_path / "model"), instances=True)
        assert type(again) is Detector
        assert same(
            again.segment(picture(), KNOWN), Detector(model, processor).segment(picture(), KNOWN)
        )


def test_clipseg_says_what_its_logits_say(tmp_path) -> None:
    model, processor = model_of("clipseg"), processor_of("clipseg", tmp_path)
    texts = ["one cat here", "one traffic light here"]
    with torch.no_grad():
        out = model(
            **processor(text=texts, images=[picture()] * 2, padding=True, return_tensors="pt")
        )
    chance = enlarge(out.logits).sigmoid().numpy()
    threshold = float(np.median(chance))
    segmenter = ClipSeg(model, processor, "one {name} here", threshold)
    masks = segmenter.segment(picture(), ["cat", "traffic light"])
    for mask, each in zip(masks, chance, strict=True):
        clear = abs(each - threshold) > 1e-6
        assert 0 < mask.sum() < mask.size
        assert np.array_equal(mask[clear], each[clear] > threshold)
    assert not same(masks[:1], masks[1:])
    alone = segmenter.segment(picture(), ["cat"])[0]
    assert (alone != masks[0]).mean() < 0.001  # but for rounding, the other names do not matter


@pytest.mark.parametrize("kind", UNIVERSAL)
def test_universal_says_what_its_logits_say(kind, tmp_path) -> None:
    model, processor = model_of(kind), processor_of(kind, tmp_path)
    say(model)
    classes, masks = logits_of(model, processor)
    if kind == "mask2former":
        masks = enlarge(masks, 384, 384)
    found = torch.einsum("qc,qyx->cyx", classes.softmax(-1)[:, :-1], masks.sigmoid())
    best = enlarge(found).argmax(0).numpy()
    given = Universal(model, processor).segment(picture(), KNOWN)
    expected = [np.isin(best, each) for each in CLASSES]
    assert sum(mask.any() for mask in expected) >= 3
    assert all((a != b).mean() < 0.001 for a, b in zip(given, expected, strict=True))


@pytest.mark.parametrize("kind", [*UNIVERSAL, "detr"])
def test_detector_says_what_its_logits_say(kind, tmp_path) -> None:
    model, processor = model_of(kind), processor_of(kind, tmp_path)
    say(model)
    classes, masks = logits_of(model, processor)
    expected = []
    for wanted in CLASSES:
        union = torch.zeros(70, 45, dtype=torch.bool)
        for query in range(6):
            mean = masks[query][masks[query] > 0].sigmoid().mean()
            if any(classes[query].softmax(-1)[each] * mean > 0.4 for each in wanted):
                union |= enlarge(masks[query : query + 1])[0] > 0
        expected.append(union.numpy())
    given = Detector(model, processor, threshold=0.4).segment(picture(), KNOWN)
    assert any(mask.any() for mask in expected) and not all(mask.any() for mask in expected)
    assert all((a != b).mean() < 0.001 for a, b in zip(given, expected, strict=True))


def halves(columns: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of one cat in the left half of a grid, and of a wall in the right."""
    masks = torch.full((1, 6, 16, columns), -9.0)
    masks[:, 0, :, : columns // 2], masks[:, 1, :, columns // 2 :] = 9, 9
    classes = torch.zeros(1, 6, 6)
    classes[..., 5], classes[:, 0, 3], classes[:, 1, 0] = 9, 20, 20
    return classes, masks


@pytest.mark.parametrize("kind", [*UNIVERSAL, "detr"])
def test_masks_lie_where_they_are_in_the_image(kind, tmp_path) -> None:
    model, processor = model_of(kind), processor_of(kind, tmp_path)
    say(model, *halves(columns=16 if kind in ("mask2former", "maskformer") else 10))
    for made in (Detector,) if kind == "detr" else (Universal, Detector):
        cat, car, wall = made(model, processor).segment(picture(), ["cat", "car", "wall"])
        assert cat[:, :21].all() and not cat[:, 24:].any()  # half of 45 columns
        assert wall[:, 24:].all() and not wall[:, :21].any() and not car.any()


def test_the_only_instance_does_not_fill_the_image(tmp_path) -> None:
    model, processor = model_of("detr"), processor_of("detr", tmp_path)
    classes, masks = halves(columns=10)
    classes[:, 1, 0] = 0  # no wall
    say(model, classes, masks)
    cat, wall = Detector(model, processor).segment(picture(), ["cat", "wall"])
    assert 0.4 < cat.mean() < 0.6 and not wall.any()


@SAM
def test_sam_says_what_its_logits_say() -> None:
    model, processor = model_of("sam3"), Sam3Processor()
    with torch.no_grad():
        out = model(
            **processor(images=[picture()], return_tensors="pt"),
            **processor(text=["cat"], return_tensors="pt"),
        )
    scores = out.pred_logits[0].sigmoid() * out.presence_logits[0].sigmoid()
    threshold = float(scores.sort().values[2:4].mean())
    expected = (enlarge(out.pred_masks[0].sigmoid()) > 0.5)[scores > threshold].any(0).numpy()
    segmenter = Sam(model, processor, threshold)
    cat, _ = segmenter.segment(picture(), ["cat", "traffic light"])
    assert cat.shape == (70, 45) and 0 < cat.sum() < cat.size
    assert (cat != expected).mean() < 0.001
    assert not any(
        mask.any() for mask in replace(segmenter, threshold=1.0).segment(picture(), ["cat"])
    )
    assert segmenter.segment(picture("L"), []) == []


@SAM
@pytest.mark.parametrize("video", [False, True])
def test_sam_from_its_two_checkpoints(video, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(transformers, "Sam3Processor", Sam3Processor)
    model = model_of("sam3")
    if video:  # as facebook/sam3: the detector's configuration and weights, beside a tracker's
        named = {f"detector_model.{key}": value for key, value in model.state_dict().items()}
        model.save_pretrained(tmp_path, state_dict=named)
        detector = json.loads((tmp_path / "config.json").read_text())
        about = {"model_type": "sam3_video", "architectures": ["Sam3VideoModel"]}
        (tmp_path / "config.json").write_text(json.dumps({**about, "detector_config": detector}))
    else:
        model.save_pretrained(tmp_path)
    loaded = segmentation.segmenter(str(tmp_path))
    assert type(loaded) is Sam
    for key, value in loaded.model.state_dict().items():
        assert torch.equal(value, model.state_dict()[key]), key


@SAM
@pytest.mark.skipif(HAS_TORCHVISION, reason="torchvision is installed")
def test_what_needs_torchvision_says_so(tmp_path) -> None:
    with pytest.raises(DaamkitError, match="pip install torchvision"):
        segmentation.segmenter("maskrcnn_resnet50_fpn_v2")
    model_of("sam3").save_pretrained(tmp_path)
    tiny.tokenizer().save_pretrained(tmp_path)
    about = {"image_processor_type": "Sam3ImageProcessor", "processor_class": "Sam3Processor"}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(about))
    with pytest.raises(DaamkitError, match="pip install torchvision"):
        segmentation.segmenter(str(tmp_path))


class Rcnn(torch.nn.Module):
    """Answers in the form of torchvision's Mask R-CNN: two cats, an unsure one, a car."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, images):
        (image,) = images
        assert image.shape == (3, 70, 45) and 0 <= image.min() <= image.max() <= 1
        masks = torch.zeros(4, 1, 70, 45)
        masks[0, 0, :10], masks[1, 0, 20:30], masks[2, 0, 40:50] = 0.9, 0.5, 0.9
        masks[0, 0, 10:20], masks[3, 0, :, :5] = 0.4, 1.0
        scores, labels = torch.tensor([0.9, 0.6, 0.4, 0.8]), torch.tensor([3, 3, 3, 1])
        return [{"masks": masks, "scores": scores, "labels": labels}]


def test_mask_rcnn_joins_the_sure_instances() -> None:
    segmenter = MaskRcnn(Rcnn(), LABELS)
    cat, car, wall = segmenter.segment(picture("RGBA"), ["cat", "Automobile", "wall"])
    assert np.flatnonzero(cat.all(1)).tolist() == [*range(10), *range(20, 30)]
    assert cat.sum() == 20 * 45 and car.sum() == 70 * 5 and not wall.any()


def test_an_unknown_class_is_an_error(tmp_path) -> None:
    universal = Universal(model_of("mask2former"), processor_of("mask2former", tmp_path))
    segmenters = [
        universal,
        Detector(universal.model, universal.processor),
        MaskRcnn(Rcnn(), LABELS),
    ]
    for segmenter in segmenters:
        with pytest.raises(
            DaamkitError, match="'traffic lights'; got 5 .*'traffic light'.*open-voc"
        ):
            segmenter.segment(picture(), ["cat", "traffic lights"])
        with pytest.raises(DaamkitError, match="got 5 classes without it. "):
            segmenter.segment(picture(), ["zebra"])


def test_models_that_cannot_be_loaded(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DaamkitError, match="wanted the segmenter .*hf download nobody"):
        segmentation.segmenter("nobody/no-such-segmenter")
    with pytest.raises(DaamkitError, match="a known kind"):
        segmentation.segmenter(str(tmp_path))
    with pytest.raises(DaamkitError, match="DetrForObjectDetection.*CLIPSegForImageSeg"):
        config = model_of("detr").config  # a DETR without masks would get random ones
        config.architectures = ["DetrForObjectDetection"]
        config.save_pretrained(tmp_path)
        segmentation.segmenter(str(tmp_path))
    with pytest.raises(DaamkitError, match="got clip_text_model"):
        tiny.text_config().save_pretrained(tmp_path)
        segmentation.segmenter(str(tmp_path))
    with pytest.raises(DaamkitError, match="a known kind"):
        (tmp_path / "config.json").write_text('{"model_type": "no-such-type"}')
        segmentation.segmenter(str(tmp_path))
