"""Data as people hold it becomes a model, by the recipes of the commands."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas
import pytest
import torch

import plainbert
from plainbert import checkpoint
from plainbert.errors import PlainBertError, UsageError
from plainbert.finetuning import finetune
from plainbert.model import Model
from plainbert.recipes import finetune_classifier
from tests.helpers import folders

ROWS = [{"text": "a cat" if row % 2 else "the b c", "label": "red" if row % 2 else "blue"}
        for row in range(24)]  # fmt: skip
TUPLES = [(row["text"], row["label"]) for row in ROWS]
TEXTS, LABELS = [row["text"] for row in ROWS], [row["label"] for row in ROWS]
QUICK: dict[str, Any] = {"epochs": 1, "max_len": 12, "bar": False, "batch_size": 8, "threads": 1}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    place = tmp_path_factory.mktemp("base") / "tiny"
    return checkpoint.write(place, folders.tiny("embedding"), folders.tokenizer())


@pytest.fixture(scope="module")
def right(base: Path, tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    """What the command makes of the same rows, with the same settings."""
    place = tmp_path_factory.mktemp("command")
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    (place / "train.jsonl").write_text(lines)
    settings = finetune_classifier.Settings.of(
        model_dir=str(base), train_file=str(place / "train.jsonl"), output_dir=str(place / "run"),
        epochs=1, max_len=12, batch_size=8, optimizer="adamw", lr=1e-4, epsilon=1e-8, threads=1,
    )  # fmt: skip
    model = finetune_classifier.run(settings).model
    assert model is not None
    return [one.score for one in plainbert.load(model).predict(TEXTS)]


KINDS: dict[str, Callable[[Path], tuple[Any, dict[str, Any]]]] = {
    "dicts": lambda _: (ROWS, {}),
    "tuples": lambda _: (TUPLES, {}),
    "lists in a tuple": lambda _: ((TEXTS, LABELS), {}),
    "labels beside": lambda _: (TEXTS, {"label": np.array(LABELS)}),
    "columns": lambda _: ({"text": TEXTS, "label": LABELS}, {}),
    "a DataFrame": lambda _: (pandas.DataFrame(ROWS), {}),
    "other names": lambda _: (
        pandas.DataFrame({"x y": TEXTS, "n": 1, "l": LABELS}),
        {"text": "x y", "label": "l"},
    ),
    "columns by number": lambda _: (
        [(1, text, label) for text, label in TUPLES],
        {"text": 1, "label": 2},
    ),
    "a Dataset": lambda _: (datasets.Dataset.from_list(ROWS), {}),
    "classes of a Dataset": lambda _: (
        datasets.Dataset.from_list(ROWS).cast_column(
            "label", datasets.ClassLabel(names=["blue", "red"])
        ),
        {},
    ),
    "splits": lambda _: ({"train": ROWS}, {}),
    "a file": lambda place: (_file(place), {}),
    "a file as text": lambda place: (str(_file(place)), {"text": "text", "label": "label"}),
}


def _file(place: Path) -> Path:
    pandas.DataFrame(ROWS).to_csv(place / "rows.csv", index=False)
    return place / "rows.csv"


@pytest.mark.parametrize("kind", KINDS)
def test_as_the_command(kind: str, base: Path, right: list[float], tmp_path: Path) -> None:
    data, columns = KINDS[kind](tmp_path)
    model = plainbert.finetune(data, model=base, **columns, **QUICK)
    assert model.labels == ("blue", "red")
    assert [one.score for one in model.predict(TEXTS)] == pytest.approx(right, abs=1e-6)
    assert list(Path.cwd().iterdir()) == []


def test_it_learns_from_few_rows(base: Path) -> None:
    model = plainbert.finetune(TUPLES, model=base, bar=False, max_len=12, lr=1e-2, threads=1)
    assert [one.label for one in model.predict(TEXTS)] == LABELS
    assert model.name == "tiny, fine-tuned"


WORDS = "a O\nthe B-X\ncat I-X\n\n" * 40
QUESTIONS = [
    {"id": str(row), "question": "what?", "context": "the cat", "answers": [{"text": "cat"}]}
    for row in range(40)
]


@pytest.mark.parametrize(
    ("task", "name", "content"),
    [
        ("classification", "rows.csv", "text,label\r\n" + "a cat,red\r\n" * 40),
        ("ner", "words.conll", WORDS),
        ("ner", "words.conll", WORDS.replace("\n", "\r\n")),
        ("ner", "words.tsv", WORDS.replace(" ", "\t")),
        ("squad", "questions.json", json.dumps(QUESTIONS)),
    ],
    ids=["rows", "words", "crlf", "tabs", "questions"],
)
def test_rows_are_counted_as_the_command_reads_them(
    task: str, name: str, content: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content.encode())
    recipe = finetune.TASKS[task]
    kind = import_module(f"plainbert.recipes.{recipe.module}").Settings
    fields = {"train_file": str(tmp_path / name), recipe.test_file: str(tmp_path / name)}
    settings = kind.of(model_dir="all-MiniLM-L6-v2", **fields)
    assert finetune._few_rows(recipe, settings) == 40


def test_the_run_folder_is_left_where_one_is_named(base: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    test_rows = [(text, "red") for text in TEXTS[:4]]
    parts: dict[str, Any] = {"dev_data": TUPLES[:8], "test_data": test_rows}
    model = plainbert.finetune(TUPLES, model=base, output_dir=run, **parts, **QUICK)
    for name in ("best", "last", "eval_results.json", "metrics.jsonl", "log.txt", "args.json"):
        assert (run / name).exists(), name
    assert model.scores == json.loads((run / "eval_results.json").read_text())
    assert model.scores.keys() == {"dev", "test"}
    flags = json.loads((run / "args.json").read_text())["flags"]
    assert Path(flags["train_file"]).is_file()
    assert plainbert.load(run).predict("a cat") == model.predict("a cat")
    with pytest.raises(UsageError, match="holds a run"):
        plainbert.finetune(TUPLES, model=base, output_dir=run, **parts, **QUICK)
    again = plainbert.finetune(TUPLES, model=base, output_dir=run, resume=True, **parts, **QUICK)
    assert again.predict("a cat") == model.predict("a cat")


def test_pairs(base: Path) -> None:
    rows = [{"q": text, "s": "b", "label": label} for text, label in TUPLES]
    model = plainbert.finetune(rows, text=("q", "s"), model=base, **QUICK)
    other = plainbert.finetune(rows, text="q", text_pair="s", model=base, **QUICK)
    third = plainbert.finetune([(a, "b", c) for a, c in TUPLES], model=base, **QUICK)
    scores = [one.score for one in model.predict([(text, "b") for text in TEXTS])]
    for again in (other, third):
        same = [one.score for one in again.predict([(text, "b") for text in TEXTS])]
        assert same == pytest.approx(scores, abs=1e-6)


def test_numbers(base: Path) -> None:
    rows = [(text, 0.5 if label == "red" else 1.0) for text, label in TUPLES]
    model = plainbert.finetune(rows, model=base, task="regression", **QUICK)
    assert model.head == "regression"
    assert isinstance(model.predict("a").label, float)


@pytest.mark.parametrize("form", ["dicts", "tuples", "dataset", "file"])
def test_words_and_tags(form: str, base: Path, tmp_path: Path) -> None:
    sentences = [(["the", "cat\tb", "c"], ["O", "B-PER", "O"]), (["a", "\\n"], ["B-PER", "O"])] * 6
    rows = [{"tokens": words, "ner_tags": tags} for words, tags in sentences]
    data: Any = {"dicts": rows, "tuples": sentences}.get(form)
    if form == "dataset":
        names = datasets.Sequence(datasets.ClassLabel(names=["O", "B-PER"]))
        data = datasets.Dataset.from_list(
            [
                {"tokens": words, "ner_tags": [["O", "B-PER"].index(tag) for tag in tags]}
                for words, tags in sentences
            ]
        ).cast_column("ner_tags", names)
    if form == "file":
        data = tmp_path / "train.conll"
        data.write_text("the O\ncat B-PER\n\na B-PER\nb O\n")
    model = plainbert.finetune(data, task="ner", model=base, **QUICK)
    assert set(model.labels) >= {"O", "B-PER"}
    assert len(model.tag([["the", "cat"]], words=True)[0].words) == 2


@pytest.mark.parametrize("answers", ["datasets", "text", "texts"])
def test_questions(answers: str, base: Path) -> None:
    values: dict[str, Any] = {
        "datasets": {"answers": {"text": ["cat"], "answer_start": np.array([6])}},
        "text": {"answer": "cat"},
        "texts": {"answers": ["cat"]},
    }
    row = {"question": "a", "context": "a the cat b c", **values[answers]}
    model = plainbert.finetune(
        [row] * 8, task="squad", dev_data=[row], model=base, **{**QUICK, "max_len": 20}
    )
    assert model.scores["dev"].keys() >= {"exact_match", "f1"}
    assert model.answer("a", "the cat").text in "the cat"


WRONG: list[tuple[Any, dict[str, Any], str]] = [
    (ROWS, {"epoch_s": 3}, r"no option of finetune is named 'epoch_s'. Did you mean 'epochs'"),
    (ROWS, {"epochs": "many"}, r"epochs='many': 'many' is not a whole number"),
    (ROWS, {"epochs": True}, r"epochs=True"),
    (ROWS, {"epochs": 1, "num_train_epochs": 2}, r"exclude each other|are the same"),
    (ROWS, {"lr": [1]}, r"lr=\[1\]: one value is expected"),
    (ROWS, {"optimizer": "adan"}, r"no optimizer is named 'adan'"),
    (ROWS, {"overwrite": 1}, r"overwrite=1: True or False"),
    (ROWS, {"task": "sentiment"}, r"no task of finetune is named 'sentiment'.*classification"),
    (ROWS, {"text": "txt"}, r"data has no column 'txt'. Did you mean 'text'\? It has: text, label"),
    (ROWS, {"label": "labels"}, r"data has no column 'labels'. Did you mean 'label'"),
    ([{"text": "a", "label": None}], {}, r"data\[0\] has no label"),
    ([{"text": None, "label": "a"}], {}, r"data\[0\], 'text' is None \(NoneType\); a text"),
    ([{"text": "a", "label": "b"}, {"text": "a"}], {}, r"data\[1\] has no 'label'"),
    ([{"text": "a", "label": "b"}, ("a", "b")], {}, r"rows of several forms"),
    (["a", "b"], {}, r"data\[0\] is 'a' \(str\); a row is a dict or a tuple.*label=labels"),
    (TEXTS, {"label": ["x"]}, r"data has 24 texts and label 1 labels"),
    ((TEXTS, ["x"]), {}, r"24 texts and 1 labels"),
    ({"text": ["a"], "label": ["a", "b"]}, {}, r"a list of as many values"),
    ([], {}, r"data has no rows"),
    (None, {}, r"train_file|nothing to learn"),
    (3, {}, r"data is 3 \(int\); a file, a list of dicts"),
    (b"x", {}, r"data is b'x'"),
    (ROWS, {"device": "gpu"}, r"is not a device"),
    (ROWS, {"model": "no-such-model"}, r"no-such-model"),
    (ROWS, {"model": None}, r"the model|model is None"),
    (ROWS, {"only_inference": True}, r"finetune trains"),
    ("nowhere.csv", {}, r"does not exist"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "options", "message"), WRONG, ids=[f"{row}" for row in range(len(WRONG))]
)
def test_mistakes(
    data: Any, options: dict[str, Any], message: str, base: Path, tmp_path: Path
) -> None:
    keywords: dict[str, Any] = {"model": base, "bar": False, **options}
    with pytest.raises(PlainBertError, match=message):
        plainbert.finetune(data, output_dir=tmp_path / "run", **keywords)
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_spares_the_files_that_are_there(base: Path, tmp_path: Path) -> None:
    mine = tmp_path / "run/data/train-20260101.csv"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(PlainBertError):
        plainbert.finetune(TUPLES, model=base, output_dir=tmp_path / "run", epochs="many")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [mine]


def test_the_process_is_as_before(base: Path) -> None:
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    right = (random.random(), np.random.rand(), torch.rand(1).item())
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    plainbert.finetune(TUPLES, model=base, **QUICK)
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == right


def test_the_model_stands_alone(base: Path) -> None:
    import pickle

    model = plainbert.finetune(TUPLES, model=base, **QUICK)
    assert not model.checkpoint.folder.exists()
    again: Model = pickle.loads(pickle.dumps(model))
    assert again.predict(TEXTS) == model.predict(TEXTS)
    assert (again.name, again.scores) == (model.name, model.scores)
