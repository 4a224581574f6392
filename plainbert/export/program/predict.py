"""What the model in this folder makes of texts: it needs what README.md names, and no plainbert."""

from __future__ import annotations

import argparse
import csv
import importlib.util
import io
import itertools
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PAIR = " ||| "  # between the two texts of a pair
TOGETHER = 256  # rows that are read, worked out and printed at a time
# Columns of a table that hold texts, the first that are there.
USUAL = (
    ("sentence1", "sentence2"), ("question1", "question2"), ("question", "sentence"),
    ("premise", "hypothesis"), ("text_a", "text_b"), ("text",), ("sentence",), ("text_a",),
)  # fmt: skip
TASKS = {
    "classification": ("label and probabilities of a text, or of a pair of texts", '"a text"'),
    "regression": ("the score of a text, or of a pair of texts", '"a text" "another one"'),
    "ner": ("entities in a text, or the label of each word", '"a text"'),
    "question_answering": ("the answer to a question, a part of its text", '"a question" "a text"'),
    "embedding": ("the vector of a text, or of a pair of texts", '"a text"'),
}


class Problem(Exception):
    """What a user can mend."""


def parsed(argv: list[str] | None, about: dict[str, Any]) -> argparse.Namespace:
    """The command line.

    Args:
        argv: its words; those of the process when None.
        about: the content of manifest.json.
    """
    what, example = TASKS[about["task"]]
    columns = "question,context" if about["task"] == "question_answering" else "text"
    parser = argparse.ArgumentParser(
        prog="predict.py",
        usage="python predict.py [TEXT [SECOND]] [flags]",
        description=f"Prints {what}; tables and JSON Lines go to standard output.",
        epilog=f"python predict.py {example}    python predict.py --file rows.csv "
        f"--text_columns {columns}    python predict.py < texts.txt",
        allow_abbrev=False,
    )
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="a text; two are one pair")
    parser.add_argument(
        "--sentences", nargs="+", metavar="TEXT", help=f'several texts; "one{PAIR}other" is a pair'
    )
    parser.add_argument(
        "--file",
        help="a text (or pair) a line; .csv, .tsv, .jsonl: rows with columns; - is standard input",
    )
    parser.add_argument(
        "--text_columns",
        "--text-columns",
        metavar="A[,B]",
        help="columns with the texts, by name, or by number from 0 in a file without a header",
    )
    options = parser.parse_args(argv)
    if len(options.texts) > 2:
        parser.error("two texts are one pair; for several texts: --sentences TEXT ..., or --file")
    if sum(map(bool, (options.texts, options.sentences, options.file))) > 1:
        parser.error("texts, --sentences and --file exclude each other: give one of them")
    if not (options.texts or options.sentences or options.file):
        if sys.stdin is None or sys.stdin.isatty():
            parser.error(f"no texts. For example: python predict.py {example}")
        options.file = "-"
    return options


def read(options: argparse.Namespace, task: str) -> Iterator[tuple[str, ...]]:
    """Yield the rows: texts, or pairs as two.

    Args:
        options: the command line.
        task: what the model does.

    Raises:
        Problem: a file that cannot be used.
    """
    rows = _typed(options) if options.file is None else _rows(options, task)
    for number, row in enumerate(rows, start=1):
        if task == "question_answering" and len(row) != 2:
            raise Problem(
                f"row {number}: a question and its text are expected: two words in quotes, "
                f'"question{PAIR}text" on a line, or two --text_columns.'
            )
        if task == "ner" and len(row) != 1:
            raise Problem(f"row {number}: this model takes one text at a time, not a pair.")
        yield row


