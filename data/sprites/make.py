"""Make the sprites from the npm package @lobehub/fluent-emoji-3d (MIT).

    npm pack @lobehub/fluent-emoji-3d@1.1.0 && tar xzf lobehub-fluent-emoji-3d-1.1.0.tgz
    python data/sprites/make.py package/assets

The bench, the bowl and the alarm clock are daamkit's own drawings.
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
    "tiger": "1f42f", "penguin": "1f427", "flamingo": "1f9a9", "banana": "1f34c",
    "tomato": "1f345", "boat": "26f5", "wheel": "1f6de", "cookie": "1f36a", "coin": "1fa99",
    "donut": "1f369", "ball": "1f3c0", "pumpkin": "1f383", "mushroom": "1f344",
    "umbrella": "2602-fe0f", "snowman": "26c4", "teddy bear": "1f9f8", "ice cream": "1f368",
    "fire engine": "1f692", "traffic light": "1f6a6", "birthday cake": "1f382",
    "hot dog": "1f32d", "Mount Fuji": "1f5fb", "Tokyo Tower": "1f5fc",
    "the Statue of Liberty": "1f5fd", "Saturn": "1fa90", "Santa Claus": "1f385",
}  # fmt: skip
DRAWN = {
    "bench": sprites.draw_bench,
    "bowl": sprites.draw_bowl,
    "alarm clock": sprites.draw_alarm_clock,
}
PIXELS = 96


def main(assets: Path) -> None:
    for name in sprites.EVERYTHING:
        image = DRAWN[name]() if name in DRAWN else Image.open(assets / f"{CODE_POINTS[name]}.webp")
        image = image.convert("RGBA")
        image = image.crop(image.getchannel("A").point(lambda a: 255 * (a > 24)).getbbox())
        image.thumbnail((PIXELS, PIXELS), Image.Resampling.LANCZOS)
        image.save(Path(__file__).with_name(f"{sprites.file_name(name)}.png"), optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
