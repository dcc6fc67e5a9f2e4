"""WordNet: where it is read from, what words mean, which of them are kinds of one thing."""

import functools
import gc
import itertools
import os
import socket
import subprocess
import sys
import warnings
import zipfile

import nltk
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daamkit import resources
from daamkit.errors import DaamkitError
from daamkit.language import senses, taxonomy, wordnet

TOYS = {
    "animal": [
        *("cat", "dog", "bird", "bear", "lion", "horse", "elephant", "monkey", "frog", "turtle"),
        *("rabbit", "mouse"),
    ],
    "object": [
        *("backpack", "glasses", "crown", "suitcase", "chair", "balloon", "bow", "car", "bowl"),
        *("bench", "clock", "apple"),
    ],
}


# Where it is read from


@pytest.fixture
def anew():
    """WordNet is opened anew in the test, and after it."""
    for cached in (wordnet.wordnet, wordnet.above):
        cached.cache_clear()
    yield
    for cached in (wordnet.wordnet, wordnet.above):
        cached.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # NLTK leaves its files to the collector
        gc.collect()


@pytest.mark.parametrize("packed", [False, True])
def test_the_users_own_wordnet_is_preferred(packed, anew, tmp_path, monkeypatch) -> None:
    corpora = tmp_path / "corpora"
    corpora.mkdir()
    with zipfile.ZipFile(resources.path("wordnet", "wordnet.zip")) as archive:
        archive.extractall(corpora)
    nouns = corpora / "wordnet" / "data.noun"
    nouns.write_bytes(nouns.read_bytes().replace(b"five-toed pachyderm", b"four-toed pachyderm"))
    if packed:
        with zipfile.ZipFile(
            corpora / "wordnet.zip", "w", zipfile.ZIP_DEFLATED, True, 1
        ) as archive:
            for file in (corpora / "wordnet").iterdir():
                archive.write(file, f"wordnet/{file.name}")
        (corpora / "wordnet").rename(tmp_path / "unpacked")
    for place in (tmp_path, *tmp_path.rglob("*")):  # NLTK reads only what no other may write
        place.chmod(0o755 if place.is_dir() else 0o644)
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    assert taxonomy.wordnet().synset("elephant.n.01").definition() == "four-toed pachyderm"
    assert taxonomy.hypernyms("elephant")[1] == "pachyderm.n.01"


def test_without_it_and_without_a_network_ours_is_read(anew, monkeypatch) -> None:
    def never(*arguments, **options):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(nltk.data, "path", [])
    monkeypatch.setattr(socket, "socket", never)
    assert taxonomy.wordnet().synset("elephant.n.01").definition() == "five-toed pachyderm"
    assert taxonomy.wordnet().get_version() == "3.0"
    assert taxonomy.wordnet() is taxonomy.wordnet()


def test_ours_is_read_wherever_it_lies_and_whoever_may_write_it(
    anew, tmp_path, monkeypatch
) -> None:
    place = tmp_path / "wordnet.zip"
    place.write_bytes(resources.path("wordnet", "wordnet.zip").read_bytes())
    place.chmod(0o666)
    monkeypatch.setattr(nltk.data, "path", [])
    monkeypatch.setattr(wordnet.resources, "path", lambda *parts: place)
    assert taxonomy.senses("dog")[0] == "dog.n.01"


SMALL = {  # a word of each part of speech
    "index.noun": "cat n 1 0 1 0 00000000\n",
    "data.noun": "00000000 05 n 01 cat 0 000 | a small animal\n",
    "index.verb": "run v 1 0 1 0 00000000\n",
    "data.verb": "00000000 38 v 01 run 0 000 00 | go fast\n",
    "index.adj": "red a 1 0 1 0 00000000\n",
    "data.adj": "00000000 00 a 01 red 0 000 | of the colour of blood\n",
    "index.adv": "fast r 1 0 1 0 00000000\n",
    "data.adv": "00000000 02 r 01 fast 0 000 | quickly\n",
    **dict.fromkeys(("noun.exc", "verb.exc", "adj.exc", "adv.exc"), ""),
}


