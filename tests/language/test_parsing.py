"""Prompts parsed: relations, characters, who means whom, whatever pipeline did it."""

from pathlib import Path

import pytest
import spacy
from hypothesis import example, given, settings
from hypothesis import strategies as st
from spacy.language import Language
from spacy.tokens import Doc

from daamkit import resources
from daamkit.errors import DaamkitError
from daamkit.language import dependencies, parsing, treebank
from daamkit.language.parsing import CONTENT, Parse
from daamkit.language.segments import segments
from daamkit.toybox import scenes
from daamkit.toybox.captions import PLURALS
from daamkit.toybox.scenes import Scene
from daamkit.toybox.sprites import THINGS

CAPTIONS = Path(__file__).parent / "captions.conllu"


def said(parse: Parse) -> str:
    """Relation and head of each word, a root alone."""
    return " ".join(
        token.relation
        if token.head == token.index
        else f"{token.relation}/{parse.tokens[token.head].text}"
        for token in parse.tokens
    )


def meant(text: str) -> list[tuple[str, str]]:
    """Pronouns with what they mean."""
    return [(pair.dependent.text, pair.head.text) for pair in parsing.parse(text).coreferent()]


def check(parse: Parse) -> None:
    """What holds of every parse."""
    assert [token.index for token in parse.tokens] == list(range(len(parse.tokens)))
    assert "".join(token.text for token in parse.tokens) == "".join(parse.text.split())
    for token in parse.tokens:
        assert parse.text[token.start : token.end] == token.text
        assert (token.head == token.index) == (token.relation == "root")
        assert parse.at(token.start) == token
    for phrase in [*parse.phrases(), *parse.nouns()]:
        assert parse.text[phrase.start : phrase.end] == phrase.text
        noun = phrase.noun
        assert phrase.start <= noun.start < noun.end <= phrase.end
        rest = [t.end for t in parse.tokens if (t.head, t.relation) == (noun.index, "flat")]
        assert phrase.end in (noun.end, *rest)  # "Santa Claus" ends behind its first word
    roots = [token for token in parse.tokens if token.head == token.index]
    assert len(parse.edges()) + len(roots) == len(parse.tokens)


# The parser that ships


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "a red cat next to a blue car",
            "det/cat amod/cat root case/car case/car det/car amod/car nmod:next_to/cat",
        ),
        ("cats and dogs", "root cc/dogs conj:and/cats"),
        (
            "a bird, a dog and a frog",
            "det/bird root punct/dog det/dog conj:and/bird cc/frog det/frog conj:and/bird",
        ),
        ("a cat sitting on a bench", "det/cat root acl/cat case/bench det/bench obl:on/sitting"),
        ("the cat's tail", "det/cat nmod:poss/tail case/cat root"),
        ("a man is riding a horse", "det/man nsubj/riding aux/riding root det/horse obj/riding"),
        ("a cup of tea", "det/cup root case/tea nmod:of/cup"),
        ("two dogs wearing their crowns", "nummod/dogs root acl/dogs nmod:poss/crowns obj/wearing"),
    ],
)
def test_relations_with_their_collapsed_names(text: str, wanted: str) -> None:
    assert said(parsing.parse(text)) == wanted


def test_coco_captions_are_parsed_well_enough() -> None:
    nlp = parsing.spacy_pipeline()
    gold = list(treebank.documents(CAPTIONS, nlp.vocab))
    assert len(gold) == 40
    blank = [Doc(nlp.vocab, [t.text for t in d], [bool(t.whitespace_) for t in d]) for d in gold]
    right = [
        g.head.i == p.head.i
        for one, other in zip(gold, nlp.pipe(blank), strict=True)
        for g, p in zip(one, other, strict=True)
    ]
    assert sum(right) / len(right) >= 0.90


@pytest.fixture(scope="module")
def captions() -> list[tuple[Scene, Parse]]:
    drawn = scenes.sample(400, seed=11)
    return list(zip(drawn, parsing.parse_all([scene.caption for scene in drawn]), strict=True))


