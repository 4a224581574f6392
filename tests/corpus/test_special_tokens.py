"""Special tokens that are written in a text are plain text in pre-training data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from plainbert.containers.npz import read
from plainbert.corpus import documents
from plainbert.corpus.tokens import Reading, encode
from plainbert.recipes import create_pretraining_data
from plainbert.tasks.pretraining.plan import InstanceSettings
from plainbert.tasks.pretraining.raw_text import RawText
from plainbert.text.sentencepiece import SentencePiece
from plainbert.text.special import plain_text
from plainbert.text.tokenizer import Tokenizer
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece

FIXTURES = Path(__file__).parent.parent / "fixtures"
TEXT = FIXTURES / "corpus" / "specials.txt"
UNCASED = Vocab.read(FIXTURES / "text" / "uncased.txt")
WORDS = WordPiece(UNCASED)
PIECES = SentencePiece(FIXTURES / "text" / "unigram1000.model")
NAMED = WordPiece(
    Vocab.from_tokens(
        ["PADDING", "<unk>", "_cls_", "</s>", "##x", "x", "<", ">", "/", "s", "##s", "m"],
        {"pad": "PADDING", "cls": "_cls_", "sep": "</s>"},
    ),
    lower=False,
)


def bare() -> tokenizers.Tokenizer:
    """Google's rules by the library's own parts, without a special token."""
    model = tokenizers.models.WordPiece(dict(UNCASED.rows), unk_token="[UNK]")
    oracle = tokenizers.Tokenizer(model)
    oracle.normalizer = tokenizers.normalizers.BertNormalizer()
    oracle.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    return oracle


ORACLE = bare()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(["[MASK]", "[SEP]", "[CLS]", "[PAD]", "[UNK]", "[", "]", "a", " ", "é"])
        | st.text(st.characters(codec="utf-8", categories=["L", "P", "Z"]), max_size=5),
        max_size=8,
    )
)
def test_equal_to_google_where_nothing_is_special(parts: list[str]) -> None:
    text = "".join(parts)

    ids = WORDS.ids(plain_text(UNCASED)(text))

    assert ids == ORACLE.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize("tokenizer", [WORDS, PIECES, NAMED], ids=["words", "pieces", "named"])
def test_no_text_names_a_control_token(tokenizer: Tokenizer, tmp_path: Path) -> None:
    specials = tokenizer.vocab.specials
    path = tmp_path / "text.txt"
    path.write_text("\n".join(f"x{token} {token}x {token}" for token in specials.values()) + "\n")
    piece = next(documents.pieces([path]))

    found = encode(Reading(tokenizer), piece)

    # The unknown token stands for what the vocabulary lacks, and hides nothing.
    control = {tokenizer.vocab.rows[token] for role, token in specials.items() if role != "unk"}
    assert len(control) >= 3
    assert not control & set(found.ids.tolist())
    assert len(found.ends) == len(specials)


def test_shards_hold_special_tokens_in_their_places_only(tmp_path: Path) -> None:
    create_pretraining_data.main(
        ["--input_file", str(TEXT), "--output_dir", str(tmp_path), "--num_workers", "0",
         "--vocab", str(FIXTURES / "text" / "uncased.txt"), "--max_seq_length", "64",
         "--masked_lm_prob", "0.3", "--dupe_factor", "3", "--num_outputs", "1"]
    )  # fmt: skip
    (shard,) = tmp_path.glob("part-*.npz")
    columns = read(shard)
    ids, offsets = columns["input_ids"], columns["offsets"]
    masks = columns["masked_lm_positions"] + np.repeat(
        offsets[:-1], np.diff(columns["masked_offsets"])
    )

    named = np.isin(columns["masked_lm_ids"], [UNCASED.rows[t] for t in UNCASED.specials.values()])
    assert len(masks) > 50
    assert not named.any()
    assert set(np.flatnonzero(ids == UNCASED.mask_id)) <= set(masks)
    assert set(np.flatnonzero(ids == UNCASED.cls_id)) == set(offsets[:-1])
    two = columns["segment_split"] + offsets[:-1] - 1
    assert set(np.flatnonzero(ids == UNCASED.sep_id)) == {*(offsets[1:] - 1), *two}
    assert UNCASED.pad_id not in ids
    assert UNCASED.rows["["] in ids


def test_raw_text(tmp_path: Path) -> None:
    rows = InstanceSettings(64, 0.1, 0.15, 10, seed=3)
    raw = RawText.of([str(TEXT)], WORDS, rows, tmp_path, bar=False)

    assert not np.isin(raw.store.ids, [UNCASED.rows[t] for t in UNCASED.specials.values()]).any()
    lines = [line for line in TEXT.read_text("utf-8").split("\n") if line]
    flat = [row for line in lines for row in ORACLE.encode(line, add_special_tokens=False).ids]
    assert raw.store.ids.tolist() == flat
