"""Vocabulary files of every kind, as published and damaged."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import sentencepiece

from plainbert.errors import CheckpointError, FormatError, UsageError
from plainbert.text.reader import read_tokenizer
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece
from tests.helpers.google import FIXTURES

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##b"]


def test_special_rows_are_looked_up() -> None:
    google = Vocab.read(FIXTURES / "uncased.txt")
    assert len(google) == 30522
    assert (google.pad_id, google.unk_id, google.cls_id, google.sep_id, google.mask_id) == (
        0,
        100,
        101,
        102,
        103,
    )
    other = Vocab.from_tokens(reversed(TOKENS))
    assert (other.mask_id, other.pad_id) == (2, 6)
    assert other.cls == "[CLS]"


def test_blank_rows_count() -> None:
    chinese = Vocab.from_txt(FIXTURES / "chinese.txt")
    assert len(chinese) == 21128
    assert chinese.token(343) == "\u2028"  # a line separator is a token here
    assert (chinese.cls_id, chinese.id("[unused99]")) == (101, 99)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_txt_dresses(tmp_path: Path, mark: str, ending: str, last: bool) -> None:
    lines = [*TOKENS, "", "\u3000", "x\u0085y", "z"]
    text = mark + ending.join(lines) + (ending if last else "")
    (tmp_path / "v.txt").write_bytes(text.encode())
    vocab = Vocab.read(tmp_path / "v.txt")
    assert vocab.tokens == tuple(lines)
    vocab.save_txt(tmp_path / "again.txt")
    assert Vocab.read(tmp_path / "again.txt") == vocab


def test_repeated_token_has_the_last_row_as_in_googles_dictionary() -> None:
    vocab = Vocab.from_tokens([*TOKENS, "a"])
    assert vocab.id("a") == 7
    assert vocab.token(5) == "a"
    assert len(vocab) == 8


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    "text",
    [
        "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\n",
        "[PAD]\n[UNK]\r\n[CLS]\n[SEP]\r\n[MASK]\na\r\n##b\n",  # some lines from Windows
        "[PAD]\r[UNK]\r[CLS]\r[SEP]\r[MASK]\ra\r##b\r",
        "[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\n[MASK]\r\na\r\n##b",
        "[PAD]\r[UNK]\n[CLS]\r\n[SEP]\n[MASK]\na\n##b\r",
        "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\n\n",
        "[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\n[MASK]\r\na\r\n##b\r\n\r\n\r\n",
    ],
)
def test_any_line_end_and_encoding(tmp_path: Path, text: str, encoding: str) -> None:
    path = tmp_path / "vocab.txt"
    path.write_bytes(text.encode(encoding))

    vocab = Vocab.read(path)

    assert vocab.tokens == tuple(TOKENS)
    assert Vocab.from_txt(path) == vocab
    assert WordPiece(vocab).tokenize("Ab [MASK] c") == ["a", "##b", "[MASK]", "[UNK]"]
    # As transformers, which opens vocabularies with universal line ends, but for blank ends.
    if encoding == "utf-8":
        with path.open(encoding="utf-8") as file:
            assert [line.rstrip("\n") for line in file if line != "\n"] == TOKENS


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_json_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "vocab.json"
    path.write_bytes(json.dumps({token: row for row, token in enumerate(TOKENS)}).encode(encoding))
    assert Vocab.read(path).tokens == tuple(TOKENS)
    path.write_bytes(json.dumps({"idx_to_token": TOKENS}).encode(encoding))
    assert Vocab.read(path).tokens == tuple(TOKENS)


@pytest.mark.parametrize(
    ("data", "advice"),
    [
        ("\n".join(TOKENS).encode("utf-16-le"), "iconv -f UTF-16LE -t UTF-8"),
        ("\n".join([*TOKENS, "é"]).encode("latin-1"), "iconv -f WINDOWS-1252 -t UTF-8"),
        ("\n".join(TOKENS).encode("utf-16")[:-1], "damaged or cut off"),
    ],
)
def test_other_encodings_are_refused_with_advice(tmp_path: Path, data: bytes, advice: str) -> None:
    (tmp_path / "vocab.txt").write_bytes(data)
    with pytest.raises(FormatError, match=r"not a vocabulary: .*vocab\.txt") as error:
        Vocab.read(tmp_path / "vocab.txt")
    assert advice in str(error.value)


def test_a_blank_row_at_the_end_is_in_neither_file(tmp_path: Path) -> None:
    WordPiece(Vocab.from_tokens([*TOKENS, ""])).save(tmp_path)
    assert read_tokenizer(tmp_path).vocab.tokens == tuple(TOKENS)


def test_unknown_tokens_and_rows() -> None:
    vocab = Vocab.from_tokens(TOKENS)
    assert vocab.ids(["a", "nothing", "##b"]) == [5, 1, 6]
    assert "a" in vocab
    assert "nothing" not in vocab
    with pytest.raises(UsageError, match="ids 0 to 6"):
        vocab.token(7)


def test_missing_special_token() -> None:
    vocab = Vocab.from_tokens(["[PAD]", "a"])
    assert vocab.mask is None
    with pytest.raises(CheckpointError, match=r"2 tokens has no mask token.*\[MASK\]"):
        _ = vocab.mask_id
    with pytest.raises(CheckpointError, match="unk token"):
        vocab.id("nothing")
    with pytest.raises(CheckpointError, match="'<s>'"):
        Vocab(["a"], {"cls": "<s>"})


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf", b"  \n"])
def test_empty_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "vocab.txt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"vocab\.txt is empty"):
        Vocab.read(tmp_path / "vocab.txt")


def test_missing_file_and_binary_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        Vocab.read(tmp_path / "none.txt")
    with pytest.raises(CheckpointError, match="is a folder"):
        Vocab.read(tmp_path)
    (tmp_path / "model.bin").write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(FormatError, match="not UTF-8"):
        Vocab.read(tmp_path / "model.bin")
    (tmp_path / "cut.json").write_text('{"idx_to_token": ["a"')
    with pytest.raises(FormatError, match="not a JSON file"):
        Vocab.read(tmp_path / "cut.json")
    (tmp_path / "list.json").write_text('{"idx_to_token": 3}')
    with pytest.raises(FormatError, match="not a list"):
        Vocab.read(tmp_path / "list.json")
    (tmp_path / "other.json").write_text('{"hidden_size": "x"}')
    with pytest.raises(FormatError, match="holds no vocabulary"):
        Vocab.read(tmp_path / "other.json")


def test_first_difference() -> None:
    one = Vocab.from_tokens(TOKENS)
    assert one.first_difference(Vocab.from_tokens(TOKENS)) is None
    assert "row 5 is 'a' in one and 'c'" in str(
        one.first_difference(Vocab.from_tokens([*TOKENS[:5], "c", "##b"]))
    )
    assert "row 6, '##b', is in one only (7 and 6 rows)" in str(
        one.first_difference(Vocab.from_tokens(TOKENS[:6]))
    )


def gluonnlp(tokens: list[str], old: bool) -> dict[str, object]:
    """A vocabulary as GluonNLP's Vocab.to_json wrote it, before and since 0.7."""
    names = {"padding_token": "[PAD]", "mask_token": "[MASK]", "sep_token": "[SEP]",
             "cls_token": "[CLS]"}  # fmt: skip
    content: dict[str, object] = {
        "idx_to_token": tokens,
        "token_to_idx": {token: row for row, token in enumerate(tokens)},
        "reserved_tokens": ["[CLS]", "[SEP]", "[MASK]", "[PAD]"],
        "unknown_token": "[UNK]",
    }
    extra = {"bos_token": None, "eos_token": None, **names}
    return {**content, **extra} if old else {**content, "identifiers_to_tokens": names}