def test_captions_are_parsed_as_they_were_written(captions: list[tuple[Scene, Parse]]) -> None:
    words = heads = both = 0
    for scene, parse in captions:
        assert [(t.text, t.start) for t in parse.tokens] == [(w.text, w.start) for w in scene.words]
        for token, word in zip(parse.tokens, scene.words, strict=True):
            basic, _, more = token.relation.partition(":")
            relation = token.relation if more == "poss" else basic
            words += 1
            heads += token.head == word.head
            both += (token.head, relation) == (word.head, word.relation)
    assert heads / words >= 0.99 and both / words >= 0.99


def test_every_its_of_a_caption_finds_whom_it_means(captions: list[tuple[Scene, Parse]]) -> None:
    seen = 0
    for scene, parse in captions:
        pronouns = [index for index, word in enumerate(scene.words) if word.text == "its"]
        pairs = parse.coreferent()
        assert [pair.dependent.index for pair in pairs] == pronouns
        for pair in pairs:
            antecedent = scene.words[pair.head.index]
            assert antecedent.pos == "NOUN"
            assert antecedent.things == scene.words[pair.dependent.index].things
        seen += len(pairs)
    assert seen >= 8


def test_content_words_are_either_an_edge_or_unrelated(
    captions: list[tuple[Scene, Parse]],
) -> None:
    for _, parse in captions:
        content = {token.index for token in parse.tokens if token.pos in CONTENT}
        edges = [{p.head.index, p.dependent.index} for p in parse.edges()]
        edges = [edge for edge in edges if edge <= content]
        unrelated = [{p.head.index, p.dependent.index} for p in parse.unrelated()]
        coreferent = [{p.head.index, p.dependent.index} for p in parse.coreferent()]
        every = [{a, b} for a in content for b in content if a < b]
        assert sorted(map(sorted, edges + unrelated)) == sorted(map(sorted, every))
        assert not any(pair in coreferent for pair in unrelated)
        assert len(parse.pairs()) == len(parse.edges()) + len(coreferent) + len(unrelated)


def test_unrelated_pairs_come_in_the_order_of_the_prompt() -> None:
    pairs = parsing.parse("a red cat next to a blue car").unrelated()
    assert [(p.head.text, p.dependent.text) for p in pairs] == [
        ("red", "blue"), ("red", "car"), ("cat", "blue"),
    ]  # fmt: skip
    assert {pair.relation for pair in pairs} == {"unrelated"}


# Characters


@pytest.mark.parametrize(
    "text",
    [
        "a cat", " a cat", "a cat ", "a  red   cat", "a red\ncat", "\na red cat\n", "a\tred cat",
        "a\xa0red cat", "don't wake the cat's kittens", "a cat-like dog", 'a "red" cat',
        "a “red” cat’s tail", "a (very) red cat!", "un café près d'une forêt", "a 🐱 and a 🐶",
        "ein großer Hund, 猫と犬", "cat,dog;bird/frog", "a cat. A dog.\n\nA bird.",
    ],
)  # fmt: skip
def test_words_stand_where_they_say(text: str) -> None:
    check(parsing.parse(text))


def test_contractions_are_two_words() -> None:
    parse = parsing.parse("I don't see the cat's tail")
    assert [(token.text, token.start) for token in parse.tokens] == [
        ("I", 0), ("do", 2), ("n't", 4), ("see", 8), ("the", 12), ("cat", 16), ("'s", 19),
        ("tail", 22),
    ]  # fmt: skip


@pytest.mark.parametrize("space", ["  ", "\n", "\t", " \n ", "\xa0"])
def test_the_width_of_spaces_does_not_matter(space: str) -> None:
    text = "a red cat, a dog next to a blue car"
    plain, wide = parsing.parse(text), parsing.parse(space + text.replace(" ", space) + space)
    check(wide)
    assert said(wide) == said(plain)


