"""Every head against its ``transformers`` class: float64, packed and padded, forward and gradient.

The reference is a tiny random model of theirs; ours takes its weights by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from plainbert.config import BertConfig
from plainbert.nn import headed, heads, pretraining_heads
from plainbert.nn.bert import Bert
from plainbert.nn.layout import Layout, Packed, Padded

LENGTHS = [9, 4, 11, 1]
LABELS = 3

CONFIG = BertConfig(
    vocab_size=50,
    hidden_size=24,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=40,
    max_position_embeddings=20,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
    id2label=tuple("abc"),
)


def theirs(kind: str, activation: str = "gelu", **changes: Any) -> nn.Module:
    torch.manual_seed(0)
    values = CONFIG.replace(hidden_act=activation).to_dict() | changes
    # Weights of deviation 0.3 make every activation and norm work outside its linear range.
    config = transformers.BertConfig(**values | {"initializer_range": 0.3})
    model = getattr(transformers, kind)._from_config(config, attn_implementation="eager")
    for name, weight in model.named_parameters():
        if weight.dim() == 1:  # norms and biases start as constants, which would hide mix-ups
            nn.init.normal_(weight, mean=float("LayerNorm.weight" in name), std=0.3)
    return model.double().eval()


def ours(model: nn.Module, reference: nn.Module) -> nn.Module:
    state = reference.state_dict()
    state = {name: value for name, value in state.items() if "predictions.decoder" not in name}
    model.load_state_dict(state)
    return model.double().eval()


def padded_batch() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    shape = (len(LENGTHS), max(LENGTHS))
    ids = torch.randint(0, 50, shape, generator=generator)
    types = torch.randint(0, 2, shape, generator=generator)
    mask = (torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]).long()
    return ids, types, mask


def run(model: nn.Module, packed: bool) -> tuple[Any, Layout, Tensor]:
    """Logits, the layout, and the real-token mask."""
    ids, types, mask = padded_batch()
    real = mask.bool()
    layout: Layout = Packed(LENGTHS) if packed else Padded(mask)
    if packed:
        ids, types = ids[real], types[real]
    return model(ids, types, layout), layout, real


def tokens(values: Tensor, real: Tensor, packed: bool) -> Tensor:
    """Per-token values of real tokens only."""
    return values if packed else values[real]


def compare(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def compare_gradients(our_model: nn.Module, their_model: nn.Module) -> None:
    wanted = dict(their_model.named_parameters())
    checked = 0
    for name, weight in our_model.named_parameters():
        reference = wanted[name].grad
        got = weight.grad if weight.grad is not None else torch.zeros_like(weight)
        compare(got, torch.zeros_like(weight) if reference is None else reference)
        checked += reference is not None and bool(reference.abs().sum() > 0)
    assert checked > 40  # three layers of 16 tensors: the comparison was not empty


both = pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])


@both
@pytest.mark.parametrize("act", ["gelu", "relu", "gelu_new"])
def test_body(packed: bool, act: str) -> None:
    reference = theirs("BertModel", act)
    model = ours(Bert(CONFIG.replace(hidden_act=act)), reference)
    ids, types, mask = padded_batch()
    want = reference(
        input_ids=ids, token_type_ids=types, attention_mask=mask, output_hidden_states=True
    )
    real = mask.bool()
    if packed:
        got = model(ids[real], types[real], layout=Packed(LENGTHS), every_layer=True)
    else:
        got = model(ids, types, mask, every_layer=True)

    compare(got.pooled, want.pooler_output)
    assert len(got.layers) == len(want.hidden_states) == 4
    for our_layer, their_layer in zip(got.layers, want.hidden_states, strict=True):
        compare(tokens(our_layer, real, packed), their_layer[real])

    weight = torch.randn_like(want.pooler_output)
    ((got.pooled * weight).sum() + tokens(got.hidden, real, packed).square().sum()).backward()
    ((want.pooler_output * weight).sum() + want.last_hidden_state[real].square().sum()).backward()
    compare_gradients(model, reference)


@both
@pytest.mark.parametrize(
    ("kind", "build", "labels"),
    [
        ("BertForSequenceClassification", heads.Classifier, torch.tensor([2, 0, 1, 1])),
        (
            "BertForNextSentencePrediction",
            pretraining_heads.NextSentence,
            torch.tensor([1, 0, 1, 1]),
        ),
    ],
)
def test_sequence_heads(
    kind: str, build: Callable[[BertConfig], headed.Headed], labels: Tensor, packed: bool
) -> None:
    reference = theirs(kind)
    model = ours(build(CONFIG), reference)
    logits, layout, _ = run(model, packed)
    ids, types, mask = padded_batch()
    want = reference(input_ids=ids, token_type_ids=types, attention_mask=mask, labels=labels)
    loss = model.loss(logits, labels, layout)

    compare(logits, want.logits)
    compare(loss.total / loss.number, want.loss)
    (loss.total / loss.number).backward()
    want.loss.backward()
    compare_gradients(model, reference)


@both
def test_regression(packed: bool) -> None:
    reference = theirs(
        "BertForSequenceClassification",
        id2label={0: "score"},
        label2id={"score": 0},
        problem_type="regression",
    )
    model = ours(heads.Regressor(CONFIG.replace(id2label=("score",))), reference)
    labels = torch.tensor([0.5, -1.0, 2.0, 0.0], dtype=torch.float64)
    logits, layout, _ = run(model, packed)
    ids, types, mask = padded_batch()
    want = reference(input_ids=ids, token_type_ids=types, attention_mask=mask, labels=labels)
    loss = model.loss(logits, labels, layout)

    compare(logits, want.logits)
    compare(loss.total / loss.number, want.loss / 2)  # GluonNLP's L2Loss is half the square
    (2 * loss.total / loss.number).backward()
    want.loss.backward()
    compare_gradients(model, reference)


@both
def test_tagging(packed: bool) -> None:
    reference = theirs("BertForTokenClassification")
    model = ours(heads.TokenClassifier(CONFIG), reference)
    logits, layout, real = run(model, packed)
    ids, types, mask = padded_batch()
    labels = torch.randint(0, LABELS, ids.shape)
    labels[~real] = headed.IGNORE
    labels[0, :3] = headed.IGNORE
    want = reference(input_ids=ids, token_type_ids=types, attention_mask=mask, labels=labels)
    loss = model.loss(logits, labels[real] if packed else labels, layout)

    compare(tokens(logits, real, packed), want.logits[real])
    assert int(loss.number) == sum(LENGTHS) - 3
    compare(loss.total / loss.number, want.loss)
    (loss.total / loss.number).backward()
    want.loss.backward()
    compare_gradients(model, reference)


@both
def test_span(packed: bool) -> None:
    reference = theirs("BertForQuestionAnswering", id2label={0: "0", 1: "1"})
    model = ours(heads.QuestionAnswering(CONFIG), reference)
    logits, layout, real = run(model, packed)
    ids, types, mask = padded_batch()
    want = reference(input_ids=ids, token_type_ids=types, attention_mask=mask)
    their_logits = torch.stack([want.start_logits, want.end_logits], -1)
    labels = torch.tensor([[2, 5], [0, 0], [10, 10], [headed.IGNORE, headed.IGNORE]])
    loss = model.loss(logits, labels, layout)

    compare(tokens(logits, real, packed), their_logits[real])
    # By the formula, one sequence at a time: theirs lets padding take part in the soft-max.
    expected = torch.zeros((), dtype=torch.float64)
    for row, (length, pair) in enumerate(zip(LENGTHS, labels.tolist(), strict=True)):
        if pair[0] == headed.IGNORE:
            continue
        for side in (0, 1):
            expected = expected - their_logits[row, :length, side].log_softmax(0)[pair[side]] / 2
    compare(loss.total, expected)
    assert int(loss.number) == 3
    loss.total.backward()
    expected.backward()
    compare_gradients(model, reference)


@both
def test_multiple_choice(packed: bool) -> None:
    reference = theirs("BertForMultipleChoice")
    model = ours(heads.MultipleChoice(CONFIG, num_choices=2), reference)
    labels = torch.tensor([1, 0])
    logits, layout, _ = run(model, packed)
    ids, types, mask = (part.view(2, 2, -1) for part in padded_batch())
    want = reference(input_ids=ids, token_type_ids=types, attention_mask=mask, labels=labels)
    loss = model.loss(logits, labels, layout)

    compare(logits, want.logits)
    compare(loss.total / loss.number, want.loss)
    (loss.total / loss.number).backward()
    want.loss.backward()
    compare_gradients(model, reference)


@both
def test_pretraining_heads(packed: bool) -> None:
    reference = theirs("BertForPreTraining")
    model = ours(pretraining_heads.Pretraining(CONFIG), reference)
    ids, types, mask = padded_batch()
    index = torch.tensor([[0, 3], [0, 8], [2, 10], [3, 0]])
    words, sentences = torch.tensor([7, 1, 49, 0]), torch.tensor([0, 1, 1, 0])
    labels = torch.full_like(ids, headed.IGNORE)
    labels[index[:, 0], index[:, 1]] = words
    want = reference(
        input_ids=ids,
        token_type_ids=types,
        attention_mask=mask,
        labels=labels,
        next_sentence_label=sentences,
    )
    real = mask.bool()
    layout: Layout = Packed(LENGTHS) if packed else Padded(mask)
    got = model(ids[real] if packed else ids, types[real] if packed else types, layout, index=index)
    loss = model.loss(got, pretraining_heads.PretrainingOutputs(words, sentences), layout)

    compare(got.mlm, want.prediction_logits[index[:, 0], index[:, 1]])
    compare(got.nsp, want.seq_relationship_logits)
    compare(loss.total / loss.number, want.loss)
    loss.total.backward()
    want.loss.backward()
    compare_gradients(model, reference)


@both
def test_masked_words_of_every_token(packed: bool) -> None:
    reference = theirs("BertForMaskedLM")
    model = ours(pretraining_heads.MaskedLM(CONFIG), reference)
    logits, _, real = run(model, packed)
    ids, types, mask = padded_batch()
    want = reference(input_ids=ids, token_type_ids=types, attention_mask=mask)

    compare(tokens(logits, real, packed), want.logits[real])
