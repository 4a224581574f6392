"""A help text is about its own script, not about another that has a flag of the name."""

from __future__ import annotations

import re

import pytest

from tests.helpers.scripts import SCRIPTS, parser_of

# What the shared text of a flag says, and what the flag is about in some commands.
OWN = [
    ("finetune_squad", "train_file", "Questions to learn", "Training rows"),
    ("finetune_squad", "dev_file", "Questions with answers", "Rows to evaluate"),
    ("finetune_squad", "predict_file", "Questions to answer", "Rows without labels"),
    ("finetune_squad", "data_dir", "train-v1.1.json", "GLUE_DIR"),
    ("finetune_squad", "max_len", "windows", "the rest is cut"),
    ("predict_squad", "max_len", "windows", "the rest is cut"),
    ("predict_squad", "output_dir", "answers", "checkpoints"),
    ("finetune_ner", "max_len", "windows", "the rest is cut"),
    ("predict_ner", "max_len", "windows", "the rest is cut"),
    ("predict_ner", "file", "tag", "one text (or row)"),
    ("create_pretraining_data", "output_dir", "shards", "checkpoints"),
    ("create_punctuation_data", "output_dir", "train.tsv", "checkpoints"),
    ("export", "output_dir", "exported model", "checkpoints"),
    ("export", "dev_file", "score", "best epoch"),
    ("export", "file", "check", "one text (or row)"),
    ("run_pretraining", "training_steps", "Optimizer steps", "--epochs"),
    ("embedding", "overwrite", "--output", "run of the same script"),
    ("predict_classifier", "overwrite", "--output", "run of the same script"),
]
# Words of training, which a script that does not train has no use for.
TRAINS = re.compile(r"best epoch|checkpoints, logs|training rows|before the first step", re.I)


def help_of(command: str) -> dict[str, str]:
    (path,) = (path for path in SCRIPTS if path.stem == command)
    return {action.dest: str(action.help) for action in parser_of(path)._actions}


@pytest.mark.parametrize(("command", "flag", "own", "other"), OWN)
def test_help_is_about_its_own_script(command: str, flag: str, own: str, other: str) -> None:
    text = help_of(command)[flag]
    assert own in text
    assert other not in text


@pytest.mark.parametrize(
    "command", [path.stem for path in SCRIPTS if not re.match(r"finetune|run_", path.stem)]
)
def test_scripts_that_do_not_train_say_nothing_of_it(command: str) -> None:
    assert [flag for flag, text in help_of(command).items() if TRAINS.search(text)] == []
