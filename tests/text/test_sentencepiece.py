"""SentencePiece with GluonNLP's rules against the library itself."""

from __future__ import annotations

import collections
import math
import pickle
import random
import sys
from pathlib import Path

import pytest
import sentencepiece
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from plainbert.errors import CheckpointError, FormatError, MissingDependencyError, UsageError
from plainbert.text import sentencepiece_model
from plainbert.text.sampling import Segmenter
from plainbert.text.sentencepiece import SentencePiece
from tests.helpers import google

UNIGRAM, BPE = (google.FIXTURES / f"{kind}1000.model" for kind in ("unigram", "bpe"))
MODELS = [(UNIGRAM, True), (UNIGRAM, False), (BPE, True), (BPE, False)]
OURS = {case: SentencePiece(*case) for case in MODELS}
LIBRARY = {
    path: sentencepiece.SentencePieceProcessor(model_file=str(path)) for path in (UNIGRAM, BPE)
}


def slow_ids(text: str, path: Path, lower: bool) -> list[int]:
    """GluonNLP's rule: Google's words, then the library on every one."""
    ids: list[int] = []
    for word in google.words(text, lower):
        ids += LIBRARY[path].encode("".join(char for char, _ in word))
    return ids


@pytest.mark.parametrize("case", MODELS)
def test_equals_the_library_word_by_word(case: tuple[Path, bool]) -> None:
    for text in google.LANGUAGES:
        assert OURS[case].ids(text) == slow_ids(text, *case)


def test_the_example_of_gluonnlp() -> None:
    """Punctuation gets the mark of a word too."""
    pieces = OURS[UNIGRAM, True].tokenize("Better is to bow than break.")
    assert pieces[-2:] == ["\u2581", "."]
    assert "".join(pieces).replace("\u2581", " ") == " better is to bow than break ."
    assert OURS[UNIGRAM, True].is_first("\u2581a")
    assert not OURS[UNIGRAM, True].is_first("a")


@pytest.mark.parametrize("case", MODELS)
def test_special_tokens_in_text(case: tuple[Path, bool]) -> None:
    ours = OURS[case]
    assert ours.tokenize("[CLS]a[MASK] [SEP]") == ["[CLS]", "\u2581a", "[MASK]", "[SEP]"]
    assert ours.ids("[MASK]") == [1000]


@pytest.mark.parametrize("case", MODELS)
def test_saved_tokenizer_json_gives_equal_ids(case: tuple[Path, bool], tmp_path: Path) -> None:
    OURS[case].save(tmp_path)
    assert (tmp_path / "spm.model").read_bytes() == case[0].read_bytes()
    again = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for text in [*google.LANGUAGES, "x[MASK]\u2026 \u2474\u2488 (\u2026)[SEP]", "..,\u201ca\u201d"]:
        assert again.encode(text, add_special_tokens=False).ids == OURS[case].ids(text)
    framed = again.encode("a", "b")
    assert (framed.ids[0], framed.ids[-1]) == (OURS[case].vocab.cls_id, OURS[case].vocab.sep_id)


@pytest.mark.parametrize("case", MODELS)
def test_offsets_cover_the_words(case: tuple[Path, bool]) -> None:
    for text in google.LANGUAGES:
        found = OURS[case].pieces(text)
        assert found.ids == OURS[case].ids(text)
        covered = {at for a, b in zip(found.start, found.end, strict=True) for at in range(a, b)}
        for word in google.words(text, case[1]):
            assert {index for _, index in word} <= covered
        words = text.split()
        for start, end, index in zip(found.start, found.end, found.word, strict=True):
            assert text[start:end] in words[index]


def test_offsets_of_a_known_text() -> None:
    text = "H\u00e9llo,  w\u00f6rld"
    found = OURS[UNIGRAM, True].pieces(text)
    spelled = [text[a:b] for a, b in zip(found.start, found.end, strict=True)]
    assert "".join(spelled).startswith("H\u00e9llo")
    assert spelled[-1].endswith("ld")
    assert found.word[-1] == 1


