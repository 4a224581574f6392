"""The whole flag set of every script, frozen; and every flag of GluonNLP's scripts.

After a wanted change:

    make test ARGS="tests/recipes/shared/test_golden_flags.py --update-golden"
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from plainbert.cli.settings import Flags
from plainbert.recipes.shared import flags
from tests.helpers.scripts import HERE, SCRIPTS, parse_args_of, parser_of

GOLDEN = HERE / "tests" / "golden" / "flags"


def rows_of(name: str) -> list[list[str]]:
    """The rows of a table in the folder, without its remarks."""
    lines = (GOLDEN / name).read_text("utf-8").splitlines()
    return [line.split("\t") for line in lines if line and not line.startswith("#")]


OLD, OLDER = rows_of("gluonnlp.tsv"), rows_of("older_systems.tsv")
# What a command line needs beside the flag under test.
BASE = {
    "finetune_classifier": ["--task_name", "MRPC"], "embedding": ["--sentences", "a"],
    "finetune_squad": [], "export": [],
    "create_pretraining_data": ["--input_file", "a", "--output_dir", "b", "--dataset_name",
                                "wiki_cn_cased"],
    "finetune_ner": ["--train-path", "a"],
    "predict_ner": ["--model_dir", "m", "--test-path", "a"],
    "predict_classifier": ["--model_dir", "m", "--sentences", "a"],
    "predict_squad": ["--model_dir", "m", "--question", "a", "--context", "b"],
    "convert_checkpoint": ["--from", "a", "--to", "b"],
    "run_pretraining": ["--data", "a"], "run_pretraining_hvd": ["--data", "a"],
}  # fmt: skip
# Flags of the base that a flag under test stands for.
REPLACED = {
    "--file": ("--sentences",), "--vocab_file": ("--dataset_name",),
    "--predict_file": ("--question", "--context"),
}  # fmt: skip


def table(parser: argparse.ArgumentParser) -> str:
    """One line per flag: attribute, what it takes, default, every spelling."""
    rows = []
    for action in parser._actions:
        spelled = " ".join(action.option_strings)
        reason = getattr(action, "reason", None)
        if isinstance(action, argparse._HelpAction):
            continue
        if reason is not None:
            rows.append(f"{action.dest}\trefused\t{reason}\t{spelled}")
            continue
        takes = "switch" if action.nargs == 0 else getattr(action.type, "__name__", "?")
        takes += {"+": " ...", "?": " or nothing"}.get(str(action.nargs), "")
        if action.dest in getattr(parser, "_notes", ()):
            takes = f"no effect ({takes})"
        default = "required" if action.required else repr(action.default)
        rows.append(f"{action.dest}\t{takes}\t{default}\t{spelled}")
    return "\n".join(sorted(rows)) + "\n"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_flags_are_frozen(path: Path, update_golden: bool) -> None:
    parser = parser_of(path)
    now = table(parser)
    golden = GOLDEN / f"{path.stem}.tsv"
    if update_golden:
        golden.write_text(now, "utf-8")

    assert parser.allow_abbrev is False
    assert golden.exists(), "a new script: write its file with --update-golden"
    assert now == golden.read_text("utf-8")


def test_every_golden_file_has_its_script() -> None:
    names = {path.stem for path in GOLDEN.glob("*.tsv")} - {"gluonnlp", "older_systems"}

    assert names == {path.stem for path in SCRIPTS}
    assert len(OLD) > 50
    assert len(OLDER) > 200


@pytest.mark.parametrize(
    ("script", "words", "outcome"), OLD, ids=[f"{row[0]} {row[1]}" for row in OLD]
)
def test_gluonnlp_flags(
    script: str, words: str, outcome: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each works, changes nothing and says so, or exits naming what replaced it."""
    becomes(script, words, outcome, capsys)


@pytest.mark.parametrize(
    ("system", "script", "words", "outcome"), OLDER, ids=[f"{row[1]} {row[2]}" for row in OLDER]
)
def test_flags_of_older_systems(
    system: str, script: str, words: str, outcome: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each works, changes nothing and says so, or exits naming what replaced it."""
    becomes(script, words, outcome, capsys)


def becomes(script: str, words: str, outcome: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Check what a command makes of some words."""
    (path,) = (each for each in SCRIPTS if each.stem == script)
    parse = parse_args_of(path)
    typed = [word.replace("''", "") for word in words.split()]
    flag = typed[0].partition("=")[0]
    pairs = zip(BASE[script][::2], BASE[script][1::2], strict=True)
    base = [word for pair in pairs for word in pair if pair[0] not in REPLACED.get(flag, ())]
    # The flag under test comes last, so that it wins over the same flag in the base.
    argv = [*base, *typed]
    if outcome.startswith("refused: "):
        with pytest.raises(SystemExit) as caught:
            parse(argv)
        assert caught.value.code == 2
        error = capsys.readouterr().err
        assert outcome.removeprefix("refused: ") in error
        assert "Did you mean" not in error
        return
    args = parse(argv)
    if outcome == "no effect":
        assert any(flag in note for note in args.notes)
        return
    name, _, value = outcome.partition("=")
    assert repr(getattr(args, name)) == value
    if words.lstrip("-").partition("=")[0].partition(" ")[0].replace("-", "_") == name:
        assert name in args.typed


def help_of(path: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", str(path), "--help"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "--" in done.stdout
    return done.stderr


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_help_needs_nothing_heavy(path: Path) -> None:
    """The reason why ``--help`` answers at once; the time itself is measured in benchmarks/."""
    imported = {line.rsplit("|", 1)[-1].strip() for line in help_of(path).splitlines()}

    assert "argparse" in imported
    heavy = {"torch", "numpy", "transformers", "tokenizers", "huggingface_hub", "sklearn", "scipy"}
    assert imported & heavy == set()


def test_the_table_shows_every_kind() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Settings(Flags):
        model_dir: str
        epochs: int = 3
        pad: bool = False
        sentences: tuple[str, ...] | None = None
        gpu: int | None = None

    parser = flags.parser(Settings, None)
    parser.refuse("--deploy", reason="use export.")

    rows = [line.split("\t") for line in table(parser).splitlines()]

    assert rows == [
        ["deploy", "refused", "use export.", "--deploy"],
        ["epochs", "positive_int", "3", "--epochs --num_epochs --num-epochs --epoch"],
        ["gpu", "whole_number or nothing", "None", "--gpu"],
        ["model_dir", "path", "required", "--model_dir --model-dir"],
        ["pad", "no effect (switch)", "False", "--pad"],
        ["sentences", "str ...", "None", "--sentences"],
    ]
