"""Folders cross over: ours open in ``transformers`` and ``sentence-transformers``, theirs here."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers
from sentence_transformers import SentenceTransformer
from torch import nn

from plainbert import checkpoint, model_zoo
from plainbert.nn.bert import Bert
from plainbert.nn.layout import Padded
from plainbert.nn.models import MODELS
from tests.helpers.folders import CONFIG, FIXTURES, LABELS, TOKENS, batch, tiny, tokenizer
from tests.helpers.rounding import rounding, terms_of

# Head, the Auto class that must find it, its own class, and the name of its logits.
KINDS = [
    ("embedding", "AutoModel", "BertModel", "last_hidden_state"),
    ("classification", "AutoModelForSequenceClassification", "BertForSequenceClassification", ""),
    ("regression", "AutoModelForSequenceClassification", "BertForSequenceClassification", ""),
    (
        "question_answering",
        "AutoModelForQuestionAnswering",
        "BertForQuestionAnswering",
        "start_logits",
    ),
    ("token_classification", "AutoModelForTokenClassification", "BertForTokenClassification", ""),
    ("multiple_choice", "AutoModelForMultipleChoice", "BertForMultipleChoice", ""),
    ("masked_lm", "AutoModelForMaskedLM", "BertForMaskedLM", ""),
    ("next_sentence", "AutoModelForNextSentencePrediction", "BertForNextSentencePrediction", ""),
    ("pretraining", "AutoModelForPreTraining", "BertForPreTraining", "prediction_logits"),
]  # fmt: skip


def ours_says(model, head):
    ids, types, mask = batch()
    layout = Padded(mask)
    with torch.no_grad():
        if head == "embedding":
            outputs = model(ids, types, mask)
            return {"last_hidden_state": outputs.hidden, "pooler_output": outputs.pooled}
        logits = model(ids, types, layout)
    if head == "question_answering":
        return {"start_logits": logits[..., 0], "end_logits": logits[..., 1]}
    if head == "pretraining":
        return {"prediction_logits": logits.mlm, "seq_relationship_logits": logits.nsp}
    return {"logits": logits}


def theirs_says(model, head):
    ids, types, mask = batch()
    if head == "multiple_choice":
        ids, types, mask = (each.view(2, 2, -1) for each in (ids, types, mask))
    with torch.no_grad():
        return model.eval()(input_ids=ids, token_type_ids=types, attention_mask=mask)


def compare(ours, theirs, mask, config=CONFIG):
    assert ours, "nothing was compared"
    for name, mine in ours.items():
        other = theirs[name]
        if mine.shape[:2] == mask.shape:  # rows of padding are undefined
            mine, other = mine[mask.bool()], other[mask.bool()]
        atol = rounding(terms_of(config), other)
        torch.testing.assert_close(mine, other, atol=atol, rtol=0)


@pytest.mark.parametrize(("head", "auto", "kind", "_"), KINDS, ids=[each[0] for each in KINDS])
def test_our_folder_in_transformers(tmp_path, head, auto, kind, _):
    model = tiny(head)
    checkpoint.write(tmp_path / "model", model, tokenizer())
    theirs, info = getattr(transformers, auto).from_pretrained(
        tmp_path / "model", output_loading_info=True
    )
    assert type(theirs).__name__ == kind
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    if head in ("classification", "token_classification"):
        assert theirs.config.id2label == dict(enumerate(LABELS))
    compare(ours_says(model, head), theirs_says(theirs, head), batch()[2])


@pytest.mark.parametrize("safe", [True, False], ids=["safetensors", "bin"])
@pytest.mark.parametrize(("head", "auto", "kind", "_"), KINDS, ids=[each[0] for each in KINDS])
def test_transformers_folder_here(tmp_path, head, auto, kind, _, safe):
    labels = {
        "classification": LABELS,
        "token_classification": LABELS,
        "regression": ("LABEL_0",),
    }.get(head)
    values = CONFIG.replace(id2label=labels).to_dict()
    theirs = getattr(transformers, kind)(transformers.BertConfig(**values))
    for name, weight in theirs.named_parameters():
        if weight.dim() == 1:
            nn.init.normal_(weight, mean=float("LayerNorm.weight" in name), std=0.3)
    folder = tmp_path / "theirs"
    theirs.save_pretrained(folder)
    if not safe:
        (folder / "model.safetensors").unlink()
        torch.save(theirs.state_dict(), folder / "pytorch_model.bin")
    (folder / "vocab.txt").write_text("\n".join(TOKENS) + "\n")
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": true}')

    opened = model_zoo.open_folder(folder)
    assert opened.head == head
    assert opened.report.fresh == ()
    assert not opened.model.training
    compare(ours_says(opened.model, head), theirs_says(theirs, head), batch()[2])


@pytest.mark.parametrize("name", ["hf_bert-xsmall-dummy", "hf_camphr_bert_tiny"])
def test_published_old_folders(name):
    folder = FIXTURES / "checkpoints" / name
    lower = True if name == "hf_bert-xsmall-dummy" else None  # that one does not say
    opened = model_zoo.open_folder(folder, lower=lower)
    theirs = transformers.BertModel.from_pretrained(folder)
    ours = ours_says(opened.model, "embedding")
    compare(ours, theirs_says(theirs, "embedding"), batch()[2], opened.model.config)


def test_our_tokenizer_in_transformers(tmp_path):
    made = tokenizer()
    checkpoint.write(tmp_path / "model", tiny(), made)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    for text in ("The CAT", "ab [MASK] cba", "dog, a"):
        expected = [made.vocab.cls_id, *made.ids(text), made.vocab.sep_id]
        assert theirs(text)["input_ids"] == expected


def test_number_of_choices_comes_back(tmp_path):
    model = MODELS["multiple_choice"](CONFIG, num_choices=4)
    checkpoint.write(tmp_path / "model", model, tokenizer())
    opened = model_zoo.open_folder(tmp_path / "model")
    assert opened.model(*batch()[:2]).shape == (1, 4)


TEXTS = ["the cat", "a b c", "ab cba the", "a dog the cat the cat a b c the cat a b c"]


def our_vectors(opened, texts):
    """Sentence vectors by the definition, one text at a time, by the folder's own settings."""
    vocab, found = opened.tokenizer.vocab, opened.checkpoint
    vectors = []
    for text in texts:
        pieces = opened.tokenizer.ids(text)[: found.max_length - 2]
        ids = torch.tensor([[vocab.cls_id, *pieces, vocab.sep_id]])
        with torch.no_grad():
            hidden = opened.model(ids).hidden[0]
        vector = {"mean": hidden.mean(0), "cls": hidden[0], "max": hidden.amax(0)}[found.pooling]
        vectors.append(vector / vector.norm() if found.normalize else vector)
    return torch.stack(vectors).numpy()


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("head", ["embedding", "classification"])
def test_sentence_vectors_cross_over(tmp_path, pooling, normalize, head):
    about = {"pooling": pooling, "normalize": normalize, "max_length": 9}
    checkpoint.write(tmp_path / "ours", tiny(head), tokenizer(), about=about)
    theirs = SentenceTransformer(str(tmp_path / "ours"), device="cpu")
    assert theirs.max_seq_length == 9
    opened = model_zoo.open_folder(tmp_path / "ours", head="embedding")
    assert isinstance(opened.model, Bert)
    ours = our_vectors(opened, TEXTS)
    atol = rounding(terms_of(CONFIG), ours)
    np.testing.assert_allclose(ours, theirs.encode(TEXTS), rtol=0, atol=atol)

    theirs.save(str(tmp_path / "theirs"))  # in the newest format
    again = model_zoo.open_folder(tmp_path / "theirs")
    found = again.checkpoint
    assert (found.pooling, found.normalize, found.max_length) == (pooling, normalize, 9)
    np.testing.assert_allclose(our_vectors(again, TEXTS), ours, rtol=0, atol=atol)