WORDS = st.sampled_from(
    ["a", "two", "red", "cats", "dog", "its", "their", "it", "don't", "cat's", "and", ",", "wears"]
)
SPACES = st.sampled_from([" ", " ", " ", "  ", "\n", "", " - "])


@settings(max_examples=80, deadline=None)
@example([("\n", "cat")])
@example([(" ", "Õ\rÖ"), (" ", "a")])
@given(st.lists(st.tuples(SPACES, WORDS | st.text(max_size=5)), min_size=1, max_size=9))
def test_whatever_is_written_is_parsed(parts: list[tuple[str, str]]) -> None:
    parse = parsing.parse("".join(space + word for space, word in parts) + " cat")
    check(parse)
    for pair in parse.pairs():
        assert pair.head != pair.dependent
        assert pair.head in parse.tokens and pair.dependent in parse.tokens
    assert all(phrase.name for phrase in [*parse.nouns(), *parse.phrases()])


def test_a_character_inside_a_word_begins_none() -> None:
    with pytest.raises(DaamkitError, match=r"a word at character 3.*words at 0, 2"):
        parsing.parse("a cat").at(3)


@pytest.mark.parametrize("text", ["", "  ", "\n", "...", "?! -", "“”"])
def test_a_prompt_without_a_word_is_an_error(text: str) -> None:
    with pytest.raises(DaamkitError, match="a prompt with words"):
        parsing.parse(text)
    with pytest.raises(DaamkitError, match="a prompt with words"):
        parsing.parse_all(["a cat", text])


def test_many_prompts_are_parsed_as_one_by_one() -> None:
    texts = ["a red cat", "two dogs in the snow", "a bird"]
    assert parsing.parse_all(texts) == [parsing.parse(text) for text in texts]
    assert parsing.parse_all([]) == []


# Nouns and phrases


def test_nouns_have_their_compounds() -> None:
    parse = parsing.parse("a red teddy bear on a bench")
    assert [(noun.text, noun.name) for noun in parse.nouns()] == [
        ("teddy bear", "teddy bear"), ("bench", "bench"),
    ]  # fmt: skip
    assert [noun.noun.text for noun in parse.nouns()] == ["bear", "bench"]


def test_names_are_small_letters_in_the_singular() -> None:
    parse = parsing.parse("two Teddy Bears and three mice wearing glasses")
    assert [noun.name for noun in parse.nouns()] == ["teddy bear", "mouse", "glasses"]


@pytest.mark.parametrize(
    ("many", "one"),
    [("dogs", "dog"), ("mice", "mouse"), ("women", "woman"), ("men", "man"), ("cows", "cow")]
    + [("windows", "window"), ("shoes", "shoe"), ("eggs", "egg")],
)
def test_plurals_are_many(many: str, one: str) -> None:
    noun = parsing.parse(f"two {many}").tokens[1]
    assert noun.many and noun.lemma == one
    assert not parsing.parse(f"a {one}").tokens[1].many


@pytest.mark.parametrize("thing", THINGS)
def test_things_of_the_toy_world_are_named_in_the_singular(thing: str) -> None:
    nouns = parsing.parse(f"two {PLURALS.get(thing, thing + 's')}").nouns()
    assert [noun.name for noun in nouns] == [thing]


def test_phrases_have_what_stands_before_the_noun() -> None:
    parse = parsing.parse("A  red teddy bear next to the old man's two dogs in snow")
    assert [phrase.text for phrase in parse.phrases()] == [
        "A  red teddy bear", "the old man", "the old man's two dogs", "snow",
    ]  # fmt: skip
    assert parse.phrases()[0].name == "a red teddy bear"


