"""Keys of tokenizer files against transformers: the settings that count, tokens kept whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import transformers

from plainbert.errors import CheckpointError
from plainbert.text.reader import read_tokenizer
from plainbert.text.sentencepiece import SentencePiece
from tests.helpers import google

MARKED = ["\u00e9", "e", "\u4e2d", "\u6587", "##\u6587", "[E1]", "[/E1]", "[BOS]"]
TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c", "##a", "##b", "the", "cat"]
TOKENS += ["The", "Cat", *MARKED]
TEXTS = [
    "The Cat \u00e9 \u4e2d\u6587 a[E1]b [/E1] a",
    "[e1] [E1] a [BOS]b [bos] [MASK]a",
    "abc \u00c9 E\u0301 [E2]a[e2] b",
]
MARKS = {"lstrip": False, "rstrip": False, "single_word": False}


def token(content: str, **flags: bool) -> dict[str, Any]:
    return {"content": content, **MARKS, "normalized": False, "special": True, **flags}


def described(lower: bool, **options: Any) -> dict[str, Any]:
    """A tokenizer.json of the tokens."""
    model = tokenizers.models.WordPiece({t: i for i, t in enumerate(TOKENS)}, unk_token="[UNK]")
    backend = tokenizers.Tokenizer(model)
    backend.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=lower, **options)
    backend.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    backend.add_special_tokens(TOKENS[:5])
    values: dict[str, Any] = json.loads(backend.to_str())
    return values


def make(folder: Path, **contents: Any) -> Path:
    """A folder with a vocabulary and JSON files, without tokenizer.json unless it is given."""
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(TOKENS) + "\n")
    contents.setdefault("config", {"model_type": "bert", "vocab_size": 40, "hidden_size": 4})
    for name, content in contents.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


TYPED = {"__type": "AddedToken", **token("[E1]", rstrip=True)}
LOWER, CASED = {"do_lower_case": True}, {"do_lower_case": False}
FOLDERS: dict[str, dict[str, Any]] = {
    "additional": {"tokenizer_config": {**LOWER, "additional_special_tokens": ["[E1]", "[/E1]"]}},
    "extra": {"tokenizer_config": {**LOWER, "extra_special_tokens": ["[E1]"]}},
    "extra by name": {"tokenizer_config": {**LOWER, "extra_special_tokens": {"one": "[E1]"}}},
    "extra with flags": {
        "tokenizer_config": {**LOWER, "extra_special_tokens": [TYPED]}
    },
    "of the model": {"tokenizer_config": {**LOWER, "speaker_token": "[E1]"}},
    "bos": {"tokenizer_config": {**CASED, "bos_token": "[BOS]"}},
    "map": {
        "tokenizer_config": LOWER,
        "special_tokens_map": {"additional_special_tokens": ["[E1]"]},
    },
    "map wins": {
        "tokenizer_config": {**LOWER, "unk_token": "a"},
        "special_tokens_map": {"unk_token": "b"},
    },
    "decoder wins": {
        "tokenizer_config": {
            **LOWER, "unk_token": "a", "added_tokens_decoder": {"19": token("[E1]")},
        },
        "special_tokens_map": {"unk_token": "b", "additional_special_tokens": ["[/E1]"]},
    },
    "decoder adds a row": {
        "tokenizer_config": {**LOWER, "added_tokens_decoder": {"22": token("[E2]")}}
    },
    "new row": {"tokenizer_config": {**LOWER, "additional_special_tokens": ["[E2]"]}},
    "added": {"tokenizer_config": LOWER, "added_tokens": {"[E2]": 22}},
    "added, cased": {"tokenizer_config": CASED, "added_tokens": {"[E2]": 22}},
    "added, special": {
        "tokenizer_config": {**LOWER, "additional_special_tokens": ["[E2]"]},
        "added_tokens": {"[E2]": 22},
    },
    "casing": {"tokenizer": described(True), "tokenizer_config": CASED},
    "casing, other way": {"tokenizer": described(False), "tokenizer_config": LOWER},
    "casing, general class": {
        "tokenizer": described(True),
        "tokenizer_config": {**CASED, "tokenizer_class": "PreTrainedTokenizerFast"},
    },
    "casing, unknown class": {
        "tokenizer": described(True),
        "tokenizer_config": {**CASED, "tokenizer_class": "MyOwnTokenizer"},
    },
    "casing, DistilBERT": {
        "tokenizer": described(True),
        "tokenizer_config": {**CASED, "tokenizer_class": "DistilBertTokenizerFast"},
    },
    "accents": {
        "tokenizer": described(False, strip_accents=False),
        "tokenizer_config": {**CASED, "strip_accents": True},
    },
    "accents, null": {
        "tokenizer": described(False, strip_accents=True),
        "tokenizer_config": {**CASED, "strip_accents": None},
    },
    "ideographs": {
        "tokenizer": described(False),
        "tokenizer_config": {**CASED, "tokenize_chinese_chars": False},
    },
    "flags of an added token": {
        "tokenizer": {
            **described(True), "added_tokens": [{"id": 19, **token("[E1]", normalized=True)}],
        },
        "tokenizer_config": {
            **LOWER, "added_tokens_decoder": {"19": token("[E1]", rstrip=True)},
        },
    },
}  # fmt: skip


@pytest.mark.parametrize("name", FOLDERS)
def test_ids_equal_transformers(tmp_path: Path, name: str) -> None:
    folder = make(tmp_path / "theirs", **FOLDERS[name])
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    wanted = [theirs(text, add_special_tokens=False)["input_ids"] for text in TEXTS]

    ours = read_tokenizer(folder)
    assert ours.ids_many(TEXTS) == wanted

    # Kept on saving, for us and for transformers.
    (tmp_path / "ours").mkdir()
    ours.save(tmp_path / "ours")
    assert read_tokenizer(tmp_path / "ours").ids_many(TEXTS) == wanted
    again = transformers.AutoTokenizer.from_pretrained(tmp_path / "ours")
    assert [again(text, add_special_tokens=False)["input_ids"] for text in TEXTS] == wanted


def test_the_folders_differ_from_a_plain_one(tmp_path: Path) -> None:
    """Each is a real case: without the keys the ids would be others."""
    plain = {lower: read_tokenizer(make(tmp_path / str(lower)), lower) for lower in (True, False)}
    for row, (name, contents) in enumerate(FOLDERS.items()):
        if "tokenizer" not in contents:
            ours = read_tokenizer(make(tmp_path / f"case-{row}", **contents))
            assert ours.ids_many(TEXTS) != plain[ours.lower].ids_many(TEXTS), name


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({"tokenizer_config": {"tokenizer_class": "BertJapaneseTokenizer"}}, "BertJapanese"),
        ({"config": {"tokenizer_class": "BertJapaneseTokenizer"}}, "BertJapanese"),
        ({"tokenizer_config": {"tokenizer_class": "XLNetTokenizer"}}, "'XLNetTokenizer' cuts"),
        ({"tokenizer_config": {"word_tokenizer_type": "mecab"}}, "word_tokenizer_type='mecab'"),
        ({"tokenizer_config": {"subword_tokenizer_type": "character"}}, "subword_tokenizer_type"),
        ({"tokenizer_config": {"wordpieces_prefix": "@@"}}, "wordpieces_prefix='@@'"),
        ({"tokenizer_config": {"clean_text": False}}, "clean_text=False"),
        ({"tokenizer_config": {"added_tokens_decoder": {"x": token("[E1]")}}}, "must be ids"),
        ({"tokenizer_config": {"added_tokens_decoder": {"7": token("[E1]")}}}, "has id 7"),
        ({"tokenizer_config": {"added_tokens_decoder": {"30": token("[E2]")}}}, "has id 30"),
        ({"added_tokens": {"[E2]": 30}}, "has id 30"),
    ],
)
def test_refused_by_name(tmp_path: Path, contents: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        read_tokenizer(make(tmp_path / "model", **contents), lower=True)


@pytest.mark.parametrize(
    "config",
    [
        {"do_basic_tokenize": False},
        {"never_split": ["[E1]"]},
        {"split_special_tokens": True},
        {"truncation_side": "left"},
        {"add_eos_token": True},
        {"model_input_names": ["input_ids", "attention_mask"]},
    ],
    ids=lambda config: next(iter(config)),
)
def test_said_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, config: dict[str, Any]
) -> None:
    read_tokenizer(make(tmp_path / "model", tokenizer_config={**LOWER, **config}))
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert next(iter(config)) in record.getMessage()


def test_a_token_that_the_model_has_no_row_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = {**LOWER, "additional_special_tokens": ["[E9]"]}
    sizes = {"vocab_size": len(TOKENS), "hidden_size": 4}
    ours = read_tokenizer(make(tmp_path / "model", tokenizer_config=config, config=sizes))
    assert len(ours.vocab) == len(TOKENS)
    assert "'[E9]' is not in the vocabulary" in caplog.text


def test_what_a_sentencepiece_model_cannot_follow_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    SentencePiece(google.FIXTURES / "unigram1000.model", lower=False).save(tmp_path)
    path = tmp_path / "tokenizer_config.json"
    config = json.loads(path.read_text())
    read_tokenizer(tmp_path)
    assert "not followed" not in caplog.text
    more = {"additional_special_tokens": ["[E1]"], "strip_accents": True}
    path.write_text(json.dumps({**config, **more}))
    read_tokenizer(tmp_path)
    assert "not followed with a SentencePiece model: strip_accents=True, '[E1]'" in caplog.text