@pytest.mark.parametrize("old", [True, False])
def test_gluonnlp_layouts(tmp_path: Path, old: bool) -> None:
    tokens = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]", "a"]  # GluonNLP's own order
    (tmp_path / "x.vocab").write_text(json.dumps(gluonnlp(tokens, old)))
    vocab = Vocab.read(tmp_path / "x.vocab")
    assert vocab == Vocab.from_gluonnlp_json(tmp_path / "x.vocab")
    assert (vocab.unk_id, vocab.pad_id, vocab.cls_id, vocab.mask_id) == (0, 1, 2, 4)


def test_gluonnlp_real_file() -> None:
    vocab = Vocab.read(FIXTURES / "gluonnlp_vocab.json")
    assert len(vocab) == 100
    assert (vocab.unk_id, vocab.cls_id, vocab.sep_id, vocab.mask_id, vocab.pad_id) == (
        0,
        1,
        2,
        3,
        4,
    )


def test_gluonnlp_before_0_7_repeated_a_token(tmp_path: Path) -> None:
    content = gluonnlp(["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]", "[PAD]", "a"], old=True)
    content["token_to_idx"] = {"[UNK]": 0, "[PAD]": 5, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4, "a": 6}
    (tmp_path / "x.vocab").write_text(json.dumps(content))
    with pytest.warns(UserWarning, match=r"1 rows repeat.*before GluonNLP 0\.7"):
        vocab = Vocab.read(tmp_path / "x.vocab")
    assert (vocab.pad_id, vocab.id("a"), len(vocab)) == (5, 6, 7)
    assert vocab.token(1) != "[PAD]"


