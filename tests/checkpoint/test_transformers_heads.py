"""What transformers saves beyond the usual: several labels per text, decoders, untied matrices."""

from __future__ import annotations

import pytest
import torch
import transformers

from plainbert import checkpoint
from plainbert.errors import CheckpointError
from plainbert.nn.layout import Padded
from plainbert.nn.models import MODELS
from tests.helpers.folders import CONFIG, FIXTURES, LABELS, batch
from tests.helpers.rounding import rounding, terms_of


def saved(folder, kind, **changes):
    values = {**CONFIG.to_dict(), **changes}
    values.pop("architectures", None)
    torch.manual_seed(0)
    theirs = getattr(transformers, kind)(transformers.BertConfig(**values)).eval()
    theirs.save_pretrained(folder)
    return theirs


def opened(folder):
    stored = checkpoint.read(folder)
    with checkpoint.MetaInit():
        model = MODELS[stored.head](stored.config)
    report = checkpoint.load(model, stored.tensors())
    assert report.fresh == ()
    return stored, model.eval()


def same_logits(ours, theirs):
    ids, types, mask = batch()
    with torch.no_grad():
        expected = theirs(input_ids=ids, token_type_ids=types, attention_mask=mask).logits
        found = ours(ids, types, Padded(mask))
    if expected.shape[:2] == mask.shape:
        found, expected = found[mask.bool()], expected[mask.bool()]
    atol = rounding(terms_of(CONFIG), expected)
    torch.testing.assert_close(found, expected, atol=atol, rtol=0)


@pytest.mark.parametrize(
    ("changes", "head", "labels"),
    [
        (
            {"id2label": dict(enumerate(LABELS)), "problem_type": "multi_label_classification"},
            "classification",
            LABELS,
        ),
        ({"id2label": dict(enumerate(LABELS))}, "classification", LABELS),
        ({"num_labels": 1}, "regression", ("LABEL_0",)),
        ({"num_labels": 1, "problem_type": "regression"}, "regression", ("LABEL_0",)),
        ({}, "classification", None),
        ({"num_labels": 7}, "classification", tuple(f"LABEL_{row}" for row in range(7))),
    ],
    ids=["several", "one of 3", "one number", "regression", "default", "unnamed"],
)
def test_sequence_classifiers(tmp_path, changes, head, labels):
    theirs = saved(tmp_path, "BertForSequenceClassification", **changes)
    stored, model = opened(tmp_path)
    assert (stored.head, stored.config.problem_type) == (head, changes.get("problem_type"))
    assert stored.config.id2label in (labels, ("LABEL_0", "LABEL_1"))
    assert stored.config.num_labels == theirs.config.num_labels
    same_logits(model, theirs)


def test_matrix_that_is_not_tied(tmp_path):
    theirs = saved(tmp_path, "BertForMaskedLM", tie_word_embeddings=False)
    with torch.no_grad():
        theirs.cls.predictions.decoder.weight.add_(1)
    theirs.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"decoder.weight differs from .*word_embeddings"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("BertLMHeadModel", {"is_decoder": True}),
        ("BertLMHeadModel", {}),
        ("BertModel", {"is_decoder": True, "add_cross_attention": True}),
    ],
)
def test_decoders(tmp_path, kind, changes):
    saved(tmp_path, kind, **changes)
    with pytest.raises(CheckpointError, match="a decoder that sees only the words before"):
        checkpoint.read(tmp_path)


def test_published_tagger():
    folder = FIXTURES / "checkpoints" / "hf_camphr_ner_bert"
    theirs = transformers.BertForTokenClassification.from_pretrained(folder).eval()
    stored, model = opened(folder)
    assert stored.config.id2label == tuple(theirs.config.id2label.values())
    same_logits(model, theirs)


def test_published_tagger_has_words_without_a_vector():
    """405 lines of vocabulary for 402 rows: a text with one of the last three could not be read."""
    folder = FIXTURES / "checkpoints" / "hf_camphr_ner_bert"
    config = checkpoint.read(folder).config
    lines = (folder / "vocab.txt").read_text("utf-8").splitlines()
    with pytest.raises(
        CheckpointError,
        match=r"405 entries, but the model has vectors for 402 .*entries 402 to 404 would have no",
    ):
        checkpoint.writer.check_vocabulary(len(lines), config.vocab_size, str(folder))
