"""Flags become the settings of the training loop."""

from __future__ import annotations

import argparse
import dataclasses

import pytest
import torch

from plainbert.recipes.shared import flags, pretraining_flags, squad_flags
from plainbert.recipes.shared.settings import settings_of
from plainbert.train.settings import Settings


def finetuning(argv: list[str]) -> argparse.Namespace:
    parser = flags.parser("A script.")
    flags.add_training(parser)
    return flags.parse(parser, argv)


def questions(argv: list[str]) -> argparse.Namespace:
    return squad_flags.parse_training(squad_flags.training("A script."), argv)


def test_every_setting_has_a_flag() -> None:
    pretraining = pretraining_flags.parse("A script.", ["--data", "x.npz"])
    taken = {*vars(pretraining), *vars(finetuning([]))}
    fields = {field.name for field in dataclasses.fields(Settings)}
    assert fields - taken == {"first_step"}  # --phase1_num_steps says it


@pytest.mark.parametrize(
    ("args", "grouped"),
    [
        (finetuning([]), True),
        (finetuning(["--group_by_length", "false"]), False),
        (questions([]), True),
        (questions(["--group_by_length", "false"]), False),
    ],
)
def test_lengths_are_grouped(args: argparse.Namespace, grouped: bool) -> None:
    assert settings_of(args, torch.float32).group_by_length is grouped