# Who means whom


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a dog wearing its crown", [("its", "dog")]),
        ("a dog and its owner", [("its", "dog")]),
        ("two dogs wearing their crowns", [("their", "dogs")]),
        ("a cat chases a dog and it runs", [("it", "dog")]),
        ("a cat and a dog wearing their crowns", [("their", "cat")]),
        ("a woman looking at herself", [("herself", "woman")]),
        ("a girl with her dog", [("her", "girl")]),
        ("its owner", []),
        ("a dog wearing a crown", []),
    ],
)
def test_pronouns_find_what_they_mean(text: str, wanted: list[tuple[str, str]]) -> None:
    assert meant(text) == wanted


def test_a_pronoun_agrees_in_number_if_a_noun_does() -> None:
    assert meant("two cats near a dog and its owner") == [("its", "dog")]
    assert meant("two cats near a dog and their owner") == [("their", "cats")]


# Other pipelines


@Language.factory("clear_stand_in")
class ClearParser:
    """Knows two sentences in CLEAR, the labels of spaCy's English models."""

    labels = ("amod", "det", "dobj", "nsubj", "nummod", "pobj", "prep", "ROOT")
    known = (
        (
            "two cats are on a red mat",
            "NUM NOUN AUX ADP DET ADJ NOUN",
            "nummod nsubj ROOT prep det amod pobj",
            [1, 2, 2, 2, 6, 6, 3],
        ),
        ("cats wear crowns", "NOUN VERB NOUN", "nsubj ROOT dobj", [1, 1, 1]),
    )

    def __init__(self, nlp: Language, name: str) -> None:
        pass

    def __call__(self, doc: Doc) -> Doc:
        _, pos, deps, heads = next(each for each in self.known if each[0] == doc.text)
        for token, p, d, h in zip(doc, pos.split(), deps.split(), heads, strict=True):
            token.pos_, token.dep_, token.head = p, d, doc[h]
        return doc


@pytest.fixture
def clear() -> Language:
    nlp = spacy.blank("en")
    nlp.add_pipe("clear_stand_in", name="parser")
    return nlp


def test_a_pipeline_that_speaks_clear(clear: Language) -> None:
    parse = parsing.parse("two cats are on a red mat", clear)
    assert said(parse) == "nummod/cats nsubj/mat cop/mat case/mat det/mat amod/mat root"
    check(parse)
    parse = parsing.parse("cats wear crowns", clear)
    assert said(parse) == "nsubj/wear root obj/wear"


def test_documents_are_read_in_either_label_set(clear: Language) -> None:
    document = clear("two cats are on a red mat")
    universal = parsing.from_spacy(document, clear=True)
    assert parsing.from_spacy(document) == universal
    assert "prep/are" in said(parsing.from_spacy(document, clear=False))
    nlp = parsing.spacy_pipeline()
    assert dependencies.is_clear(nlp.get_pipe("parser").labels) is False
    assert parsing.from_spacy(nlp("a red cat")) == parsing.parse("a red cat")


def test_what_hangs_on_a_space_hangs_on_the_word_above_it() -> None:
    vocab = spacy.blank("en").vocab
    document = Doc(
        vocab, ["a", "\n", "cat"], [False] * 3, pos=["DET", "SPACE", "NOUN"], heads=[1, 2, 2],
        deps=["det", "dep", "ROOT"],
    )  # fmt: skip
    assert said(parsing.from_spacy(document, clear=False)) == "det/cat root"
    document = Doc(
        vocab, ["cat", "\n"], [False] * 2, pos=["NOUN", "SPACE"], heads=[1, 1],
        deps=["compound", "ROOT"],
    )  # fmt: skip
    for labels in (True, False, None):
        assert said(parsing.from_spacy(document, labels)) == "root"


@pytest.mark.parametrize("kind", [str, Path])
def test_a_pipeline_by_its_folder(kind: type) -> None:
    folder = kind(resources.path("parser"))
    assert parsing.parse("a red cat in snow", folder) == parsing.parse("a red cat in snow")