def test_gluonnlp_disagreeing_indices(tmp_path: Path) -> None:
    content = gluonnlp(["[UNK]", "[PAD]", "a", "b"], old=False)
    content["token_to_idx"] = {"[UNK]": 0, "[PAD]": 1, "a": 3, "b": 2}
    (tmp_path / "x.vocab").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="row 2 of idx_to_token is 'a'.*says 3"):
        Vocab.read(tmp_path / "x.vocab")


def test_tokenizer_json_with_added_tokens_holes_and_bad_ids(tmp_path: Path) -> None:
    rows = {token: row for row, token in enumerate(TOKENS)}
    path = tmp_path / "tokenizer.json"
    added = [{"id": 7, "content": "<ent>"}]
    path.write_text(json.dumps({"model": {"vocab": rows}, "added_tokens": added}))
    assert Vocab.read(path).tokens == (*TOKENS, "<ent>")
    path.write_text(json.dumps(rows))
    assert Vocab.read(path).tokens == tuple(TOKENS)
    path.write_text(json.dumps({"model": {"vocab": {**rows, "z": 9}}}))
    holed = Vocab.read(path)
    assert (len(holed), holed.id("z"), holed.token(8)) == (10, 9, "[row 8 is empty]")
    for bad in ({**rows, "z": 5}, {**rows, "z": 10**9}, {**rows, "z": -1}):
        path.write_text(json.dumps({"model": {"vocab": bad}}))
        with pytest.raises(CheckpointError, match="each must have its own"):
            Vocab.read(path)


@pytest.mark.parametrize("name", ["unigram1000.model", "bpe1000.model"])
def test_sentencepiece_pieces_and_appended_specials(name: str) -> None:
    library = sentencepiece.SentencePieceProcessor(model_file=str(FIXTURES / name))
    vocab = Vocab.read(FIXTURES / name)
    size = library.get_piece_size()
    assert list(vocab.tokens[:size]) == [library.id_to_piece(row) for row in range(size)]
    assert vocab.tokens[size:] == ("[MASK]", "[SEP]", "[CLS]")
    assert vocab.unk_id == library.unk_id()
    assert vocab.pad is None  # these two models define none


def test_truncated_sentencepiece_model(tmp_path: Path) -> None:
    data = (FIXTURES / "unigram1000.model").read_bytes()
    for size in (5, 1000, len(data) // 2, len(data) - 1):
        (tmp_path / "cut.model").write_bytes(data[:size])
        with pytest.raises(FormatError, match="not a whole SentencePiece model"):
            Vocab.from_sentencepiece(tmp_path / "cut.model")


def test_fingerprint_and_pickle() -> None:
    vocab = Vocab.from_tokens(TOKENS)
    assert vocab.sha256 == Vocab.from_tokens(list(TOKENS)).sha256
    assert vocab.sha256 != Vocab.from_tokens(TOKENS[:-1]).sha256
    assert pickle.loads(pickle.dumps(vocab)) == vocab
    assert hash(vocab) == hash(Vocab.from_tokens(TOKENS))


def test_a_token_with_a_line_feed_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="row 1"):
        Vocab.from_tokens(["a", "b\nc"]).save_txt(tmp_path / "vocab.txt")
