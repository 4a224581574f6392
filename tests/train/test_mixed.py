"""16-bit copies: made, refreshed, removed; gradients as near as their rounding allows."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from plainbert.batching.batch import collate
from plainbert.train.mixed import Mixed

spec = importlib.util.spec_from_file_location("tiny", Path(__file__).with_name("tiny.py"))
tiny = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tiny)


def gradients(model, scale=1.0):
    """Loss and gradients, the latter computed ``scale`` times too large on the way."""
    batch = collate(tiny.data(30), np.arange(30))
    logits = model(batch.ids, batch.types, batch.layout)
    loss = model.loss(logits, batch.labels, batch.layout).total
    (loss * scale).backward()
    found = {name: each.grad / scale for name, each in model.named_parameters()}
    model.zero_grad()
    return float(loss.detach()), found


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_gradients_are_float32s_within_the_rounding_of_16_bits(dtype):
    model = tiny.model(0.0).train()
    exact, want = gradients(model)
    mixed = Mixed(model, dtype)
    # Unscaled, float16 would lose what is below 6e-8: some of a fresh model's gradients are.
    loss, got = gradients(model, 4096.0)
    assert any(not torch.equal(got[name], want[name]) for name in want)
    assert loss == pytest.approx(exact, rel=0.02)
    for name in want:
        assert got[name].dtype is torch.float32
        if name.endswith("key.bias"):
            continue  # 0 but for rounding: softmax ignores what all keys have in common
        cosine = torch.cosine_similarity(got[name].flatten(), want[name].flatten(), dim=0)
        assert cosine > 0.99, name
    mixed.remove()
    assert gradients(model)[0] == exact


def test_refreshing_follows_the_weights():
    model = tiny.model(0.0).train()
    mixed = Mixed(model, torch.bfloat16)
    with torch.no_grad():
        for each in model.parameters():
            each.mul_(1.5)
    stale, _ = gradients(model)
    mixed.refresh()
    fresh, _ = gradients(model)
    mixed.remove()
    Mixed(model, torch.bfloat16)
    assert fresh == gradients(model)[0] != stale


def test_float32_makes_no_copies_and_the_state_dict_never_has_them():
    model = tiny.model()
    names = set(model.state_dict())
    Mixed(model, torch.float32)
    assert all(getattr(part, "low", None) is None for part in model.modules())
    Mixed(model, torch.bfloat16)
    assert set(model.state_dict()) == names
    made = sum(getattr(part, "low", None) is not None for part in model.modules())
    assert made == 2 * 4  # per layer: query, key and value together, and three more
