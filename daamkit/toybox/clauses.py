"""Sentences of world 2 with a verb, a comparison or a denial; how each is drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from daamkit.toybox import layouts, phrases, sprites
from daamkit.toybox.captions import Noun, Sentence
from daamkit.toybox.layouts import Placed, Plan

# The participle as world 1 has it: third person, preposition, how often, who, whom
VERBS: dict[str, tuple[str, str | None, float, tuple[str, ...], tuple[str, ...]]] = {
    "wearing": ("wears", None, 0.22, sprites.BEINGS, ("crown", "glasses", "bow")),
    "holding": (
        "holds", None, 0.16, sprites.BEINGS,
        ("balloon", "apple", "banana", "umbrella", "cookie", "ball"),
    ),
    "sitting on": ("sits", "on", 0.20, sprites.BEINGS, ("chair", "bench", "suitcase", "car")),
    "chasing": ("chases", None, 0.20, sprites.BEINGS, sprites.BEINGS),
    "riding": (
        "rides", None, 0.22, (*sprites.BEINGS, "teddy bear"),
        ("horse", "elephant", "turtle", "rabbit", "cat"),
    ),
}  # fmt: skip
QUIET = (
    "sitting on",
    "chasing",
    "riding",
)  # whose things are large enough to be drawn at half size


def actors(rng: np.random.Generator, verb: str, first: int = 0) -> tuple[Noun, Noun]:
    """Who does what a verb says, and to whom."""
    _, _, _, subjects, objects = VERBS[verb]
    target = str(rng.choice(objects))
    actor = str(rng.choice([name for name in subjects if name != target]))
    return (phrases.noun(rng, actor, first), phrases.noun(rng, target, first + 1))


def pick(rng: np.random.Generator, verbs: tuple[str, ...] = tuple(VERBS)) -> str:
    """A verb, as often as `VERBS` has it."""
    weights = np.array([VERBS[verb][2] for verb in verbs])
    return str(rng.choice(verbs, p=weights / weights.sum()))


def write(
    rng: np.random.Generator,
    sentence: Sentence,
    subject: Noun,
    verb: str,
    object_: Noun,
    relation: str = "root",
    head: int | None = None,
    marker: str | None = None,
) -> int:
    """Append "a cat chases a dog" or "the cat is chasing a dog"; returns the verb's index.

    Parameters
    ----------
    relation, head
        Of the verb; without a head it is the root.
    marker
        "while", in front of the clause.
    """
    simple, preposition, *_ = VERBS[verb]
    progressive = rng.random() < 0.5
    start = len(sentence.words)
    if marker:
        sentence.add(marker, "SCONJ", "mark", start)
    actor = phrases.say(rng, sentence, subject, "nsubj", start, definite=0.45)
    act = len(sentence.words) + progressive
    if progressive:
        sentence.add("is", "AUX", "aux", act)
    said = verb.split()[0] if progressive else simple
    sentence.add(said, "VERB", relation, act if head is None else head, subject.things)
    for index in (actor, start) if marker else (actor,):
        sentence.hang(index, act)
    complete(rng, sentence, subject, verb, object_, act, preposition)
    return act


def complete(
    rng: np.random.Generator,
    sentence: Sentence,
    subject: Noun,
    verb: str,
    object_: Noun,
    act: int,
    preposition: str | None,
) -> None:
    """Append what the verb is done to: "a dog", "on a chair", "its crown"."""
    sentence.events.append((verb, subject.name, object_.name))
    if preposition:
        phrases.say(rng, sentence, object_, "obl", act, case=(preposition,))
    elif verb in ("wearing", "holding") and rng.random() < 0.25:
        sentence.phrase(object_, "obj", act, owner=subject.things)
    else:
        phrases.say(rng, sentence, object_, "obj", act)


def clause(rng: np.random.Generator, sentence: Sentence) -> Plan:
    """One event, or, one time in four, two: "... while a dog chases a mouse"."""
    if rng.random() < 0.25:
        return _two(rng, sentence)
    verb = pick(rng)
    subject, object_ = actors(rng, verb)
    root = write(rng, sentence, subject, verb, object_)
    return layouts.act(rng, subject, object_, verb), verb, root


def _two(rng: np.random.Generator, sentence: Sentence) -> Plan:
    """Two events, one above the other."""
    plans, root = [], 0
    for index in range(2):
        verb = pick(rng, QUIET)
        subject, object_ = actors(rng, verb, 2 * index)
        subject, object_ = (replace(noun, size=None) for noun in (subject, object_))
        if index:
            write(rng, sentence, subject, verb, object_, "advcl", root, marker="while")
        else:
            root = write(rng, sentence, subject, verb, object_)
        plans.append(layouts.act(rng, subject, object_, verb))
    upper = rng.random() < 0.5
    placed = layouts.halved(plans[0], upper) + layouts.halved(plans[1], not upper)
    return placed, "while", root


def participle(rng: np.random.Generator, sentence: Sentence) -> Plan:
    """World 1's "a cat chasing a dog", or "a cat that is chasing a dog"."""
    verb = pick(rng)
    subject, object_ = actors(rng, verb)
    root = phrases.say(rng, sentence, subject)
    word, *preposition = verb.split()
    relative = rng.random() < 0.4
    act = len(sentence.words) + 2 * relative
    if relative:
        sentence.add("that", "PRON", "nsubj", act, subject.things)
        sentence.add("is", "AUX", "aux", act)
    sentence.add(word, "VERB", "acl:relcl" if relative else "acl", root, subject.things)
    complete(rng, sentence, subject, verb, object_, act, "".join(preposition) or None)
    return layouts.act(rng, subject, object_, verb), verb, root


def comparison(rng: np.random.Generator, sentence: Sentence) -> Plan:
    """ "a cat bigger than a dog", or "the cat is bigger than the dog"."""
    first, second = (
        phrases.noun(rng, name, i, plain=True) for i, name in enumerate(phrases.names(rng, 2))
    )
    word = str(rng.choice(["bigger", "smaller"]))
    whole = rng.random() < 0.4
    root = phrases.say(rng, sentence, first, "nsubj" if whole else "root", definite=0.4)
    measure = len(sentence.words) + whole
    if whole:
        sentence.hang(root, measure)
        sentence.add("is", "AUX", "cop", measure)
        root = measure
    sentence.add(word, "ADJ", "root" if whole else "amod", root, first.things)
    phrases.say(rng, sentence, second, "obl", measure, case=("than",), definite=0.4)
    return layouts.compared(rng, first, second, word == "bigger"), f"{word} than", root


def denial(rng: np.random.Generator, sentence: Sentence) -> Plan:
    """ "a dog without a crown", "a dog with no crown", "a dog and no cat": not drawn."""
    here, absent = phrases.names(rng, 2)
    if here in sprites.BEINGS and rng.random() < 0.5:
        absent = str(rng.choice(("crown", "glasses", "bow")))
    noun = phrases.noun(rng, here, 0)
    root = phrases.say(rng, sentence, noun)
    missing = replace(phrases.noun(rng, absent, plain=True), texture=None)
    kind = rng.choice(3)
    if absent in sprites.NAMES or kind == 0:
        phrases.say(rng, sentence, missing, "nmod", root, case=("without",))
    elif kind == 1:
        sentence.phrase(missing, "nmod", root, case=("with",), article="no")
    else:
        sentence.phrase(missing, "conj", root, coordinator="and", article="no")
    x, y = rng.uniform(46, 82), rng.uniform(50, 82)
    return [Placed(noun, 0, x, y, layouts.size(rng, noun, 54, 74))], "without", root
