"""Masked words and next sentence: the loss, its gradient however it is cut, the scores, the log."""

from __future__ import annotations

import logging
import re

import numpy as np
import pytest
import torch
import transformers
from torch import nn

from plainbert.batching.batch import inference_batches
from plainbert.batching.sampler import Sampler
from plainbert.config import BertConfig
from plainbert.nn import pretraining_heads as heads
from plainbert.nn.names import IGNORE
from plainbert.tasks.pretraining import evaluate
from plainbert.tasks.pretraining.evaluate import (
    HeldOut,
    SameLength,
    flops_per_token,
    step_formatter,
)
from plainbert.tasks.pretraining.features import Instances
from plainbert.tasks.pretraining.objective import PretrainingObjective
from plainbert.tasks.pretraining.rows import InstanceRows
from plainbert.train.loop import fit
from plainbert.train.module_state import ModuleState
from plainbert.train.monitor import StepLog
from plainbert.train.objective import divided
from plainbert.train.optim import Optimizer
from plainbert.train.parallel.strategy import ParallelStrategy
from plainbert.train.settings import Settings
from plainbert.train.step import Scaler, Stepper
from tests.helpers import tiny
from tests.helpers.rounding import rounding

CPU = torch.device("cpu")
CONFIG = BertConfig(
    vocab_size=len(tiny.VOCAB),
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=32,
    max_position_embeddings=40,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)


