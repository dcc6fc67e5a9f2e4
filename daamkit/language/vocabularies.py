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
