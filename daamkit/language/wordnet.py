"""WordNet 3.0 as NLTK reads it: the user's own where it is there, else the one that ships."""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from functools import cache
from typing import Any

from daamkit import resources
from daamkit.errors import DaamkitError

# Universal parts of speech to WordNet's.
POS = {"NOUN": "n", "PROPN": "n", "VERB": "v", "AUX": "v", "ADJ": "a", "ADV": "r"}
SENSE = re.compile(r"(.+)\.[nvasr]\.0*[1-9]\d*")  # a sense's name


@cache
def wordnet() -> Any:
    """NLTK's reader of WordNet 3.0: of the user's own NLTK data where it is there, else of ours."""
    import nltk.data
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    shipped = resources.path("wordnet", "wordnet.zip")

    class Reader(WordNetCorpusReader):  # type: ignore[misc]  # NLTK has no types
        def map_wn(self, version: str = "wordnet") -> None:
            """No table of other versions' numbers, which only other languages need."""

        def synset_from_pos_and_offset(self, pos: str, offset: int) -> Any:
            """A sense; its file is first opened here, and its line first read."""
            try:
                found = super().synset_from_pos_and_offset(pos, offset)
            except Exception as error:
                raise _broken(self.root, error) from error
            if found is None:
                raise _broken(self.root, LookupError(f"no sense at {offset} of {pos!r}"))
            return found

    class Shipped(Reader):
        def open(self, file: str) -> Any:
            """Without NLTK's own opening, which refuses files outside its folders."""
            with zipfile.ZipFile(shipped) as archive:
                content = io.BytesIO(archive.read(f"wordnet/{file}"))
            return nltk.data.SeekableUnicodeStreamReader(content, "utf-8")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NLTK says that other languages are missing
        for name in ("corpora/wordnet", "corpora/wordnet.zip/wordnet/"):
            try:
                own = nltk.data.find(name)
            except LookupError:
                continue
            return _read(Reader, own)
        try:
            with zipfile.ZipFile(shipped) as archive:
                root = nltk.data.ZipFilePathPointer(archive, "wordnet/")
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise _broken(shipped, error) from error
        return _read(Shipped, root)


def _read(kind: Any, place: Any) -> Any:
    """A reader of these files; NLTK's errors for broken ones are of many kinds."""
    try:
        reader = kind(place, None)
        for pos in POS.values():
            if next(iter(reader.all_lemma_names(pos=pos)), None) is None:
                raise LookupError(f"no word in the index of {pos!r}")
    except Exception as error:
        raise _broken(place, error) from error
    return reader


def _broken(place: Any, error: Exception) -> DaamkitError:
    return DaamkitError(
        wanted=f"WordNet's files in {place}",
        got=f"broken ones ({type(error).__name__}: {(str(error).splitlines() or [''])[0]})",
        mend="take them away, and daamkit reads its own; if it is its own, reinstall daamkit",
    )


def written(word: str) -> str:
    """As WordNet's files have it."""
    return "_".join(word.lower().split())


def synsets(word: str, pos: str = "NOUN") -> list[Any]:
    """All that a word can mean, in WordNet's order; of a sense's name, that one."""
    form = written(word)
    if not SENSE.fullmatch(form):
        return wordnet().synsets(form, POS[pos])
    from nltk.corpus.reader.wordnet import WordNetError

    try:
        return [wordnet().synset(form)]
    except WordNetError:
        return []


def parents(name: str) -> list[str]:
    """The classes right above, in the order of WordNet's file; NLTK gives them in none."""
    synset = wordnet().synset(name)
    above = sorted(synset.hypernyms() + synset.instance_hypernyms(), key=lambda each: each.offset())
    return [each.name() for each in above]


@cache
def above(name: str) -> dict[str, tuple[str, ...]]:
    """A sense and all classes above it, the nearest first, with a shortest path to each."""
    paths: dict[str, tuple[str, ...]] = {name: (name,)}
    queue = [name]
    for each in queue:
        for parent in parents(each):
            if parent not in paths:
                paths[parent] = (*paths[each], parent)
                queue.append(parent)
    return paths