@pytest.fixture
def small(anew, tmp_path, monkeypatch):
    """A WordNet of four words in the place of ours, or the user's own in a folder."""
    path = resources.path
    with zipfile.ZipFile(path("wordnet", "wordnet.zip")) as archive:
        lexnames = archive.read("wordnet/lexnames").decode()

    def ours_at(place, *parts):
        return place if parts[0] == "wordnet" else path(*parts)

    def make(ours: bool, **changes: str):
        files = (
            {"lexnames": lexnames} | SMALL | {k.replace("_", "."): v for k, v in changes.items()}
        )
        own = tmp_path / "corpora" / "wordnet"
        own.mkdir(parents=True)
        for name, text in files.items():
            (own / name).write_text(text)
        for place in (tmp_path, *tmp_path.rglob("*")):
            place.chmod(0o755 if place.is_dir() else 0o644)
        place = tmp_path / "wordnet.zip"
        with zipfile.ZipFile(place, "w") as archive:  # as it is, so that a byte is found in it
            for name in files:
                archive.write(own / name, f"wordnet/{name}")
        monkeypatch.setattr(nltk.data, "path", [] if ours else [str(tmp_path)])
        monkeypatch.setattr(resources, "path", functools.partial(ours_at, place))
        return place

    return make


BROKEN = r"WordNet's files in .*; got broken ones \(.*Take them away"


@pytest.mark.parametrize("ours", [True, False])
def test_a_small_wordnet_is_read(small, ours) -> None:
    small(ours)
    assert taxonomy.definition("cat.n.01") == "a small animal"
    assert [taxonomy.senses(w, p) for w, p in (("run", "VERB"), ("red", "ADJ"), ("fast", "ADV"))]


def test_a_part_of_ours_is_told(small) -> None:
    place = small(True)
    place.write_bytes(place.read_bytes()[:900])
    with pytest.raises(DaamkitError, match=BROKEN):
        taxonomy.senses("cat")


def test_a_bit_of_ours_is_told_when_it_is_read(small) -> None:
    place = small(True)
    place.write_bytes(place.read_bytes().replace(b"a small animal", b"a smalm animal"))
    assert taxonomy.senses("run", "VERB") == ["run.v.01"]
    for ask in (taxonomy.senses, taxonomy.sense, taxonomy.hypernyms, taxonomy.definition):
        with pytest.raises(DaamkitError, match=BROKEN):
            ask("cat.n.01")


@pytest.mark.filterwarnings("ignore:No WordNet synset found")
@pytest.mark.parametrize(
    "line",
    [
        "00000000 05 n 01 cat 0 000 a small animal\n",
        "00000001 05 n 01 cat 0 000 | a small animal\n",
        "00000000 05 n 09 cat 0 000 | a small animal\n",
        "00000000 05 n 01 cat 0 001 @ 00000900 n 0000 | a small animal\n",
        "",
    ],
)
def test_a_line_of_the_users_own_is_told_when_it_is_read(small, line) -> None:
    small(False, data_noun=line)
    assert taxonomy.senses("run", "VERB") == ["run.v.01"]
    with pytest.raises(DaamkitError, match=BROKEN):
        taxonomy.hypernyms("cat")


@pytest.mark.parametrize("name", ["index_noun", "index_adv"])
def test_an_empty_index_of_the_users_own_is_told(small, name) -> None:
    small(False, **{name: ""})
    with pytest.raises(DaamkitError, match=r"no word in the index of '[nr]'"):
        taxonomy.senses("cat")


def test_the_shipped_files_are_whole() -> None:
    with zipfile.ZipFile(resources.path("wordnet", "wordnet.zip")) as archive:
        for name, lines in (("noun", 82115), ("verb", 13767), ("adj", 18156), ("adv", 3621)):
            content = archive.read(f"wordnet/data.{name}")
            place, found = 0, 0
            for line in content.splitlines(keepends=True):
                if not line.startswith(b"  "):
                    assert int(line[:8]) == place
                    found += 1
                place += len(line)
            assert found == lines


def test_importing_it_opens_nothing() -> None:
    check = (
        "import sys, daamkit.language.taxonomy; "
        "assert not {'nltk', 'pandas', 'torch'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", check], check=True, timeout=60)


def test_tables_are_the_same_in_every_process() -> None:
    # NLTK gives hypernyms in the order of a set, which changes from process to process.
    show = (
        "from daamkit.language import taxonomy; "
        "print(taxonomy.ontology().to_csv(), taxonomy.cohyponyms(steps=4).to_csv())"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", show],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=120,
        ).stdout
        for seed in "01"
    }
    assert len(seen) == 1


# What words mean