def test_pooling_that_sentence_transformers_lacks_is_kept_for_us_alone(tmp_path):
    about = {"pooling": "mean_max", "max_length": 9}
    folder = checkpoint.write(tmp_path / "ours", tiny("embedding"), tokenizer(), about=about)
    assert not (folder / "modules.json").exists()
    assert checkpoint.read(folder).pooling == "mean_max"


@pytest.fixture(scope="module")
def opened():
    return model_zoo.open_folder("all-MiniLM-L6-v2")


class TestRealModel:
    """all-MiniLM-L6-v2 as its Python package carries it."""

    TEXTS = (
        "A man is playing a guitar on the street.",
        "Ein Mann spielt Gitarre; naïve café!",
        "The stock market fell by 3.5 % on Monday after the announcement.",
    )

    def test_folder_settings(self, opened):
        found = opened.checkpoint
        assert (found.pooling, found.normalize, found.max_length) == ("mean", True, 256)
        assert (opened.head, opened.report.fresh) == ("embedding", ())
        assert opened.tokenizer.lower

    def test_forward_equals_transformers(self, opened):
        folder = opened.checkpoint.folder
        theirs = transformers.AutoModel.from_pretrained(folder).eval()
        encoded = transformers.AutoTokenizer.from_pretrained(folder)(
            list(self.TEXTS), return_tensors="pt", padding=True
        )
        vocab, mask = opened.tokenizer.vocab, encoded["attention_mask"]
        for row, text in enumerate(self.TEXTS):
            ids = [vocab.cls_id, *opened.tokenizer.ids(text), vocab.sep_id]
            assert encoded["input_ids"][row][mask[row].bool()].tolist() == ids
        with torch.no_grad():
            ours = opened.model(encoded["input_ids"], encoded["token_type_ids"], mask)
            expected = theirs(**encoded)
        real = mask.bool()
        torch.testing.assert_close(
            ours.hidden[real], expected.last_hidden_state[real], atol=1e-5, rtol=0
        )
        torch.testing.assert_close(ours.pooled, expected.pooler_output, atol=1e-5, rtol=0)

    def test_vectors_equal_sentence_transformers(self, opened):
        theirs = SentenceTransformer(str(opened.checkpoint.folder), device="cpu")
        expected = theirs.encode(list(self.TEXTS))
        ours = our_vectors(opened, self.TEXTS)
        assert (ours * expected).sum(1).min() >= 0.99999
