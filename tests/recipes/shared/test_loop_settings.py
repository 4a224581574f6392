"""Flags become the settings of the training loop."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from plainbert.recipes import finetune_squad
from plainbert.recipes.shared.loop_settings import loop_settings
from plainbert.recipes.shared.pretraining_settings import PretrainingSettings
from plainbert.recipes.shared.training_settings import FineTuningFlags
from plainbert.train.settings import Settings


def test_every_setting_has_a_flag() -> None:
    kinds = (PretrainingSettings, FineTuningFlags)
    flags = {field.name for kind in kinds for field in dataclasses.fields(kind)}
    fields = {field.name for field in dataclasses.fields(Settings)}
    assert fields - flags == {"dtype", "first_step"} - flags  # --phase1_num_steps says the latter


@pytest.mark.parametrize("kind", [FineTuningFlags, finetune_squad.Settings])
@pytest.mark.parametrize(("flags", "grouped"), [({}, True), ({"group_by_length": False}, False)])
def test_lengths_are_grouped(
    kind: type[FineTuningFlags], flags: dict[str, Any], grouped: bool
) -> None:
    assert loop_settings(kind.of(**flags), torch.float32).group_by_length is grouped
