"""How tags are spelled: a letter that says where in its entity a word stands, and a type.

``B-PER`` is the usual spelling. ``b-per``, ``B_PER``, ``B:PER``, ``B.PER``, ``B/PER``, ``B|PER``
and ``PER-B`` mean the same, and so do dashes of print, once most tags of a set are spelled so.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterable, Mapping

OUTSIDE = "O"
# First letters of tags as BIOES has them. U and W stand for one word, L for the last.
LETTERS = {"B": "B", "I": "I", "E": "E", "S": "S", "M": "I", "L": "E", "U": "S", "W": "S"}
# Other ways to say that a word belongs to no entity.
_NOTHING = ("o", "0", "_", "-", "")
_BEFORE = re.compile(r"([BIESMLUWO])[-_:./|‐‑–—−](.+)", re.IGNORECASE | re.DOTALL)
_BEHIND = re.compile(r"(.+)[-_:./|‐‑–—−]([BIESMLUWO])", re.IGNORECASE | re.DOTALL)
# What BERT's first taggers had among their labels: the ends of an input, padding ...
_CONTROL = re.compile(
    r"\[(CLS|SEP|PAD|UNK|MASK)\]|<(s|/s|pad|unk|start|stop)>|PAD|-100", re.IGNORECASE
)
# ... and what each piece behind the first of a word was to get.
PIECES = ("X", "[X]", "##")
_UNNAMED = re.compile(r"LABEL_\d+")  # a class that the model has, and whose name nobody stated

_BRACKETS = re.compile(r"\([^()*\s]+(\*?\)|\*)|\*\)?")  # one word, the first, one within, the last

_ODD_SHARE = 0.9  # of the words with a tag, for a set whose tags are spelled unusually


@functools.lru_cache(maxsize=4096)
def parse(tag: str) -> tuple[str, str]:
    """The letter of a tag (B, I, E, S, or O for none of these) and its type.

    A tag without a letter belongs to no entity. An unknown letter is read as I.

    Example:
        >>> parse("B-creative-work"), parse("M"), parse("LOC"), parse("Q-LOC"), parse("PER_b")
        (('B', 'creative-work'), ('I', ''), ('O', ''), ('I', 'LOC'), ('B', 'PER'))
    """
    letter, bar, kind = tag.partition("-")
    if bar and letter in LETTERS:
        return LETTERS[letter], kind
    if tag in _NOTHING or letter == OUTSIDE:
        return OUTSIDE, ""
    if before := _BEFORE.fullmatch(tag):
        letter, kind = before[1].upper(), before[2]
    elif behind := _BEHIND.fullmatch(tag):
        letter, kind = behind[2].upper(), behind[1]
    elif bar:
        return "I", kind
    else:
        return LETTERS.get(tag, OUTSIDE), ""
    return (OUTSIDE, "") if letter == OUTSIDE else (LETTERS[letter], kind)


def canonical(tag: str) -> str:
    """A tag in the usual spelling; one that marks no entity is O.

    Example:
        >>> canonical("b_per"), canonical("L-PER"), canonical("o")
        ('B-per', 'E-PER', 'O')
    """
    letter, kind = parse(tag)
    return f"{letter}-{kind}" if kind else letter


def is_usual(tag: str) -> bool:
    """Whether a tag has a known letter, a hyphen and a type, or is a known letter or O."""
    return tag == OUTSIDE or (tag[:1] in LETTERS and tag[1:2] in ("-", ""))


def is_odd(tag: str) -> bool:
    """Whether a tag is spelled in one of the unusual ways that :func:`parse` knows."""
    if is_usual(tag):
        return False
    return tag in _NOTHING or bool(_BEFORE.fullmatch(tag) or _BEHIND.fullmatch(tag))


def is_bare(tag: str) -> bool:
    """Whether a tag is a type without a letter, such as PER: among tags of entities it marks none.

    Example:
        >>> is_bare("PER"), is_bare("O"), is_bare("B-PER"), is_bare("X")
        (True, False, False, False)
    """
    known = is_usual(tag) or is_odd(tag) or tag in PIECES or is_control(tag)
    return not known and parse(tag)[0] == OUTSIDE


def bracketed(tags: Iterable[str]) -> bool:
    """Whether tags mark entities by brackets, as OntoNotes has them: ``(PER*``, ``*``, ``*)``.

    Example:
        >>> bracketed(["(PER*", "*)", "*", "(ORG)"]), bracketed(["*", "."]), bracketed(["(12", "-"])
        (True, False, False)
    """
    kinds = set(tags)
    return any("(" in tag for tag in kinds) and all(map(_BRACKETS.fullmatch, kinds))


def of_brackets(tags: Iterable[str]) -> tuple[str, ...]:
    """Tags in IOB2 of words whose entities are marked by brackets.

    Example:
        >>> of_brackets(["(PER*", "*)", "*", "(ORG)"])
        ('B-PER', 'I-PER', 'O', 'B-ORG')
    """
    names, kind = [], ""
    for tag in tags:
        begins = tag.strip("(*)") if tag.startswith("(") else ""
        kind = begins or kind
        names.append(f"{'B' if begins else 'I'}-{kind}" if kind else OUTSIDE)
        kind = "" if tag.endswith(")") else kind
    return tuple(names)


def is_control(label: str) -> bool:
    """Whether a tagger's label stands for [CLS], [SEP] or padding: no word can have it."""
    return _CONTROL.fullmatch(label) is not None


def is_unnamed(label: str) -> bool:
    """Whether a label is the placeholder of a class without a name."""
    return _UNNAMED.fullmatch(label) is not None


def marks_entities(tags: Iterable[str] | Mapping[str, int]) -> bool:
    """Whether tags mark entities, or are plain labels.

    Args:
        tags: of all words, or how many have each; what most of those other than O are decides, nine
            of ten where they are spelled unusually. B, I, E, S and M alone mark entities without a
            type, as in word segmentation.
    """
    counts = Counter(tags)
    special = [tag for tag in counts if is_control(tag) or is_unnamed(tag)]
    for tag in (OUTSIDE, *PIECES, *special):
        del counts[tag]
    typed = sum(count for tag, count in counts.items() if tag[:1] in LETTERS and tag[1:2] == "-")
    if 2 * typed > counts.total():
        return True
    if not typed and len(counts) > 1 and "B" in counts and set(counts) <= set("BIESM"):
        return True
    for tag in _NOTHING:
        del counts[tag]
    odd = {tag: count for tag, count in counts.items() if is_odd(tag)}
    letters = {parse(tag)[0] for tag in odd}
    return bool(letters & {"B", "I"}) and typed + sum(odd.values()) >= _ODD_SHARE * counts.total()
