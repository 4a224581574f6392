"""One declaration per flag, every GluonNLP spelling, and errors that say what to do."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plainbert.cli import mistakes, values
from plainbert.cli.parser import Flag, Parser
from plainbert.cli.program import as_started
from plainbert.recipes.shared import flags
from plainbert.recipes.shared.flag_tables import SHARED
from plainbert.recipes.shared.older_systems import QUANTIZATION
from plainbert.recipes.shared.settings import DeviceFlags, StrategyFlags
from plainbert.tasks.classification.flags import TaskFlags
from plainbert.tasks.embedding.flags import VectorFlags

# One member of every fixed set of names.
NAMED = {
    "dtype": "auto", "oov_way": "avg", "pooling_strategy": "REDUCE_MEAN", "optimizer": "adamw",
    "schedule": "constant", "metric": "f1", "dist_strategy": "zero1", "dist_backend": "gloo",
    "grad_compression": "bf16", "export": "onnx",
}  # fmt: skip


def refuse_quantization(parser: Parser) -> None:
    for spellings, reason in QUANTIZATION.items():
        reason = as_started(reason.replace("{predict}", "predict_classifier"))
        parser.refuse(*spellings, reason=reason)


Parse = Callable[..., Any]


@pytest.fixture
def parse() -> Parse:
    """Parse words with a parser that has every shared flag of a script that is one process."""

    def run(*argv: str) -> Any:
        return flags.parse(everything(), DOC, argv, refuse_quantization)

    return run


DOC = "Does a thing.\n\n    python scripts/x.py --lr 1e-5\n"


def everything(base: type[DeviceFlags] = DeviceFlags, **defaults: object) -> type[Any]:
    """Settings with every shared flag, of a recipe that is one process unless ``base`` says so."""
    several = {field.name for field in dataclasses.fields(StrategyFlags)}
    switches = {name: False for name, flag in SHARED.items() if flag.type is None}
    values = {**dict.fromkeys(SHARED), **switches, **defaults}
    fields: list[Any] = [
        (name, Any, dataclasses.field(default=default))
        for name, default in values.items()
        if name not in several
    ]
    bases = (base, TaskFlags, VectorFlags)
    return dataclasses.make_dataclass("All", fields, bases=bases, frozen=True, kw_only=True)


def refusal(capsys: pytest.CaptureFixture[str], parse: Parse, *argv: str) -> str:
    """The message for a wrong command line, after checking its form and the exit status."""
    with pytest.raises(SystemExit) as caught:
        parse(*argv)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    several = [line for line in err.splitlines() if line.startswith("  - ")]
    assert len(err.splitlines()) <= 3 + len(several)
    return err


@pytest.mark.parametrize("flag", SHARED.values(), ids=lambda flag: flag.name)
def test_every_spelling_sets_the_one_attribute(flag: Flag) -> None:
    samples = {
        values.true_or_false: ("false", False), values.true_false_or_auto: ("no", False),
        values.names: ("a,b", ("a", "b")),
        values.whole_numbers: ("-4,-3", (-4, -3)), values.devices: ("0", (0,)),
        values.share: ("0.5", 0.5), values.positive: ("2", 2.0), values.number: ("2", 2.0),
        values.not_negative: ("2", 2.0), values.probability: ("1", 1.0),
        values.positive_int: ("2", 2), values.whole_number: ("2", 2), values.any_int: ("-2", -2),
        str: ("text", "text"), values.path: ("~/x", str(Path.home() / "x")),
    }  # fmt: skip
    for option in flag.options:
        parser = Parser(None)
        parser.add(flag, False if flag.type is None else None)
        if flag.type is None:
            args = parser.parse_args([option])
            expected: object = True
        elif flag.type in samples:
            text, expected = samples[flag.type]
            args = parser.parse_args([option, text])
            expected = (expected,) if flag.nargs == "+" and flag.type is str else expected
        else:  # a name out of a fixed set
            text = NAMED[flag.name]
            args = parser.parse_args([option, text])
            expected = text
        assert getattr(args, flag.name) == expected, option
        assert args.given == [flag.name]  # of the parser, a list


def test_no_spelling_is_used_twice() -> None:
    options = [option for flag in SHARED.values() for option in flag.options]

    assert len(options) == len(set(options))


def test_help_of_every_flag_is_a_sentence() -> None:
    for flag in SHARED.values():
        assert re.match(r"[A-Z].*\.$", flag.help), flag.name


@pytest.mark.parametrize(
    ("argv", "name", "value"),
    [
        (["--epoch", "1"], "epochs", 1),
        (["--num-epochs=2"], "epochs", 2),
        (["--seq-len", "7"], "max_len", 7),
        (["--max_seq_length", "7"], "max_len", 7),
        (["--learning-rate", "3e-5"], "lr", 3e-5),
        (["--gpu"], "gpu", 0),
        (["--gpu", "1"], "gpu", 1),
        (["--gpus", ""], "gpus", ()),
        (["--gpus="], "gpus", ()),
        (["--gpus", "0,1"], "gpus", (0, 1)),
        (["--pooling_layer", "-4,-3", "-2"], "pooling_layer", (-4, -3, -2)),
        (["--pooling-layer", "-1"], "pooling_layer", (-1,)),
        (["--file", "-"], "file", "-"),
        (["--sentences", "-1 degree", "two words"], "sentences", ("-1 degree", "two words")),
        (["--do_lower_case"], "do_lower_case", True),
        (["--do_lower_case", "False"], "do_lower_case", False),
        (["--model", "bert_24_1024_16"], "bert_model", "bert_24_1024_16"),
        (["--dataset_name", "x"], "bert_dataset", "x"),
        (["--text_columns", "a, b"], "text_columns", ("a", "b")),
        (["--dtype", "BFloat16"], "dtype", "bfloat16"),
        (["--local_rank", "-1"], "local_rank", -1),
        (["--num_local_ranks", "1"], "num_local_ranks", 1),
    ],
)
def test_command_lines_as_people_type_them(
    parse: Parse, argv: list[str], name: str, value: object
) -> None:
    assert getattr(parse(*argv), name) == value


def test_given_tells_typed_flags_from_defaults() -> None:
    args = flags.parse(everything(epochs=3, lr=5e-5), DOC, ["--epochs", "3"])

    assert args.epochs == 3
    assert args.lr == 5e-5
    assert args.typed == {"epochs"}  # even when the value is the default
    assert flags.parse(everything(), DOC, []).typed == frozenset()


def test_flags_without_effect_leave_a_note(parse: Parse) -> None:
    assert parse("--batch_size", "2").notes == ()
    (note,) = parse("--pad").notes
    assert note.startswith("--pad changes nothing: ")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--bath_size", "2"], ["--bath_size", "Did you mean --batch_size?"]),
        (["--epo", "2"], ["no flag is named --epo"]),  # abbreviations are never guessed
        (["stray"], ["'stray' belongs to no flag"]),
        (["--epochs", "0"], ["--epochs", "'0'", "at least 1"]),
        (["--epochs", "1.5"], ["'1.5'", "whole number"]),
        (["--num-epochs", "x"], ["--epochs", "'x'"]),
        (["--epochs"], ["--epochs", "expected one argument"]),
        (["--lr", "nan"], ["--lr", "'nan'", "finite"]),
        (["--lr", "inf"], ["finite"]),
        (["--lr=-1"], ["below 0"]),
        (["--epsilon", "0"], ["--epsilon", "above 0"]),
        (["--warmup_ratio", "1"], ["--warmup_ratio", "[0, 1)"]),
        (["--seed=-1"], ["--seed", "at least 0"]),
        (["--dtype", "float8"], ["float8", "Did you mean 'float32'?", "bfloat16"]),
        (["--oov_way", "mean"], ["'mean'", "avg, last, sum"]),
        (["--do_lower_case", "maybe"], ["'maybe'", "neither true nor false"]),
        (["--text_columns", "a,"], ["empty name"]),
        (["--pooling_layer", "x"], ["'x'"]),
        (["--gpus", "0,0"], ["twice"]),
        (["--gpus", "a"], ["'a'"]),
        (["--gpu", "0", "--gpus", "1"], ["--gpu and --gpus exclude each other"]),
        (["--resume", "--overwrite"], ["--resume and --overwrite exclude each other"]),
        (["--model_dir", "a", "--model_parameters", "b"], ["exclude each other"]),
        (["--file", "a", "--sentences", "b"], ["exclude each other"]),
        (["--num_local_ranks", "2"], ["--num_local_ranks", "one process"]),
        (["--local_rank", "1"], ["--local_rank"]),
        (["--use_tpu=True"], ["--use_tpu", "TPUs are not supported"]),
        (["--deploy"], ["--deploy", "predict_classifier", "export --format onnx"]),
        (["--model_prefix", "x"], ["--model_prefix", "export"]),
        (["--calib-mode", "naive"], ["--calib-mode", "export --format onnx"]),
        (["--custom_passes", "a", "b"], ["--custom_passes", "--int8"]),
    ],
    ids=" ".join,
)
def test_wrong_flags(
    capsys: pytest.CaptureFixture[str], parse: Parse, argv: list[str], words: list[str]
) -> None:
    message = refusal(capsys, parse, *argv)

    for word in words:
        assert word in message


def test_required_and_dependent_flags(capsys: pytest.CaptureFixture[str]) -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Settings(TaskFlags):
        model_dir: str
        train_file: str | None = None
        dev_file: str | None = None

        def checked(self) -> Settings:
            self.needs("label_column", "train_file", "dev_file")
            return self

    def run(*argv: str) -> Settings:
        return flags.parse(Settings, DOC, argv)

    assert run("--model_dir", "X", "--label_column", "y", "--dev_file", "f").label_column == "y"
    assert "missing: --model_dir" in refusal(capsys, run)
    message = refusal(capsys, run, "--model_dir", "X", "--label_column", "y")
    assert "--label_column needs --train_file or --dev_file beside it" in message


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    kind = everything(StrategyFlags, epochs=3, model_dir=dataclasses.MISSING)
    with pytest.raises(SystemExit) as caught:
        flags.parse(kind, DOC, ["--help-all"], refuse_quantization)
    assert caught.value.code == 0
    text = capsys.readouterr().out

    assert "    plainbert x --lr 1e-5" in text  # the docstring's lines are kept
    for flag in SHARED.values():
        assert re.search(rf"^  --{flag.name}\b", text, re.MULTILINE), flag.name
    flat = " ".join(text.split())
    assert "Passes over the training set. Also: --num_epochs, --epoch. (default: 3)" in flat
    assert "(required)" in flat
    assert "--deploy" not in text  # gone: accepted only to say what replaced it
    assert "None" not in text
    for heading in ("model", "data", "training", "output", "vectors", "device"):
        assert re.search(rf"^{heading}:$", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("word", "known", "nearest"),
    [
        ("--bath_size", "--batch_size", True), ("--batchsize", "--batch_size", True),
        ("--learning_rat", "--learning_rate", True), ("--batch-size", "--batch_size", True),
        ("--train_batch_size", "--test_batch_size", False), ("--data_dir", "--ckpt_dir", False),
        ("--gradient_accumulation_steps", "--training_steps", False),
        ("--init_checkpoint", "--async_checkpoints", False), ("--max_step", "--max_len", False),
    ],
)  # fmt: skip
def test_a_guess_is_a_misspelling_and_no_other_flag(word: str, known: str, nearest: bool) -> None:
    assert mistakes.nearest(word, [known]) == (known if nearest else None)


def test_one_dash_is_enough_for_known_flags(parse: Parse) -> None:
    args = parse("-max_seq_len", "25", "-pooling_layer", "-4", "-3", "-pooling_strategy=NONE")
    assert (args.max_len, args.pooling_layer, args.pooling_strategy) == (25, (-4, -3), "NONE")


def test_a_refusal_names_the_folder() -> None:
    target = Parser(None)
    target.refuse("--init_checkpoint", reason="--model_dir {folder} takes it.")
    for words, folder in (
        (["--init_checkpoint=/m/base/bert_model.ckpt"], "/m/base"),
        (["--init_checkpoint", "m/x.bin"], "m"), (["--init_checkpoint"], "FOLDER"),
    ):  # fmt: skip
        (message,) = target.parse_args(words).mistakes
        assert f"--model_dir {folder} takes it." in message
