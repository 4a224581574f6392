"""A folder in, vectors and labels out."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import plainbert
from plainbert import checkpoint
from plainbert.config import BertConfig
from plainbert.errors import UsageError
from plainbert.model import Model
from plainbert.nn.bert import Bert
from plainbert.nn.models import MODELS
from plainbert.tasks.embedding.words import BertEmbedding
from plainbert.text.sentencepiece import SentencePiece
from plainbert.text.tokenizer import Tokenizer
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece
from tests.helpers import small_bert
from tests.helpers.folders import FIXTURES
from tests.helpers.rounding import rounding, terms_of
from tests.helpers.small_bert import SENTENCES

bert, config, tokenizer = small_bert.bert, small_bert.config, small_bert.tokenizer  # fixtures


@pytest.fixture
def sentence_folder(bert: Bert, tokenizer: WordPiece, tmp_path: Path) -> Path:
    about = {"pooling": "mean", "normalize": True, "max_length": 12}
    return checkpoint.write(tmp_path / "sentences", bert, tokenizer, about=about)


def test_the_folders_own_pooling_as_sentence_transformers(
    bert: Bert, sentence_folder: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    texts = [text for text in SENTENCES if text]
    model = plainbert.load(sentence_folder)
    right = SentenceTransformer(str(sentence_folder), device="cpu").encode(texts)
    atol = rounding(terms_of(bert.config), right)
    np.testing.assert_allclose(model.encode(texts), right, rtol=0, atol=atol)
    assert model.max_len == 12


def test_one_and_many(sentence_folder: Path) -> None:
    model = plainbert.load(sentence_folder, dtype="bfloat16")
    many = model.encode(["the heron", ("a", "river")])
    assert many.shape == (2, 32)
    np.testing.assert_allclose(model.encode("the heron"), many[0], atol=2e-2)
    np.testing.assert_allclose(model.encode([("a", "river")])[0], many[1], atol=2e-2)
    np.testing.assert_allclose(np.linalg.norm(many, axis=1), 1, atol=rounding(32))
    assert model.tokenize("unaffable") == ["un", "##aff", "##able"]


def test_naming_a_pooling_keeps_the_folders_length(sentence_folder: Path) -> None:
    model = plainbert.load(sentence_folder)
    own = model.encode(["the heron"])
    assert np.array_equal(model.encode(["the heron"], pooling_strategy="REDUCE_MEAN"), own)
    # bert-as-service's vectors, which have any length.
    plain = model.encode(["the heron"], pooling_strategy="REDUCE_MEAN", normalize=False)
    right = plain / np.linalg.norm(plain)
    np.testing.assert_allclose(own, right, rtol=0, atol=rounding(32, right))
    assert np.linalg.norm(plain) > 1.1
    for kind in ("max", "cls", "REDUCE_MEAN_MAX"):
        [vector] = model.encode(["the heron"], pooling_strategy=kind)
        assert np.linalg.norm(vector) == pytest.approx(1, abs=rounding(64))
    with pytest.raises(UsageError, match="normalize='false': True or False is expected"):
        model.encode("the heron", normalize="false")  # type: ignore[arg-type]


def test_a_folder_that_says_nothing_leaves_vectors_as_they_are(
    bert: Bert, tokenizer: WordPiece, tmp_path: Path
) -> None:
    model = plainbert.load(checkpoint.write(tmp_path / "plain", bert, tokenizer))
    plain = model.encode(["the heron"])
    for kind in ("mean", None):
        assert np.array_equal(model.encode(["the heron"], pooling_strategy=kind), plain)
        one = model.encode(["the heron"], pooling_strategy=kind, normalize=True)
        right = plain / np.linalg.norm(plain)
        np.testing.assert_allclose(one, right, rtol=0, atol=rounding(32, right))
    assert np.linalg.norm(plain) > 1.1


def test_vectors_of_tokens(sentence_folder: Path) -> None:
    model = plainbert.load(sentence_folder)
    [plain] = model.encode_tokens(["the heron"])
    [one] = model.encode_tokens(["the heron"], normalize=True)
    lengths = np.linalg.norm(plain, axis=1, keepdims=True)
    assert lengths.min() > 1.1  # the folder's setting is for vectors of texts
    np.testing.assert_allclose(one, plain / lengths, rtol=0, atol=rounding(32))
    assert [each.shape for each in model.encode_tokens(["the heron", ""])] == [(4, 32), (2, 32)]


def test_predict(config: BertConfig, tokenizer: WordPiece, tmp_path: Path) -> None:
    head = MODELS["classification"](config.replace(id2label=("ham", "spam", "jam")))
    model = plainbert.load(checkpoint.write(tmp_path / "c", head, tokenizer))
    answers = model.predict(["the heron", ("we", "sat")])
    for answer in answers:
        assert list(answer.probabilities) == ["ham", "spam", "jam"]
        assert sum(answer.probabilities.values()) == pytest.approx(1)
        assert answer.probabilities[answer.label] == max(answer.probabilities.values())
    single = model.predict("the heron")
    assert single.label == answers[0].label
    atol = rounding(terms_of(config))
    assert single.probabilities == pytest.approx(answers[0].probabilities, rel=0, abs=atol)
    assert model.encode("the heron").shape == (32,)  # the body of a classifier has vectors too


def test_predict_a_number(config: BertConfig, tokenizer: WordPiece, tmp_path: Path) -> None:
    folder = checkpoint.write(tmp_path / "r", MODELS["regression"](config), tokenizer)
    answer = plainbert.load(folder).predict([("the heron", "we sat")])[0]
    assert isinstance(answer.label, float)
    assert answer.probabilities == {}


def test_mistakes(
    sentence_folder: Path, config: BertConfig, tokenizer: WordPiece, bert: Bert, tmp_path: Path
) -> None:
    model = plainbert.load(sentence_folder)
    with pytest.raises(UsageError, match="has no head; predict needs a classifier"):
        model.predict("the heron")
    with pytest.raises(UsageError, match="texts hold 3"):
        model.encode([3])
    odd = checkpoint.write(tmp_path / "o", bert, tokenizer, about={"pooling": "weightedmean"})
    with pytest.raises(UsageError, match="pools by 'weightedmean'"):
        plainbert.load(odd).encode("a")
    tags = checkpoint.write(tmp_path / "t", MODELS["token_classification"](config), tokenizer)
    with pytest.raises(UsageError, match="has a token_classification head"):
        plainbert.load(tags).predict("a")


def test_a_model_that_is_dropped_is_freed() -> None:
    """By counting references alone: what waits for the garbage collector fills the memory."""
    folder = "all-MiniLM-L6-v2"
    gc.collect()
    gc.disable()
    try:
        for load in (plainbert.load, lambda name: BertEmbedding(params_path=name)):
            model = load(folder)
            run = model.encode if isinstance(model, Model) else model.embedding
            run(["a heron", "fishing"])
            references = [weakref.ref(part) for part in (model, model.tokenizer)]
            del run, model
            assert [reference() for reference in references] == [None, None]
    finally:
        gc.enable()


@pytest.mark.parametrize("kind", ["wordpiece", "added", "sentencepiece"])
def test_a_tokenizer_that_is_dropped_is_freed(kind: str) -> None:
    vocab = Vocab.from_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "[E]"])
    tokenizers: dict[str, Callable[[], Tokenizer]] = {
        "wordpiece": lambda: WordPiece(vocab),
        "added": lambda: WordPiece(vocab, added=({"id": 6, "content": "[E]"},)),
        "sentencepiece": lambda: SentencePiece(FIXTURES / "text" / "unigram1000.model"),
    }
    gc.collect()
    gc.disable()
    try:
        one = tokenizers[kind]()
        one.tokenize("a heron a")
        reference = weakref.ref(one)
        del one
        assert reference() is None
    finally:
        gc.enable()


FORK = """
import os, signal, sys, torch, plainbert
torch.set_num_threads(2)
model = plainbert.load("all-MiniLM-L6-v2")
text = "a heron was fishing " * 60
before = model.encode(text)
child = os.fork()
if not child:
    signal.alarm(60)
    same = abs(model.encode(text) - before).max() < 1e-5
    many = model.encode([text, "a", "b"] * 4)
    os._exit(0 if same and torch.get_num_threads() == 1 and len(many) == 12 else 1)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
assert torch.get_num_threads() == 2
sys.exit(abs(status))
"""


def test_a_fork_after_use_computes() -> None:
    done = subprocess.run([sys.executable, "-c", FORK], timeout=120, check=False)
    assert done.returncode == 0