@pytest.mark.parametrize(
    ("word", "pos", "base"),
    [
        ("mice", "NOUN", "mouse"),
        ("Cats", "NOUN", "cat"),
        ("glasses", "NOUN", "glasses"),
        ("teddy bears", "NOUN", "teddy bear"),
        ("Frisbees", "PROPN", "frisbee"),
        ("sitting", "VERB", "sit"),
        ("wearing", "VERB", "wear"),
        ("is", "AUX", "be"),
        ("redder", "ADJ", "red"),
        ("Quickly", "ADV", "quickly"),
        ("The", "DET", "the"),
        ("Them", "PRON", "them"),
        ("Zorgs", "NOUN", "zorg"),
        ("Zorgs", "PROPN", "zorgs"),
        ("vases", "NOUN", "vase"),
        ("leaves", "NOUN", "leaf"),
        ("axes", "NOUN", "axe"),
        ("cookies", "NOUN", "cookie"),
        ("emojis", "NOUN", "emoji"),
        ("selfies", "NOUN", "selfie"),
        ("macarons", "NOUN", "macaron"),
        ("chess", "NOUN", "chess"),
        ("", "NOUN", ""),
    ],
)
def test_lemmas(word, pos, base) -> None:
    assert taxonomy.lemma(word, pos) == base


def test_senses_are_in_order_of_frequency() -> None:
    assert taxonomy.senses("mouse") == ["mouse.n.01", "shiner.n.01", "mouse.n.03", "mouse.n.04"]
    assert taxonomy.senses("mice") == taxonomy.senses("mouse")
    assert taxonomy.senses("Teddy  bear") == ["teddy.n.01"]
    assert taxonomy.senses("sit", "VERB")[0] == "sit.v.01"
    assert taxonomy.senses("red", "ADJ")[0] == "red.s.01"


def test_a_sense_is_its_own() -> None:
    assert taxonomy.senses("mouse.n.04") == taxonomy.senses("Mouse.n.4") == ["mouse.n.04"]
    assert taxonomy.senses("suitcase.n.01") == ["bag.n.06"]
    assert taxonomy.sense("mouse.n.04") == "mouse.n.04"


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("elefant", "'elephant'"),
        ("zzebra", "'zebra'"),
        ("teddy bera", "'teddy bear'"),
        ("mose.n.01", "'mouse'"),
        ("mouse.n.09", "'mouse'"),
        ("mouse.n.00", "or a sense such as"),
        ("qqqzzz", "or a sense such as"),
        ("", "or a sense such as"),
    ],
)
def test_what_wordnet_lacks_is_an_error_with_what_is_near(word, near) -> None:
    for ask in (taxonomy.senses, taxonomy.sense, taxonomy.hypernyms):
        with pytest.raises(DaamkitError, match=near) as error:
            ask(word)
        assert error.value.wanted == f"{word!r} in WordNet"
    for pair in ((word, "cat"), ("cat", word)):
        with pytest.raises(DaamkitError, match=near):
            taxonomy.kinship(*pair)


def test_no_such_part_of_speech() -> None:
    with pytest.raises(DaamkitError, match="got 'DET'. Name one of NOUN, PROPN, VERB"):
        taxonomy.senses("the", "DET")


def test_hypernyms_lead_to_the_top() -> None:
    assert taxonomy.hypernyms("chair") == [
        *("chair.n.01", "seat.n.03", "furniture.n.01", "furnishing.n.02", "instrumentality.n.03"),
        *("artifact.n.01", "whole.n.02", "object.n.01", "physical_entity.n.01", "entity.n.01"),
    ]
    assert taxonomy.hypernyms("dog")[1:3] == ["domestic_animal.n.01", "animal.n.01"]  # the shorter
    assert taxonomy.hypernyms("entity.n.01") == ["entity.n.01"]
    assert taxonomy.hypernyms("orange.n.05")[1] == "river.n.01"  # the one in Africa, an instance


# What the words of the toybox and of COCO mean: read with care, one by one

