"""Words in groups: COCO's classes by its supercategories, and as the DAAM authors grouped them."""

from __future__ import annotations

# The classes of COCO 2017 by supercategory.
COCO: dict[str, tuple[str, ...]] = {
    category: tuple(words.split(", "))
    for category, words in {
        "person": "person",
        "vehicle": "bicycle, car, motorcycle, airplane, bus, train, truck, boat",
        "outdoor": "traffic light, fire hydrant, stop sign, parking meter, bench",
        "animal": "bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe",
        "accessory": "backpack, umbrella, handbag, tie, suitcase",
        "sports": "frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, "
        "skateboard, surfboard, tennis racket",
        "kitchen": "bottle, wine glass, cup, fork, knife, spoon, bowl",
        "food": "banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake",
        "furniture": "chair, couch, potted plant, bed, dining table, toilet",
        "electronic": "tv, laptop, mouse, remote, keyboard, cell phone",
        "appliance": "microwave, oven, toaster, sink, refrigerator",
        "indoor": "book, clock, vase, scissors, teddy bear, hair drier, toothbrush",
    }.items()
}

# WordNet's classes for a category of words. The first that a word has a sense in counts: a cake is
# baked before it is any food (a patty), a bow adorns before it is any artifact (a knot).
CATEGORIES: dict[str, tuple[str, ...]] = {
    "person": ("person.n.01",),
    "vehicle": ("conveyance.n.03",),
    "outdoor": ("sign.n.02", "signal.n.01", "artifact.n.01"),
    "animal": ("animal.n.01",),
    "accessory": ("artifact.n.01",),
    "sports": ("artifact.n.01",),
    "kitchen": ("artifact.n.01",),
    "food": ("baked_goods.n.01", "food.n.01", "food.n.02"),
    "furniture": ("furniture.n.01", "fixture.n.01", "plant.n.02"),
    "electronic": ("electronic_equipment.n.01", "device.n.01"),
    "appliance": ("artifact.n.01",),
    "indoor": ("artifact.n.01",),
    "object": (
        *("clothing.n.01", "plaything.n.01", "decoration.n.01", "artifact.n.01"),
        *("food.n.01", "food.n.02"),
    ),
}

# The 15 groups of COCO's classes whose pairs are the co-hyponyms of the paper's experiment (Tang et
# al. 2023, section 4.2): the leaves of its authors' ontology, `daam/experiment.py` of
# github.com/castorini/daam (MIT, Copyright 2022 Castorini).
DAAM: dict[str, tuple[str, ...]] = {
    group: tuple(words.split(", "))
    for group, words in {
        "two-wheeled vehicle": "bicycle, motorcycle",
        "four-wheeled vehicle": "bus, truck, car",
        "livestock": "cow, horse, sheep",
        "pets": "cat, dog",
        "wild animals": "elephant, bear, zebra, giraffe",
        "bags": "backpack, handbag, suitcase",
        "sports boards": "snowboard, surfboard, skateboard",
        "utensils": "fork, knife, spoon",
        "receptacles": "bowl, cup",
        "fruits": "banana, apple, orange",
        "meals": "sandwich, hot dog, pizza",
        "desserts": "cake, donut",
        "furniture": "chair, couch, bench",
        "monitors": "tv, cell phone, laptop",
        "appliances": "oven, toaster, refrigerator",
    }.items()
}