def test_a_pipeline_that_is_not_installed_says_how_to_get_it() -> None:
    wanted = r"pipeline 'en_core_web_none'.*python -m spacy download en_core_web_none"
    for _ in range(2):
        with pytest.raises(DaamkitError, match=wanted):
            parsing.parse("a cat", "en_core_web_none")


def made(language: str, labels: list[str]) -> Language:
    """A blank pipeline of a language, whose parser knows these relations."""
    plain = {"nlp": {"tokenizer": {"@tokenizers": "spacy.Tokenizer.v1"}}}  # Korean's is no part
    nlp = spacy.blank(language, config=plain)
    parser = nlp.add_pipe("parser")
    for label in labels:
        parser.add_label(label)
    return nlp


def test_pipelines_of_other_languages_speak_universal_dependencies() -> None:
    for language, more in (("de", "obl:arg"), ("ko", "dislocated"), ("zh", "mark:clf")):
        nlp = made(language, ["nsubj", "case", "ROOT", "dep", more])
        assert parsing.spacy_pipeline(nlp) is nlp


@pytest.mark.parametrize(
    ("language", "labels", "said"),
    [
        ("de", ["sb", "nk", "oa", "ROOT"], "language 'de' with relations such as nk, oa, sb"),
        ("zh", ["nsubj", "dobj", "prep", "ROOT"], "language 'zh' with relations such as dobj"),
        ("en", ["nsubj", "OBJECT", "ROOT"], "language 'en' with relations such as OBJECT"),
    ],
)
def test_relations_of_other_sets_are_refused(language, labels, said) -> None:
    with pytest.raises(DaamkitError, match=said):
        parsing.parse("a cat", made(language, labels))


OTHERS = {  # word, space, part of speech, head, relation: German, Korean and Chinese
    "de": (
        "ein/DET/2/det roter/ADJ/2/amod Hund/NOUN/2/ROOT auf/ADP/5/case der/DET/5/det"
        " Wiese/NOUN/2/nmod",
        " ",
        "det/Hund amod/Hund root case/Wiese det/Wiese nmod:auf/Hund",
    ),
    "ko": (
        "빨간/ADJ/1/amod 고양이가/NOUN/3/nsubj 의자에/NOUN/3/obl 앉아/VERB/3/ROOT 있다/AUX/3/aux",
        " ",
        "amod/고양이가 nsubj/앉아 obl/앉아 root aux/앉아",
    ),
    "zh": (
        "一/NUM/2/nummod 只/NOUN/0/clf 猫/NOUN/3/nsubj 坐/VERB/3/ROOT 在/ADP/5/case"
        " 椅子/NOUN/3/obl",
        "",
        "nummod/猫 clf/一 nsubj/坐 root case/椅子 obl:在/坐",
    ),
}


@pytest.mark.parametrize("language", OTHERS)
def test_documents_of_other_languages_are_read(language: str) -> None:
    sentence, space, wanted = OTHERS[language]
    words, pos, heads, deps = zip(*(row.split("/") for row in sentence.split()), strict=True)
    spaces = [bool(space)] * len(words)
    document = Doc(
        spacy.blank("xx").vocab, list(words), spaces, pos=list(pos), heads=[*map(int, heads)],
        deps=list(deps),
    )  # fmt: skip
    parse = parsing.from_spacy(document)
    check(parse)
    assert said(parse) == wanted
    nouns = [noun.text for noun in parse.nouns()]
    assert nouns == [w for w, p in zip(words, pos, strict=True) if p == "NOUN"]


@Language.factory("stand_in_of_others")
class OtherParser:
    """Knows the sentences of `OTHERS`, Chinese by the character."""

    labels = ("nsubj", "obl", "case", "nmod", "clf", "compound", "ROOT")
    characters = (
        "一/NUM/2/nummod 只/NOUN/0/clf 猫/NOUN/3/nsubj 坐/VERB/3/ROOT 在/ADP/6/case"
        " 椅/NOUN/6/compound 子/NOUN/3/obl"
    )

    def __init__(self, nlp: Language, name: str) -> None:
        self.sentence = self.characters if nlp.lang == "zh" else OTHERS[nlp.lang][0]

    def __call__(self, doc: Doc) -> Doc:
        for token, row in zip(doc, self.sentence.split(), strict=True):
            word, token.pos_, head, token.dep_ = row.split("/")
            assert word == token.text
            token.head = doc[int(head)]
        return doc