class Text:
    """Ragged pairs with 0 to 9 masks each; a third have no next sentence."""

    def __init__(self, count, seed=0):
        generator = np.random.default_rng(seed)
        self.lengths = generator.integers(4, 30, count)
        self.ids = [generator.integers(4, len(tiny.VOCAB), length) for length in self.lengths]
        self.masked = [
            np.sort(generator.permutation(length)[: generator.integers(0, min(10, length))])
            for length in self.lengths
        ]
        self.words = [generator.integers(5, 9, len(places)) for places in self.masked]
        self.kinds = generator.integers(-1, 2, count)

    def rows(self, index, epoch=0):
        def joined(parts, kind):
            return np.concatenate([np.zeros(0, kind), *parts]).astype(kind)

        counts = [len(self.masked[row]) for row in index]
        return InstanceRows(
            ids=joined([self.ids[row] for row in index], np.int32),
            offsets=np.cumsum([0, *self.lengths[index]]),
            types=joined([np.arange(n) >= n // 2 for n in self.lengths[index]], np.uint8),
            masked_sequence=np.repeat(np.arange(len(index)), counts),
            masked_positions=joined([self.masked[row] for row in index], np.int64),
            masked_ids=joined([self.words[row] for row in index], np.int64),
            next_sentence=self.kinds[index],
        )


TEXT = Text(53)
PAIRS = np.flatnonzero((TEXT.kinds >= 0) & (np.array([len(each) for each in TEXT.masked]) > 0))


def model(kind="Pretraining", dtype=torch.float64, seed=1):
    """Weights so large that activations and norms work outside their linear range."""
    torch.manual_seed(seed)
    made = getattr(heads, kind)(CONFIG.replace(initializer_range=0.3))
    for name, weight in made.named_parameters():
        if weight.dim() == 1:
            nn.init.normal_(weight, mean=float("LayerNorm.weight" in name), std=0.3)
    return made.to(dtype).train()


def gradients(ours, objective, batches):
    """Backward over micro-batches, divided by the counts of all of them; the loss."""
    counts = np.sum([objective.counts(batch) for batch in batches], 0).tolist()
    total = 0.0
    for batch in batches:
        loss = divided(objective.sums(ours, batch).losses, counts, 1.0)
        loss.backward()
        total += float(loss.detach())
    return total


@pytest.mark.parametrize("rows", [np.arange(12), PAIRS[:1], np.arange(53)])
@pytest.mark.parametrize(
    ("kind", "theirs"), [("Pretraining", "BertForPreTraining"), ("MaskedLM", "BertForMaskedLM")]
)
def test_loss_and_gradients_are_transformers(kind, theirs, rows):
    ours, sentences = model(kind), kind == "Pretraining"
    values = CONFIG.to_dict()
    reference = getattr(transformers, theirs)._from_config(
        transformers.BertConfig(**values), attn_implementation="eager"
    )
    missing, unexpected = reference.double().load_state_dict(ours.state_dict(), strict=False)
    assert not unexpected
    assert all("predictions.decoder" in name for name in missing)
    reference.tie_weights()
    reference.train()

    shape = (len(rows), TEXT.lengths[rows].max())
    ids, types, mask = (torch.zeros(shape, dtype=torch.int64) for _ in range(3))
    labels = torch.full(shape, IGNORE)
    for place, row in enumerate(rows):
        length = TEXT.lengths[row]
        ids[place, :length] = torch.tensor(TEXT.ids[row])
        types[place, length // 2 : length] = 1
        mask[place, :length] = 1
        labels[place, TEXT.masked[row]] = torch.tensor(TEXT.words[row])
    more = {"next_sentence_label": torch.tensor(TEXT.kinds[rows])} if sentences else {}
    if sentences:
        more["next_sentence_label"][TEXT.kinds[rows] < 0] = IGNORE
    want = reference(
        input_ids=ids, token_type_ids=types, attention_mask=mask, labels=labels, **more
    ).loss
    want.backward()

    batch = Instances(TEXT).batch(rows, 0, CPU)
    got = gradients(ours, PretrainingObjective(sentences), [batch])

    assert got == pytest.approx(float(want.detach()), abs=1e-10)
    named, checked = dict(reference.named_parameters()), 0
    for name, weight in ours.named_parameters():
        torch.testing.assert_close(
            weight.grad, named[name].grad, rtol=0, atol=1e-10, msg=lambda text, name=name: name
        )
        checked += bool(weight.grad.abs().max() > 1e-6)
    assert checked > 30


def test_counts_hits_and_names():
    batch = Instances(TEXT).batch(np.arange(20), 0, CPU)
    words = sum(len(TEXT.masked[row]) for row in range(20))
    pairs = int((TEXT.kinds[:20] >= 0).sum())
    assert pairs < 20
    ours = model().eval()
    found = PretrainingObjective().sums(ours, batch)
    logits = ours(batch.ids, batch.types, batch.layout, batch.masked)
    assert PretrainingObjective().counts(batch) == [words, pairs]
    assert [int(each) for each in found.hits] == [
        int((logits.mlm.argmax(1) == batch.mlm_labels).sum()),
        int((logits.nsp.argmax(1) == batch.nsp_labels).sum()),
    ]
    assert PretrainingObjective(accuracy=False).sums(ours, batch).hits == []
    words_only = PretrainingObjective(nsp=False)
    assert (words_only.names, words_only.counts(batch)) == (("mlm_loss",), [words])
    assert len(words_only.sums(model("MaskedLM"), batch).losses) == 1


GLOBAL, STEPS = 12, 7  # the fifth step has 5 examples, cut into unequal parts


def trained(accumulate, clip=0.1, kind="Pretraining", tokens=False):
    ours, data = model(kind), Instances(TEXT)
    objective = PretrainingObjective(kind == "Pretraining")
    optimizer = Optimizer("sgd", ours.named_parameters())
    modules, scaler = ModuleState(ours, torch.float64), Scaler()
    stepper = Stepper(modules, optimizer, scaler, clip, 3, objective=objective)
    size = (200 if tokens else GLOBAL) // accumulate
    sampler = Sampler(data.lengths, size, 5, accumulate, tokens=tokens)
    results, masks = [], set()
    for step in range(STEPS):
        batches = [data.batch(ids, 0, CPU) for ids in sampler.batch(step) if len(ids)]
        masks.add(tuple(len(batch.mlm_labels) for batch in batches))
        results.append(stepper.step(step, batches, 0.3))
    uneven = sum(len(set(each)) > 1 for each in masks)
    return ours, results, uneven


@pytest.mark.parametrize(
    ("accumulate", "clip", "kind", "tokens"),
    [
        (2, 0.1, "Pretraining", False),
        (3, 0.0, "Pretraining", False),
        (4, 0.1, "MaskedLM", False),
        (12, 0.1, "Pretraining", False),
        (4, 0.1, "Pretraining", True),
    ],
)
def test_micro_batches_are_one_batch(accumulate, clip, kind, tokens):
    """Each loss is divided by its own count of the global batch, however unequal the parts are."""
    whole, want, _ = trained(1, clip, kind, tokens)
    ours, results, uneven = trained(accumulate, clip, kind, tokens)
    assert uneven > 3  # steps at which a mean of means would be another number
    for result, other in zip(results, want, strict=True):
        assert result.losses == pytest.approx(other.losses, abs=1e-9)
        assert result.norm == pytest.approx(other.norm, abs=1e-9)
        assert (result.examples, result.tokens) == (other.examples, other.tokens)
    assert max(result.norm for result in want) > 0.1  # clipping had something to do
    for (name, got), other in zip(ours.named_parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(
            got, other, rtol=0, atol=1e-9, msg=lambda text, name=name: f"{name}: {text}"
        )
    fresh = model(kind)
    moved = [
        (got - other).abs().max()
        for got, other in zip(ours.parameters(), fresh.parameters(), strict=True)
    ]
    assert max(moved) > 0.01


def test_the_reported_losses_are_means_over_the_global_batch():
    _, results, _ = trained(3, clip=0.0)
    ours, data = model(), Instances(TEXT)
    ids = Sampler(data.lengths, GLOBAL, 5).examples(0)
    batch = data.batch(ids, 0, CPU)
    logits = ours(batch.ids, batch.types, batch.layout, batch.masked)
    losses = results[0].losses
    assert list(losses) == ["mlm_loss", "nsp_loss"]
    assert list(results[0].accuracies) == ["mlm_acc", "nsp_acc"]
    mean = nn.functional.cross_entropy
    assert losses["mlm_loss"] == pytest.approx(float(mean(logits.mlm, batch.mlm_labels).detach()))
    pairs = mean(logits.nsp, batch.nsp_labels, ignore_index=IGNORE)
    assert losses["nsp_loss"] == pytest.approx(float(pairs.detach()))
    assert results[0].loss == losses["mlm_loss"] + losses["nsp_loss"]
    hits = (logits.mlm.argmax(1) == batch.mlm_labels).double().mean()
    assert results[0].accuracies["mlm_acc"] == pytest.approx(float(hits))


@pytest.mark.parametrize("micro", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("kind", ["Pretraining", "MaskedLM"])
def test_the_word_vectors_gradient_is_the_dense_one(kind, dtype, micro):
    """Sparse rows of the embedding and the head's gradient buffer against autograd's own sum."""
    weights = torch.float64 if dtype is torch.float64 else torch.float32
    ours, plain = model(kind, weights), model(kind, weights)
    objective, data = PretrainingObjective(kind == "Pretraining"), Instances(TEXT)
    modules, other = ModuleState(ours, dtype), ModuleState(plain, dtype)
    optimizer = Optimizer("sgd", ours.named_parameters())
    Stepper(modules, optimizer, Scaler(), objective=objective)
    assert ours.bert.embeddings.sparse
    assert (ours.cls.predictions.gradient_buffer is None) == (dtype is not torch.bfloat16)

    for again in range(2):  # what is kept begins at zero at every step
        batches = [
            data.batch(part, 0, CPU) for part in np.array_split(np.arange(53)[again::2], micro)
        ]
        plain.zero_grad()
        loss = gradients(plain, objective, batches)
        assert gradients(ours, objective, batches) == pytest.approx(loss, rel=1e-6)
        optimizer.gradients()
        words = ours.bert.embeddings.word_embeddings.weight.grad
        # The rows of the most frequent word are added one after another.
        terms = int(torch.cat([batch.ids for batch in batches]).bincount().max())
        tight = 1e-13 if dtype is torch.float64 else rounding(terms)
        for (name, got), want in zip(ours.named_parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(
                got.grad,
                want.grad,
                rtol=0,
                atol=tight * float(want.grad.abs().max()),
                msg=lambda text, name=name: f"{name}: {text}",
            )
        assert words.layout is torch.strided
        optimizer.drop_gradients()
    other.remove()


def test_frozen_word_vectors_stay_and_the_rest_learns():
    ours = model(dtype=torch.float32)
    words = ours.bert.embeddings.word_embeddings.weight.requires_grad_(False)
    before, dense = words.clone(), ours.cls.predictions.transform.dense.weight.detach().clone()
    optimizer = Optimizer("adamw", ours.named_parameters())
    modules = ModuleState(ours, torch.bfloat16)
    stepper = Stepper(modules, optimizer, Scaler(), objective=PretrainingObjective())
    stepper.step(0, [Instances(TEXT).batch(np.arange(9), 0, CPU)], 0.1)
    assert torch.equal(words, before)
    assert not torch.equal(ours.cls.predictions.transform.dense.weight, dense)


def test_a_batch_without_masks_or_pairs_is_a_step_all_the_same():
    class Empty(Text):
        def rows(self, index, epoch=0):
            rows = super().rows(index[:0], epoch)
            return rows

    ours = model()
    optimizer = Optimizer("sgd", ours.named_parameters(), weight_decay=0.0)
    stepper = Stepper(
        ModuleState(ours, torch.float64),
        optimizer,
        Scaler(),
        objective=PretrainingObjective(),
    )
    before = {name: each.clone() for name, each in ours.state_dict().items()}
    result = stepper.step(0, [Instances(Empty(4)).batch(np.arange(4), 0, CPU)], 0.1)
    assert result.applied
    assert result.losses == {"mlm_loss": 0, "nsp_loss": 0}
    assert result.accuracies == {"mlm_acc": 0, "nsp_acc": 0}
    assert all(torch.equal(each, before[name]) for name, each in ours.state_dict().items())


def slow_scores(ours, text):
    """One instance at a time, one mask at a time."""
    losses, hits = {"mlm": [], "nsp": []}, {"mlm": [], "nsp": []}
    with torch.no_grad():
        for row, ids in enumerate(text.ids):
            types = torch.arange(len(ids))[None] >= len(ids) // 2
            logits = ours(torch.tensor(ids)[None], types.long())
            masked = zip(text.masked[row], text.words[row], strict=True)
            pairs = [(logits.mlm[0, place], word) for place, word in masked]
            if text.kinds[row] >= 0:
                pairs.append((logits.nsp[0], text.kinds[row]))
            for place, (scores, label) in enumerate(pairs):
                key = "mlm" if place < len(text.masked[row]) else "nsp"
                losses[key].append(float(scores.logsumexp(0) - scores[label]))
                hits[key].append(int(scores.argmax()) == label)
    return {f"{key}_loss": np.mean(losses[key]) for key in losses} | {
        f"{key}_acc": np.mean(hits[key]) for key in hits
    }


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(evaluate, "EVAL_TOKENS", 100)


@pytest.mark.usefixtures("small_batches")
def test_held_out_scores_are_those_of_a_slow_loop():
    other = Text(21, seed=4)
    ours = model()
    before = {name: each.clone() for name, each in ours.state_dict().items()}
    evaluation = HeldOut({"a": Instances(TEXT), "b": Instances(other)}, PretrainingObjective())
    found = evaluation(ours)
    assert found["a"] == pytest.approx(slow_scores(ours, TEXT), rel=1e-10)
    assert found["b"] == pytest.approx(slow_scores(ours, other), rel=1e-10)
    assert found["a"] != found["b"]
    assert all(torch.equal(each, before[name]) for name, each in ours.state_dict().items())
    assert all(each.grad is None for each in ours.parameters())
    assert (evaluation.chooses, evaluation.better) == ("mlm_loss", -1)


@pytest.mark.usefixtures("small_batches")
def test_every_instance_is_scored_once_whatever_the_ranks():
    batches = inference_batches(TEXT.lengths, 100)
    assert len(batches) > 5
    assert sorted(np.concatenate(batches)) == list(range(53))

    class Some(ParallelStrategy):
        size, seen = 3, []

        def __init__(self, rank):
            self.rank = rank

        def sum(self, tensors):
            self.seen.append(tensors[0].clone())

    ours, part = model("MaskedLM"), Instances(TEXT)
    for rank in range(3):
        HeldOut({"eval": part}, PretrainingObjective(nsp=False), Some(rank))(ours)
    counts, losses, hits = torch.stack(Some.seen).sum(0)[:, 0].tolist()
    whole = HeldOut({"eval": part}, PretrainingObjective(nsp=False))(ours)["eval"]
    assert counts == sum(map(len, TEXT.masked))
    assert whole == pytest.approx({"mlm_loss": losses / counts, "mlm_acc": hits / counts})
    assert min(float(each[0, 0]) for each in Some.seen) > 0


def test_a_run_learns_keeps_the_best_and_leaves_the_model_as_it_was(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    ours, data = model(dtype=torch.float32), Instances(TEXT, identity={"vocabulary": "v"})
    settings = Settings(
        training_steps=60,
        batch_size=16,
        lr=3e-3,
        dtype=torch.bfloat16,
        eval_steps=20,
        save_steps=20,
        log_interval=10,
    )
    result = fit(
        ours,
        tiny.tokenizer(),
        data,
        settings,
        evaluation=HeldOut({"eval": data}, PretrainingObjective()),
        folder=tmp_path,
        objective=PretrainingObjective(),
        formatter=step_formatter(CONFIG, 0.15, 1e12, 1, CPU),
    )
    scores = [each["eval"]["mlm_loss"] for _, each in result.history]
    assert scores[-1] < 1.3 < scores[0]  # one word of four, always: log(4) = 1.39
    assert result.best == min(scores)
    assert not ours.bert.embeddings.sparse
    assert ours.cls.predictions.gradient_buffer is None
    assert caplog.text.count("[step ") == 60 // 10 + 60 // 4 - 60 // 20
    assert re.search(r"\[step 60\]\tmlm_loss=\d\.\d{5}\tmlm_acc=", caplog.text)


def test_the_line_has_gluonnlps_form():
    """As its log parsers expect it, with memory and utilisation behind."""
    losses = {"mlm_loss": 7.25, "nsp_loss": 0.5, "mlm_acc": 0.125, "nsp_acc": 0.75}
    now = StepLog(500, 1, 20, 480, 250, losses, 1e-4, 1.0, 10.0, 16000, 2_048_000)
    text, numbers = step_formatter(CONFIG, 0.15, 1e12, 2, CPU)(now)
    form = (
        r"\[step 500\]\tmlm_loss=7\.25000\tmlm_acc=0\.12500\tnsp_loss=0\.50000\tnsp_acc=0\.75000"
        r"\tthroughput=204\.8K tks/s\tlr=0\.0001000 time=10\.00, latency=40\.0 ms/batch, "
        r"peak memory=\d+\.\d\d GB, utilization=\d+ %"
    )
    assert re.fullmatch(form, text)
    assert numbers["tokens_per_second"] == 204_800
    assert numbers["milliseconds_per_step"] == 40
    used = 204_800 * flops_per_token(CONFIG, 128, 0.15) / 2e12
    assert numbers["utilization"] == pytest.approx(used)
    assert 0.1 < numbers["memory_gb"] < 100


def test_operations_are_counted_by_hand():
    config = BertConfig(
        vocab_size=5,
        hidden_size=2,
        num_hidden_layers=3,
        num_attention_heads=1,
        intermediate_size=3,
        max_position_embeddings=8,
    )
    maps = 2 * 2 * 2 * 4  # query, key, value, output: 2 x 2 each, a product and a sum
    wide = 2 * (2 * 3 + 3 * 2)
    attention = 2 * 4 * 2 + 2 * 4 * 2  # scores with 4 tokens, and their sum
    head = 2 * (2 * 2 + 2 * 5)
    backward = 2
    want = (1 + backward) * (3 * (maps + wide + attention) + head * 0.5)
    assert flops_per_token(config, 4, 0.5) == want
    # The usual rule of thumb, 6 for every weight in a product, where attention does not count.
    large = config.replace(hidden_size=768, intermediate_size=3072, num_hidden_layers=12)
    assert flops_per_token(large, 0, 0) == 6 * 12 * 12 * 768**2


def test_made_up_instances_have_one_length():
    source = SameLength(6, 9, 4)
    batch = Instances(source).batch(np.array([5, 8, 9]), 0, CPU)
    assert batch.layout.lengths().tolist() == [6, 6, 6]
    assert batch.ids.tolist() == [0, 1, 2, 3, 0, 1] * 3
    assert len(batch.mlm_labels) == 18  # no more masks than tokens
    assert int(batch.mlm_labels.max()) == 3
    assert batch.masked.tolist() == [[row, place] for row in range(3) for place in range(6)]
    assert batch.nsp_labels.tolist() == [0, 1, 0]
    assert Instances(SameLength(20, 3, 4)).masked_share() == 3 / 20