MEANT = {
    "person": "person.n.01",
    "vehicle": "bicycle.n.01 car.n.01 motorcycle.n.01 airplane.n.01 bus.n.01 train.n.01 truck.n.01 "
    "boat.n.01",
    "outdoor": "traffic_light.n.01 fireplug.n.01 sign.n.02 parking_meter.n.01 bench.n.01",
    "animal": "bird.n.01 cat.n.01 dog.n.01 horse.n.01 sheep.n.01 cow.n.01 elephant.n.01 bear.n.01 "
    "zebra.n.01 giraffe.n.01",
    "accessory": "backpack.n.01 umbrella.n.01 bag.n.04 necktie.n.01 bag.n.06",
    "sports": "frisbee.n.01 ski.n.01 snowboard.n.01 ball.n.01 kite.n.03 baseball_bat.n.01 "
    "baseball_glove.n.01 skateboard.n.01 surfboard.n.01 tennis_racket.n.01",
    "kitchen": "bottle.n.01 wineglass.n.01 cup.n.01 fork.n.01 knife.n.01 spoon.n.01 bowl.n.01",
    "food": "banana.n.02 apple.n.01 sandwich.n.01 orange.n.01 broccoli.n.02 carrot.n.03 "
    "hotdog.n.02 pizza.n.01 doughnut.n.02 cake.n.03",
    "furniture": "chair.n.01 sofa.n.01 plant.n.02 bed.n.01 dining_table.n.01 toilet.n.02",
    "electronic": "television_receiver.n.01 laptop.n.01 mouse.n.04 remote_control.n.01 "
    "keyboard.n.01 cellular_telephone.n.01",
    "appliance": "microwave.n.02 oven.n.01 toaster.n.02 sink.n.01 refrigerator.n.01",
    "indoor": "book.n.01 clock.n.01 vase.n.01 scissors.n.01 teddy.n.01 hand_blower.n.01 "
    "toothbrush.n.01",
}
TOYS_MEANT = {
    "animal": "cat.n.01 dog.n.01 bird.n.01 bear.n.01 lion.n.01 horse.n.01 elephant.n.01 "
    "monkey.n.01 frog.n.01 turtle.n.02 rabbit.n.01 mouse.n.01",
    "object": "backpack.n.01 spectacles.n.01 crown.n.04 bag.n.06 chair.n.01 balloon.n.02 bow.n.08 "
    "car.n.01 bowl.n.01 bench.n.01 clock.n.01 apple.n.01",
}


@pytest.mark.parametrize(
    ("words", "meant"), [(taxonomy.COCO, MEANT), (TOYS, TOYS_MEANT)], ids=["COCO", "toybox"]
)
def test_the_ontology_has_the_sense_that_is_meant(words, meant) -> None:
    table = taxonomy.ontology(words)
    assert list(table.columns) == ["word", "category", "sense", "definition", "path"]
    for category, named in meant.items():
        rows = table[table.category == category]
        assert list(rows.word) == list(words[category])
        assert list(rows.sense) == named.split()
    assert table.definition.str.len().min() > 5
    assert table.path.str.startswith("entity.n.01 > ").all()
    for row in table.itertuples():
        assert row.path.split(" > ") == taxonomy.hypernyms(row.sense)[::-1]


def test_coco_has_eighty_classes_in_twelve_categories() -> None:
    assert sum(map(len, taxonomy.COCO.values())) == 80
    assert len(set(itertools.chain(*taxonomy.COCO.values()))) == 80
    assert len(taxonomy.COCO) == 12
    assert taxonomy.CATEGORIES.keys() - taxonomy.COCO.keys() == {"object"}


def test_every_class_of_a_category_is_in_wordnet() -> None:
    for each in itertools.chain(*taxonomy.CATEGORIES.values()):
        assert taxonomy.senses(each) == [each]


def test_a_category_decides_between_senses() -> None:
    assert taxonomy.sense("mouse", "animal") == "mouse.n.01"
    assert taxonomy.sense("mouse", "electronic") == "mouse.n.04"
    assert taxonomy.sense("turtle") == "turtle.n.02"
    assert taxonomy.sense("turtle", "animal") == "turtle.n.02"
    assert taxonomy.sense("bow") == "bow.n.08"


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("tiger", "tiger.n.02"), ("lion", "lion.n.01"), ("kite", "kite.n.03"),
        ("plate", "plate.n.04"), ("plant", "plant.n.02"), ("chicken", "chicken.n.02"),
        ("cherry", "cherry.n.03"), ("man", "man.n.01"), ("number", "number.n.01"),
        ("crane", "crane.n.05"), ("hot dog", "hotdog.n.02"), ("hat", "hat.n.01"),
    ],
)  # fmt: skip
def test_a_noun_means_what_can_be_seen(word: str, meant: str) -> None:
    assert taxonomy.sense(word) == meant


