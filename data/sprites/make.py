"""Make the sprites from the npm package @lobehub/fluent-emoji-3d (MIT).

    npm pack @lobehub/fluent-emoji-3d@1.1.0 && tar xzf lobehub-fluent-emoji-3d-1.1.0.tgz
    python data/sprites/make.py package/assets

The bench and the bowl are daamkit's own drawings.
"""

import sys
from pathlib import Path

from PIL import Image

from daamkit.toybox import sprites

CODE_POINTS = {
    "cat": "1f408", "dog": "1f436", "bird": "1f426", "bear": "1f43b", "lion": "1f981",
    "horse": "1f40e", "elephant": "1f418", "monkey": "1f412", "frog": "1f438",
    "turtle": "1f422", "rabbit": "1f407", "mouse": "1f401", "backpack": "1f392",
    "glasses": "1f453", "crown": "1f451", "suitcase": "1f9f3", "chair": "1fa91",
    "balloon": "1f388", "bow": "1f380", "car": "1f697", "clock": "23f0", "apple": "1f34e",
}  # fmt: skip
DRAWN = {"bench": sprites.draw_bench, "bowl": sprites.draw_bowl}
PIXELS = 96


def main(assets: Path) -> None:
    for name in sprites.THINGS:
        image = DRAWN[name]() if name in DRAWN else Image.open(assets / f"{CODE_POINTS[name]}.webp")
        image = image.convert("RGBA")
        image = image.crop(image.getchannel("A").point(lambda a: 255 * (a > 24)).getbbox())
        image.thumbnail((PIXELS, PIXELS), Image.Resampling.LANCZOS)
        image.save(Path(__file__).with_name(f"{name}.png"), optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