@pytest.mark.parametrize(("language", "last"), [("de", "Wiese"), ("ko", "의자에"), ("zh", "椅子")])
def test_prompts_of_other_languages_by_their_own_tokenizers(language: str, last: str) -> None:
    plain = {"nlp": {"tokenizer": {"@tokenizers": "spacy.Tokenizer.v1"}}}  # as Korean's models have
    nlp = spacy.blank(language, config=plain if language == "ko" else {})
    nlp.add_pipe("stand_in_of_others", name="parser")
    sentence, space, _ = OTHERS[language]
    text = space.join(row.split("/")[0] for row in sentence.split())
    parse = parsing.parse(text, nlp)
    check(parse)
    assert parse.text == text
    assert last in [noun.text for noun in parse.nouns()]
    assert {token.relation.split(":")[0] for token in parse.tokens} >= {"nsubj", "obl"} or (
        language == "de"
    )


# Tag lists and weighting syntax


def test_tags_are_parsed_each_by_itself() -> None:
    text = "a red cat on a mat, highly detailed, 8k, artstation, octane render"
    parse = parsing.parse(text)
    check(parse)
    roots = [token.text for token in parse.tokens if token.head == token.index]
    assert roots == ["cat", "detailed", "8k", "artstation", "render"]
    commas = [token for token in parse.tokens if token.text == ","]
    assert [parse.tokens[comma.head].text for comma in commas] == roots[:-1]
    alone = parsing.parse("a red cat on a mat").edges()
    assert parse.edges()[: len(alone)] == alone


@pytest.mark.parametrize(
    "text",
    [
        "a bird, a dog and a frog",
        "a cat, red, sits on a mat",
        "In winter, a cat",
        "a cat. A dog, 3",
    ],
)
def test_a_sentence_with_commas_is_no_tag_list(text: str) -> None:
    assert segments(text) == [(0, len(text))]


@pytest.mark.parametrize(
    "text", [", a cat, 8k", "a cat,, 8k,", "a cat | 8k | artstation", "8k, 4k", "a cat, (8k:1.2)"]
)
def test_odd_tag_lists_are_whole(text: str) -> None:
    parse = parsing.parse(text)
    for token in parse.tokens:
        assert text[token.start : token.end] == token.text
        assert (token.head == token.index) == (token.relation == "root")
    assert all(0 <= token.head < len(parse.tokens) for token in parse.tokens)


def test_weighting_syntax_is_not_parsed() -> None:
    parse = parsing.parse("a (red cat:1.3) on grass <lora:ink:1>")
    assert [token.text for token in parse.tokens] == ["a", "(", "red", "cat", ")", "on", "grass"]
    assert parse.tokens[3].start == 7
    with pytest.raises(DaamkitError, match="a prompt with words"):
        parsing.parse("<lora:ink:1>")


def test_a_pipeline_without_a_parser_is_an_error(tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    with pytest.raises(DaamkitError, match=r"that parses; got .*the components none"):
        parsing.parse("a cat", nlp)
    nlp.add_pipe("sentencizer")
    nlp.to_disk(tmp_path / "own")
    with pytest.raises(DaamkitError, match="the components sentencizer"):
        parsing.spacy_pipeline(str(tmp_path / "own"))


def test_an_open_pipeline_is_taken_as_it_is(clear: Language) -> None:
    assert parsing.spacy_pipeline(clear) is clear
    assert parsing.spacy_pipeline() is parsing.spacy_pipeline(None)
