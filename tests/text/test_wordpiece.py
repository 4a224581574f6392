"""WordPiece against Google's algorithm, ``tokenizers`` and ``transformers``."""

from __future__ import annotations

import pickle
import time
from typing import Any

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from plainbert.errors import CheckpointError
from plainbert.text.tokenizer import CACHE_WORDS, ChunkCache
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece
from tests.helpers import google

SPECIALS = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]"]
CASES = [("uncased.txt", True), ("cased.txt", False), ("chinese.txt", True), ("chinese.txt", False)]
VOCABS = {name: Vocab.read(google.FIXTURES / name) for name, _ in CASES}
OURS = {case: WordPiece(VOCABS[case[0]], lower=case[1]) for case in CASES}
SENTENCES = [
    "",
    " ",
    "UNwant\u00e9d,running",
    " \tHeLLo!how  \n Are yoU?  ",
    "ah\u535a\u63a8zz",
    "[MASK] in[MASK]side [SEP]. [mask] [MASK [UNK] [PAD][CLS]",
    "don\u2019t \u201cquote\u201d\u2014dash\u2026 na\u00efve caf\u00e9 \ufb01ne \u0130stanbul",
    "zero\u200bwidth soft\u00adhyphen \u202eright\u202c bom\ufeff\x00nul\x07bell",
    "a\x0bb\x0cc\x1cd\x1de\x1ef\x1fg\x85h\u2028i\u2029j\u3000k\u00a0l",
    "e\u0301 \u0301leading \u0301,\u0301 =\u0338 \u4e2d\u0301",
    "\U0001f600 emoji\U0001f468\u200d\U0001f469 \ue000private \U00030000new",
    "\uf900\U0002f800\U0002b820 \u304b\u3099\u30ab\uff9e\uff21\uff22",
    "x" * 100 + " " + "x" * 101 + " " + "\u00e9" * 101,
]


def peer(vocab: Vocab, lower: bool, longest: int = 100, **options: Any) -> tokenizers.Tokenizer:
    """The library's own tokenizer, put together here."""
    model = tokenizers.models.WordPiece(
        dict(vocab.rows), unk_token="[UNK]", max_input_chars_per_word=longest
    )
    result = tokenizers.Tokenizer(model)
    result.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=lower, **options)
    result.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    result.add_special_tokens(SPECIALS)
    return result


PEERS = {case: peer(VOCABS[case[0]], case[1]) for case in CASES}


def peer_ids(oracle: tokenizers.Tokenizer, text: str) -> list[int]:
    return oracle.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize("case", CASES)
def test_equals_tokenizers_and_google_on_real_text(case: tuple[str, bool]) -> None:
    ours, oracle = OURS[case], PEERS[case]
    rows = dict(VOCABS[case[0]].rows)
    assert len(google.LANGUAGES) > 250
    whole = "\n".join(google.LANGUAGES)
    for text in [*google.LANGUAGES, whole]:
        encoding = oracle.encode(text, add_special_tokens=False)
        found = ours.pieces(text)
        assert ours.ids(text) == encoding.ids
        assert found.ids == encoding.ids
        places = list(zip(found.start, found.end, strict=True))
        assert places == google.whole(text, encoding.offsets)
        slow = google.pieces(text, rows, case[1])
        assert [
            (row, *place) for row, place in zip(found.ids, encoding.offsets, strict=True)
        ] == slow
    assert ours.ids_many(google.LANGUAGES) == [ours.ids(text) for text in google.LANGUAGES]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("text", SENTENCES)
def test_equals_tokenizers_on_odd_text(case: tuple[str, bool], text: str) -> None:
    encoding = PEERS[case].encode(text, add_special_tokens=False)
    assert OURS[case].ids(text) == encoding.ids
    assert OURS[case].pieces(text).ids == encoding.ids
    assert OURS[case].tokenize(text) == encoding.tokens


@pytest.mark.parametrize("case", CASES)
@given(
    st.lists(
        st.one_of(
            st.sampled_from([*SENTENCES[2:], *SPECIALS, " ", "[", "]", "##", "\u0301", "\u4e2d"]),
            st.text(st.characters(codec="utf-8"), max_size=12),
            st.text("ab.,'- \t\n\x0b\x1c\x85\u00e9\u2019\u4e2d", max_size=12),
        ),
        max_size=5,
    )
)
@settings(max_examples=150, deadline=None)
def test_equals_tokenizers_on_any_text(case: tuple[str, bool], parts: list[str]) -> None:
    text = "".join(parts)
    assert OURS[case].ids(text) == peer_ids(PEERS[case], text)


@pytest.mark.parametrize("split_cjk", [True, False])
@pytest.mark.parametrize("strip", [True, False, None])
@pytest.mark.parametrize("longest", [5, 100, 200])
def test_options(split_cjk: bool, strip: bool | None, longest: int) -> None:
    vocab = VOCABS["chinese.txt"]
    for lower in (True, False):
        ours = WordPiece(vocab, lower, longest, strip, split_cjk)
        oracle = peer(vocab, lower, longest, strip_accents=strip, handle_chinese_chars=split_cjk)
        for text in [*SENTENCES, *google.LANGUAGES[::7]]:
            assert ours.ids(text) == peer_ids(oracle, text)