def test_the_table_has_only_senses_that_the_rule_would_not_find(monkeypatch) -> None:
    table = senses.table()
    assert len(table) > 50
    monkeypatch.setattr(senses, "table", dict)
    for word, meant in table.items():
        assert meant in taxonomy.senses(word)
        assert taxonomy.sense(word) != meant


def test_no_slur_is_shown() -> None:
    shown = taxonomy.senses("taco")
    assert shown == ["taco.n.02"] and "offensive" not in taxonomy.definition(shown[0])
    insults = [
        lemma.name()
        for synset in taxonomy.wordnet().all_synsets("n")
        if "ethnic slur" in synset.definition()
        for lemma in synset.lemmas()
    ]
    assert len(insults) > 20
    for word in insults:
        try:
            shown = taxonomy.senses(word)
        except DaamkitError as error:
            near = str(error).split("the nearest are")[-1].lower()
            assert not any(f"'{each.lower()}'" in near for each in insults if each != word)
            continue
        assert not any("slur" in taxonomy.definition(name) for name in shown)


def test_the_authors_pairs() -> None:
    table = taxonomy.grouped()
    assert len(table) == 40 and table.common.nunique() == 15
    assert list(table.columns) == list(taxonomy.cohyponyms().columns)
    classes = set(itertools.chain(*taxonomy.COCO.values()))
    assert set(table.a) | set(table.b) <= classes
    pairs = table.set_index(["a", "b"])
    assert pairs.loc[("cat", "dog"), "common"] == "pets"
    assert pairs.loc[("cake", "donut"), "reason"] == "cake and donut: both desserts"


def test_a_phrase_is_taken_whole_or_by_its_last_word() -> None:
    assert taxonomy.sense("hot dog", "food") == "hotdog.n.02"
    assert taxonomy.sense("cell phone") == "cellular_telephone.n.01"
    assert taxonomy.sense("red sports car") == "car.n.01"


def test_what_a_category_has_not_is_an_error() -> None:
    with pytest.raises(DaamkitError, match="cat.n.01, guy.n.01.* none of them under furniture"):
        taxonomy.sense("cat", "furniture")
    with pytest.raises(DaamkitError, match="none of them under conveyance.n.03"):
        taxonomy.ontology({"vehicle": ["apple"]})
    for ask in (taxonomy.ontology, taxonomy.cohyponyms):
        with pytest.raises(DaamkitError, match="'beast'.* one of person, vehicle, outdoor"):
            ask({"beast": ["cat"]})


# Which are kinds of one thing


def test_cat_and_dog_are_kin() -> None:
    kin = taxonomy.kinship("cat", "dog")
    assert kin == taxonomy.Kinship("cat", "dog", "cat.n.01", "dog.n.01", "carnivore.n.01", 2, 2)
    assert str(kin) == "cat and dog: both carnivore.n.01"


def test_kin_may_be_given_as_senses() -> None:
    kin = taxonomy.kinship("turtle.n.02", "frog", steps=4, breadth=5000)
    assert kin and (kin.a, kin.sense_b, kin.common) == (
        "turtle.n.02",
        "frog.n.01",
        "vertebrate.n.01",
    )
    assert taxonomy.kinship("mouse.n.04", "keyboard", steps=1, breadth=3000) is None
    assert str(taxonomy.kinship("giraffe", "zebra")) == "giraffe and zebra: both ungulate.n.01"


@pytest.mark.parametrize(
    ("a", "b"), [("cat", "cat"), ("lion", "big cat"), ("big cat", "lion"), ("donut", "cake.n.03")]
)
def test_a_kind_of_the_other_is_no_kin(a, b) -> None:
    assert taxonomy.kinship(a, b, steps=9, breadth=100_000) is None


def test_a_class_may_be_too_wide() -> None:
    assert taxonomy.kinship("elephant", "mouse", 2) is None  # placental.n.01, 1119 kinds
    assert taxonomy.kinship("elephant", "mouse", 2, 1118) is None
    kin = taxonomy.kinship("elephant", "mouse", 2, 1119)
    assert kin and kin.common == "placental.n.01"
    assert taxonomy.kinship("cat", "dog", 2, 364) is None
    assert taxonomy.kinship("cat", "dog", 1) is None