def _typed(options: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    if options.texts:
        yield tuple(options.texts)
    else:
        yield from map(_split, options.sentences)


def _rows(options: argparse.Namespace, task: str) -> Iterator[tuple[str, ...]]:
    name = options.file
    suffix = "" if name == "-" else Path(name).suffix.lower()
    if suffix in (".xlsx", ".xls", ".parquet", ".gz", ".xz", ".zip"):
        raise Problem(f"{name}: {suffix} is not read here; save it as .csv or .jsonl.")
    try:
        raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise Problem(f"{name} cannot be read: {error.strerror}.") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise Problem(f"{name}:{line}: this is not UTF-8; save the file as UTF-8.") from None
    if not text.strip():
        raise Problem(f"{name} is empty.")
    if suffix == ".jsonl":
        yield from _objects(text, options, task)
    elif suffix in (".csv", ".tsv") or options.text_columns:
        yield from _cells(text, options, task, "," if suffix == ".csv" else "\t")
    else:
        lines = re.split(r"\r\n|\r|\n", text)
        yield from map(_split, lines if lines[-1] else lines[:-1])


def _cells(
    text: str, options: argparse.Namespace, task: str, delimiter: str
) -> Iterator[tuple[str, ...]]:
    csv.field_size_limit(1 << 30)
    cells = io.StringIO(text, newline="")
    table = csv.reader(cells)
    if delimiter == "\t":
        table = csv.reader(cells, delimiter="\t", quoting=csv.QUOTE_NONE)
    header = next(table)
    columns = (options.text_columns or "").split(",")
    if columns[0] and all(column.strip().isdecimal() for column in columns):
        chosen = [int(column) for column in columns]
        table_rows: Any = itertools.chain([header], table)
    else:
        names = _columns(options, task, [cell.strip() for cell in header])
        chosen = [[cell.strip() for cell in header].index(name) for name in names]
        table_rows = table
    for number, row in enumerate(table_rows, start=1):
        if row in ([], [""]) and len(header) > 1:
            continue
        if len(row) != len(header) or max(chosen) >= len(row):
            raise Problem(
                f"{options.file}: row {number} has {len(row)} columns, the first line "
                f"{len(header)}."
            )
        yield tuple(row[place] for place in chosen)


def _objects(text: str, options: argparse.Namespace, task: str) -> Iterator[tuple[str, ...]]:
    names = None
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise Problem(f"{options.file}:{number}: this is no JSON: {error}.") from None
        if not isinstance(row, dict):
            raise Problem(f"{options.file}:{number}: an object with columns is expected.")
        names = names or _columns(options, task, [*row])
        texts = tuple(value for name in names if isinstance(value := row.get(name), str))
        if len(texts) != len(names):
            raise Problem(f"{options.file}:{number}: a text is expected in {', '.join(names)}.")
        yield texts


def _columns(options: argparse.Namespace, task: str, header: list[str]) -> tuple[str, ...]:
    """Names of the columns with texts."""
    asking = task == "question_answering"
    usual = (("question", "context"),) if asking else USUAL
    if options.text_columns:
        usual = (tuple(name.strip() for name in options.text_columns.split(",")),)
    for names in usual:
        if all(name in header for name in names):
            return names
    raise Problem(
        f"{options.file}: which columns are texts? There are {', '.join(header)[:200]}. Name them "
        "with --text_columns A or A,B (by number in a file without a header)."
    )


def _split(line: str) -> tuple[str, ...]:
    first, bar, second = line.rpartition(PAIR)
    return (first, second) if bar else (line,)


def lines(results: list[dict[str, Any]], header: bool) -> str:
    """Results as they are printed: a table, or JSON Lines where a cell would not hold them.

    Args:
        results: of some rows.
        header: whether the header of a table goes before them.
    """
    if any(isinstance(value, list) for value in results[0].values()):
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in results)
    table = [[*results[0]]] if header else []
    table += [[*row.values()] for row in results]
    return "".join("\t".join(map(_cell, row)) + "\n" for row in table)


def _cell(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    # Control characters could command a terminal; tabs and line ends would end the cell.
    text = re.sub(r"[\t\r\n]", " ", text)
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda match: f"\\u{ord(match[0]):04x}", text)


def beside(folder: Path, name: str) -> Any:
    """A module that lies in the folder."""
    spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # the folder stays as it is
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    return module


def open_model(folder: Path, about: dict[str, Any]) -> Any:
    """The model of a folder.

    Args:
        folder: of the export.
        about: the content of manifest.json.

    Raises:
        Problem: a package is not installed, or a file is missing or damaged.
    """
    runtime = beside(folder, "predict_runtime")
    try:
        from tokenizers import Tokenizer

        model, run = beside(folder, "predict_model"), runtime.load(folder, about)
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError)
        what = f"{error.name} is not installed for" if missing else f"{error}, in"
        raise Problem(
            f"{what} this Python ({sys.executable}). Install what the model needs: "
            f"{about['install']}"
        ) from None
    except Exception as error:  # of many classes, by the runtime
        raise Problem(f"the model in {folder} cannot be opened: {error}") from None
    return model.Model(about, Tokenizer.from_file(str(folder / "tokenizer.json")), run)


def main(argv: list[str] | None = None, folder: Path = HERE) -> int:
    """Print what the model says of each text; the exit status."""
    try:
        about = json.loads((folder / "manifest.json").read_text("utf-8"))
        options = parsed(argv, about)
        rows = read(options, about["task"])
        first = next(rows)  # a wrong file is said at once
        model, task = open_model(folder, about), beside(folder, "predict_task")
        rest, header = itertools.chain([first], rows), True
        while part := list(itertools.islice(rest, TOGETHER)):
            _print(lines(task.results(model, part), header))
            header = False
        if model.cut:
            print(f"{model.cut} texts were too long and lost their end.", file=sys.stderr)
    except Problem as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    except FileNotFoundError as error:
        print(f"error: {error.filename} is missing: copy the whole folder.", file=sys.stderr)
        return 2
    return 0


def _print(text: str) -> None:
    """Print what standard output can hold as it is, and the rest escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), end="", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:  # head, for one, has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