def test_word_length_limit_of_gluonnlp() -> None:
    word = "a" * 150
    assert WordPiece(VOCABS["uncased.txt"]).tokenize(word) == ["[UNK]"]
    assert len(WordPiece(VOCABS["uncased.txt"], max_word_chars=200).tokenize(word)) > 10


def test_characters_we_cut_at_are_words_of_their_own() -> None:
    """Cutting a run is only right where the reference cuts, whatever stands around."""
    vocab = Vocab.from_tokens([*SPECIALS, "a", "##a"])
    oracle = peer(vocab, lower=True)
    single = OURS["uncased.txt", True]._atoms
    checked = 0
    for code in range(0x110000):
        char = chr(code)
        if 0xD800 <= code < 0xE000 or len(single.findall(f"a{char}a")) != 3:
            continue
        checked += 1
        spans = oracle.encode(f"a{char}a", add_special_tokens=False).offsets
        assert spans == [(0, 1), (1, 2), (2, 3)], hex(code)
    assert checked > 60000


def test_lone_surrogates_are_deleted_like_other_unassigned_characters() -> None:
    ours = OURS["uncased.txt", True]
    assert ours.tokenize("he\ud800llo \udc00 w\u00f6r\ud800ld") == ["hello", "world"]
    assert ours.pieces("x \ud800he\ud800llo").start == [0, 3]


def test_word_of_every_piece() -> None:
    text = "  Unaffable\tdon't\n\n\u4e2d\u6587 [MASK]. "
    found = OURS["uncased.txt", True].pieces(text)
    words = text.split()
    assert {words[index] for index in found.word} == set(words)
    for start, end, index in zip(found.start, found.end, found.word, strict=True):
        assert text[start:end] in words[index]
    assert len(found) == len(found.ids)


@pytest.mark.parametrize("unit", ["word ", "\u4e2d\u6587", "a", "\u00e9", "e\u0301", ".", "[MASK]"])
def test_a_megabyte_without_a_line_break(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    ours = WordPiece(VOCABS["uncased.txt"])
    begin = time.perf_counter()
    ids = ours.ids(text)
    # Work that grows with the square of the length would take hours; this takes a second or two.
    assert time.perf_counter() - begin < 60
    assert ids[:1000] == ours.ids(unit * 1500)[:1000]


def test_cache_is_bounded_and_changes_nothing() -> None:
    texts = [f"word{number} the {number}, it" for number in range(500)]
    want = OURS["uncased.txt", True].ids_many(texts)
    for limit in (0, 2, 50):
        ours = WordPiece(VOCABS["uncased.txt"], cache_words=limit)
        assert ours.ids_many(texts) == want == ours.ids_many(texts)
        assert ours._cache.held <= limit
    assert CACHE_WORDS > 10000


def test_cache_keeps_what_is_asked_for_again() -> None:
    computed: list[str] = []

    def compute(chunk: str) -> list[int]:
        computed.append(chunk)
        return [len(chunk)]

    cache = ChunkCache(compute, limit=8)
    for number in range(100):
        assert cache["the"] == (3,)
        assert cache[f"rare{number}"] == (len(f"rare{number}"),)
        assert cache.held <= 8
    assert computed.count("the") == 1
    long = "x" * 1000
    assert cache[long] == cache[long] == (1000,)
    assert computed.count(long) == 2  # not kept


def test_pickles_as_settings_only() -> None:
    ours = WordPiece(VOCABS["cased.txt"], lower=False, max_word_chars=200)
    ours.ids_many(google.LANGUAGES)
    data = pickle.dumps(ours)
    assert len(data) < 400_000
    again = pickle.loads(data)
    assert again.ids_many(google.LANGUAGES) == ours.ids_many(google.LANGUAGES)
    assert (again.lower, again.max_word_chars) == (False, 200)


def test_is_first() -> None:
    ours = OURS["uncased.txt", True]
    assert [ours.is_first(piece) for piece in ("un", "##aff", "[MASK]", "#")] == [
        True,
        False,
        True,
        True,
    ]


def test_needs_an_unknown_token() -> None:
    with pytest.raises(CheckpointError, match=r"no unk token.*\[UNK\]"):
        WordPiece(Vocab.from_tokens(["[PAD]", "a"]))


def test_fingerprints_tell_tokenizers_apart() -> None:
    vocab = Vocab.from_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"])
    other = Vocab.from_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "b", "a"])

    same = [WordPiece(vocab, lower=True).fingerprint() for _ in range(2)]

    assert same[0] == same[1]
    assert same[0] != WordPiece(vocab, lower=False).fingerprint()
    assert same[0] != WordPiece(other, lower=True).fingerprint()
