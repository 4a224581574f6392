"""Recipes called from Python: typed settings in, results out, and nothing printed."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from plainbert import checkpoint
from plainbert.errors import UsageError
from plainbert.recipes import embedding, finetune_classifier, predict_classifier
from plainbert.recipes.commands import SUMMARIES
from tests.helpers import folders
from tests.helpers.scripts import SCRIPTS, load

# An accepted command line of each.
WORDS = {
    "quickstart": [],
    "embedding": ["--sentences", "a"], "finetune_classifier": ["--task_name", "MRPC"],
    "finetune_squad": [], "finetune_ner": ["--train-path", "a"],
    "predict_classifier": ["--model_dir", "m", "--sentences", "a"],
    "predict_squad": ["--model_dir", "m", "--file", "a"],
    "evaluate": ["--model_dir", "m", "--file", "a"],
    "predict_ner": ["--model_dir", "m", "--sentences", "a"], "run_pretraining": ["--data", "a"],
    "create_pretraining_data": ["--input_file", "a", "--output_dir", "b", "--vocab", "v"],
    "create_punctuation_data": ["--input_file", "a", "--output_dir", "b"],
    "convert_checkpoint": ["--from", "a", "--to", "b"], "compare_checkpoints": ["a", "b"],
    "export": ["--model_dir", "m"], "launch": ["--ranks", "2", "a.py"],
}  # fmt: skip


def recipe(name: str) -> Any:
    return import_module(f"plainbert.recipes.{name}")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("classifier") / "model"
    return str(checkpoint.write(folder, folders.tiny("classification"), folders.tokenizer()))


def test_every_script_is_a_recipe() -> None:
    modules: list[ModuleType] = [load(path) for path in SCRIPTS]
    names = {path.stem for path in SCRIPTS} - {"run_pretraining_hvd"}
    assert names == set(SUMMARIES) == set(WORDS)
    for path, module in zip(SCRIPTS, modules, strict=True):
        if path.stem in names:
            assert module.main is recipe(path.stem).main


@pytest.mark.parametrize("name", SUMMARIES)
def test_settings_are_typed_and_frozen(name: str) -> None:
    settings = recipe(name).parse_args(WORDS[name])
    assert type(settings) is recipe(name).Settings
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.notes = ()
    for field in dataclasses.fields(settings):
        assert hasattr(settings, field.name)


def test_parsing_needs_no_torch() -> None:
    code = (
        "import sys\nfrom importlib import import_module\n"
        f"for name, words in {WORDS!r}.items():\n"
        "    import_module(f'plainbert.recipes.{name}').parse_args(words)\n"
        "    assert not {'torch', 'numpy'} & set(sys.modules), name\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_caller_in_python_gets_results_and_no_output(
    classifier: str, capfd: pytest.CaptureFixture[str]
) -> None:
    texts = ("the cat", "a ||| b")
    command = ["--model_dir", classifier, "--sentences", *texts, "--gpus", ""]
    embedding.main(command)  # a command in the same process leaves no log behind
    assert "plainbert" in capfd.readouterr().err
    words = embedding.run(embedding.Settings.of(model_dir=classifier, sentences=texts, gpus=()))
    assert words.texts == list(texts)
    assert words.words is not None
    assert words.words[0][0] == ["the", "cat"]
    settings = predict_classifier.Settings.of(model_dir=classifier, sentences=texts, gpus=())
    results = predict_classifier.run(settings)
    assert results.rows == [("the cat",), ("a", "b")]
    assert len(results.predictions) == 2
    assert capfd.readouterr() == ("", "")


def test_a_caller_in_python_is_checked_as_a_command_line_is(classifier: str) -> None:
    with pytest.raises(UsageError, match="nothing to learn: give --task_name"):
        finetune_classifier.Settings.of()
    with pytest.raises(UsageError, match="--file and --sentences exclude each other"):
        predict_classifier.Settings.of(model_dir=classifier, file="a", sentences=("b",))
    with pytest.raises(UsageError, match="2 ranks are asked for, and this process is one"):
        predict_classifier.run(
            predict_classifier.Settings.of(
                model_dir=classifier, sentences=("a",), num_local_ranks=2
            )
        )


def test_the_package_runs_every_command(tmp_path: Path, classifier: str) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "plainbert", *words],
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    done = run("predict", "--help")
    assert done.returncode == 2
    assert "predict_classifier" in done.stderr
    # Ranks that it starts are started in the same way.
    output = tmp_path / "x.tsv"
    done = run(
        "predict_classifier", "--model_dir", classifier, "--sentences", "a", "the cat",
        "--output", str(output), "--num_local_ranks", "2", "--gpus", "",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [line.split("\t")[0] for line in output.read_text().splitlines()] == [
        "text", "a", "the cat",
    ]  # fmt: skip
    assert run("compare_checkpoints", classifier, classifier).returncode == 0