@given(st.text(st.characters(exclude_characters="\u2581"), max_size=30))
@settings(max_examples=200, deadline=None)
def test_any_text_has_a_tokenisation_with_equal_places(text: str) -> None:
    ours = OURS[UNIGRAM, True]
    found = ours.pieces(text)
    assert found.ids == ours.ids(text)
    assert all(0 <= a <= b <= len(text) for a, b in zip(found.start, found.end, strict=True))


@pytest.mark.parametrize("text", ["", " ", "\x00", "\ud800", "a\ud800b", "\ufeff", "a" * 10**5])
def test_odd_text(text: str) -> None:
    for ours in OURS.values():
        assert ours.pieces(text).ids == ours.ids(text)


def test_sampling_is_seeded_and_differs() -> None:
    text = "understanding international communication is something beautiful"
    for path in (UNIGRAM, BPE):
        for nbest, alpha in ((-1, 0.2), (8, 0.2)):
            one, two, other = (
                SentencePiece(path, nbest=nbest, alpha=alpha, seed=seed) for seed in (1, 1, 2)
            )
            drawn = [one.ids(text) for _ in range(20)]
            assert drawn == [two.ids(text) for _ in range(20)]
            assert drawn != [other.ids(text) for _ in range(20)]
            assert len({tuple(ids) for ids in drawn}) > 3
            whole = "".join(OURS[path, True].tokenize(text))
            assert all("".join(one.vocab.tokens[i] for i in ids) == whole for ids in drawn)
            assert one.pieces(text).ids == OURS[path, True].ids(text)


def test_sampling_limits() -> None:
    """A huge exponent, one candidate, or no dropped merges: the best segmentation."""
    for text in google.LANGUAGES[::27]:
        best = OURS[UNIGRAM, True].ids(text)
        assert SentencePiece(UNIGRAM, nbest=1).ids(text) == best
        assert SentencePiece(UNIGRAM, nbest=-1, alpha=1e6).ids(text) == best
        assert SentencePiece(BPE, nbest=-1, alpha=0.0).ids(text) == OURS[BPE, True].ids(text)
    characters = SentencePiece(BPE, nbest=-1, alpha=1.0).tokenize("hello")
    assert characters == ["\u2581", *"hello"]


def test_draws_follow_the_probabilities() -> None:
    """Against all segmentations of a word, listed one by one."""
    model = sentencepiece_model.parse(UNIGRAM.read_bytes(), "model")
    scores = {piece.text: piece.score for piece in model.pieces if piece.kind == 1}
    word, alpha = "\u2581standing", 0.3

    def ways(rest: str) -> list[list[str]]:
        if not rest:
            return [[]]
        return [
            [rest[:n], *more]
            for n in range(1, len(rest) + 1)
            if rest[:n] in scores
            for more in ways(rest[n:])
        ]

    weights = {tuple(way): math.exp(alpha * sum(scores[p] for p in way)) for way in ways(word)}
    total = sum(weights.values())
    segmenter = Segmenter(model, alpha, random.Random(5))
    count = 4000
    tokens = [piece.text for piece in model.pieces]
    drawn = collections.Counter(
        tuple(tokens[row] for row in segmenter.of_all(word)) for _ in range(count)
    )
    assert len(weights) > 8
    for way, weight in weights.items():
        share = weight / total
        spread = math.sqrt(share * (1 - share) / count)
        assert abs(drawn[way] / count - share) < 5 * spread + 1e-9


def test_pickles() -> None:
    again = pickle.loads(pickle.dumps(OURS[BPE, False]))
    text = google.LANGUAGES[3]
    assert again.ids(text) == OURS[BPE, False].ids(text)
    assert (again.lower, again.vocab) == (False, OURS[BPE, False].vocab)


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not a file"):
        SentencePiece(tmp_path / "none.model")
    (tmp_path / "cut.model").write_bytes(UNIGRAM.read_bytes()[:5000])
    with pytest.raises(FormatError, match="not a whole SentencePiece model"):
        SentencePiece(tmp_path / "cut.model")
    with pytest.raises(UsageError, match="alpha=-1"):
        SentencePiece(UNIGRAM, alpha=-1)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(MissingDependencyError, match="pip install .*sentencepiece"):
        SentencePiece(UNIGRAM)
