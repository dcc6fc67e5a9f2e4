"""Treebanks become documents: heads, spaces, multiword tokens; captions become treebanks."""

import pytest
import spacy

from daamkit.errors import DaamkitError
from daamkit.language import treebank
from daamkit.toybox import conllu, scenes
from tests.maps.test_saved import in_its_place

SENTENCE = """# text = I don't (really).
1\tI\tI\tPRON\tPRP\t_\t5\tnsubj\t_\t_
2-3\tdon't\t_\t_\t_\t_\t_\t_\t_\t_
2\tdo\tdo\tAUX\tVBP\t_\t5\taux\t_\t_
3\tn't\tnot\tPART\tRB\t_\t5\tadvmod\t_\t_
4\t(\t(\tPUNCT\t-LRB-\t_\t5\tpunct\t_\tSpaceAfter=No
5\treally\treally\tADV\tRB\t_\t0\troot\t_\tSpaceAfter=No
5.1\tgo\tgo\tVERB\tVB\t_\t_\t_\t_\t_
6\t)\t)\tPUNCT\t-RRB-\t_\t5\tpunct\t_\tSpaceAfter=No
7\t.\t.\tPUNCT\t.\t_\t5\tpunct\t_\t_
"""


@pytest.fixture(scope="module")
def vocab():
    return spacy.blank("en").vocab


def test_a_sentence_is_read_whole(vocab, tmp_path) -> None:
    file = tmp_path / "one.conllu"
    file.write_text(SENTENCE + "\n" + SENTENCE)  # the last without an empty line after it
    one, two = treebank.documents(file, vocab)
    assert one.text == two.text == "I don't (really). "
    assert [token.pos_ for token in one][:3] == ["PRON", "AUX", "PART"]
    assert [token.head.i for token in one] == [4, 4, 4, 4, 4, 4, 4]
    assert [token.dep_ for token in one][3:6] == ["punct", "ROOT", "punct"]


def test_what_is_no_treebank_is_an_error(vocab, tmp_path) -> None:
    file = tmp_path / "one.conllu"
    file.write_text("# fine\n1\tI\tI\n")
    with pytest.raises(DaamkitError, match="3 in line 2"):
        list(treebank.documents(file, vocab))


def test_captions_come_through_conllu_as_they_were(vocab, tmp_path) -> None:
    file = tmp_path / "captions.conllu"
    drawn = scenes.sample(200, seed=3)
    file.write_text("".join(conllu.sentence(scene) for scene in drawn))
    for scene, document in zip(drawn, treebank.documents(file, vocab), strict=True):
        assert document.text.rstrip() == scene.caption
        for word, token in zip(scene.words, document, strict=True):
            assert (word.text, word.start, word.pos) == (token.text, token.idx, token.pos_)
            assert word.head == token.head.i
            assert word.relation == token.dep_.replace("ROOT", "root")


def test_templates_are_held_out(tmp_path) -> None:
    size = ["--n", "40", "--out", str(tmp_path / "captions.conllu")]
    conllu.main([*size, "--only", "below", "holding"])
    held = (tmp_path / "captions.conllu").read_text()
    captions = [line for line in held.splitlines() if line.startswith("# text")]
    assert len(set(captions)) == 40
    assert all(" below " in text or " holding " in text for text in captions)
    conllu.main([*size, "--without", "below", "holding"])
    assert " below " not in (tmp_path / "captions.conllu").read_text()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2-3", "2-999999999"),
        ("2-3", "3-2"),
        ("2-3", "2-x"),
        ("2-3", "-"),
        ("\n4\t", "\nfour\t"),
        ("\n4\t", "\n5\t"),
        ("\t0\troot", "\t9\troot"),
        ("\t0\troot", "\t5\troot"),  # its own head
        ("\t0\troot", "\t1\troot"),  # a circle
        ("\t0\troot", "\t-3\troot"),
        ("\t0\troot", "\t_\troot"),
        ("\tPRON\t", "\tPRONOUN\t"),
        ("1\tI\t", "1\t\t"),
    ],
)
def test_a_sentence_that_is_no_tree_of_words(tmp_path, vocab, old, new) -> None:
    file = tmp_path / "t.conllu"
    assert old in SENTENCE
    file.write_text(SENTENCE.replace(old, new, 1) + "\n")
    with pytest.raises(DaamkitError, match=r"t\.conllu"):
        list(treebank.documents(file, vocab))


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "far too large", "a link to nothing"])
def test_what_is_no_file_is_no_treebank(tmp_path, vocab, kind) -> None:
    file = tmp_path / "t.conllu"
    file.write_text(SENTENCE)
    in_its_place(kind, file)
    with pytest.raises(DaamkitError, match=r"t\.conllu"):
        list(treebank.documents(file, vocab))
