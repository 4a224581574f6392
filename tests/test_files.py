"""JSON that every reader takes, and text that UTF-8 can hold."""

from __future__ import annotations

import ast
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plainbert import files
from plainbert.containers.tables import json_line, table
from plainbert.train.monitor import Monitor
from plainbert.train.progress import RunProgress

HERE = Path(__file__).resolve().parent.parent
LONE = "half \ud83d, \udce9"


def strict(text: str | bytes) -> Any:
    """JSON as RFC 8259 has it: no NaN, no infinity."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(entry) for key, entry in value.items()}
    return [finite(entry) for entry in value] if isinstance(value, list) else value


@given(value=VALUES)
def test_what_is_written_comes_back(value: Any) -> None:
    assert strict(files.json_text(value)) == finite(value)


def test_half_characters_and_no_numbers(tmp_path: Path) -> None:
    value = {LONE: [LONE, "é😀", math.nan, -math.inf, {"x": (1.5, math.nan)}]}
    right = {LONE: [LONE, "é😀", None, None, {"x": [1.5, None]}]}
    files.write_json(tmp_path / "x.json", value)
    content = (tmp_path / "x.json").read_bytes()
    assert strict(content.decode()) == right
    assert "é😀" in content.decode()  # what UTF-8 holds is not escaped
    assert strict(json_line({"row": value}).decode()) == {"row": right}
    assert strict(table([{"row": value}], ".jsonl")) == {"row": right}
    files.write_text(tmp_path / "x.txt", f"{LONE}é")
    assert (tmp_path / "x.txt").read_bytes().decode() == r"half \ud83d, \udce9é"


def test_the_record_of_a_run(tmp_path: Path) -> None:
    monitor = Monitor(tmp_path, 2, 2, 1)
    monitor.write_line(1, {"loss": math.nan}, 0.1, math.inf)
    monitor.record(1, {"dev/f1": math.nan, "dev/accuracy": 0.5})
    monitor.close()
    lines = [strict(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert (lines[0]["loss"], lines[0]["norm"]) == (None, None)
    assert lines[1] == {"step": 1, "dev/f1": None, "dev/accuracy": 0.5}
    again = Monitor(tmp_path, 2, 2, 1, start=1)  # a resumed run keeps them
    again.close()
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize("better", [1, -1])
def test_a_score_that_is_no_number_is_never_the_best(better: int) -> None:
    progress = RunProgress()
    came_out = []
    for step, score in enumerate([math.nan, 0.5, math.nan, 0.5, 0.5 + better / 10, math.nan]):
        progress.step = step
        came_out.append(progress.rate(score, better))
    assert came_out == [False, True, False, False, True, False]
    assert (progress.best, progress.best_step, progress.waiting) == (0.5 + better / 10, 4, 1)
    stuck = RunProgress(best=math.nan, step=7)  # of a run that an earlier version began
    assert stuck.rate(0.1, better)
    assert stuck.best == 0.1


# Who makes JSON without files.json_text: nobody else reads it, or it holds no numbers of ours.
BY_HAND = {
    "files.py": "the writer itself",
    "export/program/predict.py": "runs without the library",
    "text/gluonnlp_vocab.py": "tokens and rows",
    "checkpoint/sentence.py": "names",
    "checkpoint/tensor_files.py": "names and sizes",
    "export/mxnet/symbol.py": "names and sizes",
    "recipes/shared/output_dir.py": "is compared at once",
    "tasks/classification/columns.py": "part of a message",
    "tasks/pretraining/raw_text.py": "is hashed",
    "tasks/squad/cache.py": "is hashed",
    "runtimes/answer.py": "between two processes",
    "runtimes/programs.py": "between two processes",
    "distributed/failure.py": "words of a launcher",
    "distributed/group.py": "between two processes",
    "distributed/rendezvous.py": "between two processes",
    "distributed/watch.py": "between two processes",
    "compare/run_mxnet.py": "runs without the library",
    "compare/run_tensorflow.py": "runs without the library",
}


def dumps(tree: ast.AST) -> list[str]:
    return [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("json.dumps", "json.dump")
    ]


def test_one_writer_of_json() -> None:
    package = HERE / "plainbert"
    places = {
        f"{path.relative_to(package)}: {words}"
        for path in sorted(package.rglob("*.py"))
        if str(path.relative_to(package)) not in BY_HAND
        for words in dumps(ast.parse(path.read_bytes()))
    }
    assert places == set()
    assert dumps(ast.parse("json.dumps({1: 2}, indent=2)"))


# Who makes UTF-8 without a word on half characters: what it writes is no text of users.
STRICT = {
    "folders.py": "refuses names that cannot be",
    "containers/tables.py": "JSON, in which they stand escaped",
    "batching/features.py": "is hashed, from types and sizes",
    "containers/pickle_machine.py": "refuses them",
    "tasks/pretraining/shards.py": "hashes",
    "containers/npz.py": "is hashed, from a repr",
    "formats/gluonnlp/params.py": "names of weights",
    "formats/tensorflow/bundle_writer.py": "names of weights",
    "formats/tensorflow/slices.py": "names of weights",
    "tasks/pretraining/shard.py": "a hash",
    "tasks/pretraining/shard_file.py": "a hash",
    "tasks/squad/cache.py": "JSON in ASCII, names of our files",
    "tasks/pretraining/raw_text.py": "JSON in ASCII",
    "text_files.py": "decoded strictly just before",
    "checkpoint/tensor_files.py": "names of weights",
    "runtimes/answer.py": "JSON in ASCII",
    "runtimes/programs.py": "JSON in ASCII",
    "recipes/shared/lock.py": "a host and a number",
    "distributed/world.py": "a number of a job",
    "distributed/rendezvous.py": "an address, JSON in ASCII",
    "distributed/lifeline.py": "a secret of ours",
    "distributed/watch.py": "JSON in ASCII",
    "distributed/group.py": "JSON in ASCII",
}


def strict_encodings(tree: ast.AST) -> list[str]:
    """Texts turned to bytes with an error where that cannot be."""
    found_calls = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        arguments = [ast.unparse(argument) for argument in node.args]
        keywords = {keyword.arg for keyword in node.keywords}
        text = arguments in ([], ["'utf-8'"]) and keywords <= {"encoding"}
        if node.func.attr == "encode" and text:
            found_calls.append(ast.unparse(node))
    return found_calls


def test_half_characters_end_no_writer() -> None:
    package = HERE / "plainbert"
    places = {
        f"{path.relative_to(package)}: {words}"
        for path in sorted(package.rglob("*.py"))
        if str(path.relative_to(package)) not in STRICT
        for words in strict_encodings(ast.parse(path.read_bytes()))
    }
    assert places == set()
    assert strict_encodings(ast.parse("text.encode(); text.encode('utf-8')")) != []
    assert strict_encodings(ast.parse("text.encode('utf-8', 'replace')")) == []