def test_the_toys_that_are_kin() -> None:
    table = taxonomy.cohyponyms(TOYS, breadth=1000)
    assert list(table.columns) == ["a", "b", "common", "steps_a", "steps_b", "reason"]
    assert list(table.reason) == [
        "cat and dog: both carnivore.n.01",
        "cat and bear: both carnivore.n.01",
        "cat and lion: both feline.n.01",
        "dog and bear: both carnivore.n.01",
        "dog and lion: both carnivore.n.01",
        "bear and lion: both carnivore.n.01",
        "backpack and suitcase: both container.n.01",
        "backpack and bowl: both container.n.01",
        "glasses and clock: both instrument.n.01",
        "suitcase and bowl: both container.n.01",
        "chair and bench: both seat.n.03",
    ]
    assert (table.steps_a.max(), table.steps_b.max()) == (3, 3)
    narrow = taxonomy.cohyponyms(TOYS)  # no container.n.01, no instrument.n.01
    assert set(narrow.common) == {"carnivore.n.01", "feline.n.01", "seat.n.03"}


def test_the_words_of_coco_that_are_kin() -> None:
    table = taxonomy.cohyponyms()
    assert len(table) == 74
    assert table.common.nunique() == 30
    assert not (table.common == "container.n.01").any()  # a bicycle is one, for WordNet
    pairs = table.set_index(["a", "b"]).common
    assert pairs["horse", "zebra"] == "equine.n.01"
    assert pairs["tv", "cell phone"] == "electronic_equipment.n.01"
    assert pairs["apple", "orange"] == "edible_fruit.n.01"
    assert ("mouse", "cat") not in pairs and ("cat", "mouse") not in pairs


def test_no_words_no_kin() -> None:
    assert len(taxonomy.cohyponyms({"animal": ["cat"]})) == 0
    assert list(taxonomy.ontology({}).columns) == [
        "word",
        "category",
        "sense",
        "definition",
        "path",
    ]


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"steps": -1}, {"breadth": 0}])
def test_less_than_one_is_an_error(wrong) -> None:
    with pytest.raises(DaamkitError, match="one step and one kind at least"):
        taxonomy.kinship("cat", "dog", **wrong)
    with pytest.raises(DaamkitError, match="one step and one kind at least"):
        taxonomy.cohyponyms(TOYS, **wrong)


@functools.cache
def _nouns() -> list[str]:
    """Every fiftieth noun of WordNet."""
    return sorted(taxonomy.wordnet().all_lemma_names(pos="n"))[::50]


NAMED = sorted({*itertools.chain(*TOYS.values()), *itertools.chain(*taxonomy.COCO.values())})
WORDS = st.sampled_from(NAMED) | st.integers(0, 2000).map(lambda index: _nouns()[index])
few = settings(deadline=None, max_examples=100)


@few
@given(WORDS, WORDS, st.integers(1, 6), st.integers(1, 2000))
def test_kinship_is_mutual(a, b, steps, breadth) -> None:
    one, other = taxonomy.kinship(a, b, steps, breadth), taxonomy.kinship(b, a, steps, breadth)
    assert (one is None) == (other is None)
    if one and other:
        assert one == taxonomy.Kinship(
            *(other.b, other.a, other.sense_b, other.sense_a, other.common),
            *(other.steps_b, other.steps_a),
        )
        assert 1 <= one.steps_a <= steps and 1 <= one.steps_b <= steps
        assert one.common not in (one.sense_a, one.sense_b)


@few
@given(
    *(WORDS, WORDS, st.integers(1, 4), st.integers(0, 4)),
    *(st.integers(1, 2000), st.integers(0, 2000)),
)
def test_more_steps_and_more_breadth_lose_no_kin(a, b, steps, more, breadth, wider) -> None:
    if taxonomy.kinship(a, b, steps, breadth):
        assert taxonomy.kinship(a, b, steps + more, breadth)
        assert taxonomy.kinship(a, b, steps, breadth + wider)


@few
@given(WORDS)
def test_paths_go_from_a_sense_to_the_top_step_by_step(word) -> None:
    path = taxonomy.hypernyms(word)
    assert path[0] == taxonomy.sense(word)
    assert path[-1] == "entity.n.01"
    for below, above in itertools.pairwise(path):
        synset = taxonomy.wordnet().synset(below)
        assert above in {each.name() for each in synset.hypernyms() + synset.instance_hypernyms()}
    shortest = taxonomy.wordnet().synset(path[0]).min_depth()
    assert len(path) == shortest + 1
