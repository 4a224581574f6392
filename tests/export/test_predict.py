"""predict.py of an export says what the model in plainbert says; it reads files; mistakes."""

from __future__ import annotations

import ast
import io
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import plainbert
from plainbert import checkpoint
from plainbert.export import bundle, check, example
from plainbert.export.manifest import Manifest
from plainbert.export.names import FORMATS, TASKS
from plainbert.export.program import predict, predict_model, predict_words
from plainbert.export.source import source_of
from plainbert.export.torch.format import TorchFormat
from plainbert.model_zoo import open_folder
from plainbert.tasks.classification.headers import USUAL_TEXTS
from plainbert.tasks.ner.result_files import record
from tests.helpers import folders

# Short, long (more than the 32 positions), of no token, with an accent apart from its letter.
TEXTS = ["the cat", "a b c the aba cab. " * 9, "", "the ca\u0301t, aba-cab the", "b\udce9 cat"]
PAIRS = [("the cat", "a b"), ("a b c the aba cab " * 5, "the cat " * 7), ("a", "")]
TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "X", "[CLS]")
ABOUT: dict[str, dict[str, Any]] = {
    "question_answering": {"max_length": 24, "doc_stride": 5, "max_query_length": 6},
    "no answer": {"max_length": 20, "max_query_length": 5, "version_2": True,
                  "null_score_diff_threshold": 0.1},
    "embedding": {"pooling": "mean", "normalize": True, "truncate_dim": 5,
                  "prompts": {"query": "the "}, "default_prompt_name": "query"},
}  # fmt: skip
CHANGES: dict[str, dict[str, Any]] = {
    "several": {"problem_type": "multi_label_classification"},
    "cross-encoder": {
        "extra": {"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Sigmoid"}}
    },
    "unknown function": {"extra": {"sentence_transformers": {"activation_fn": "torch.nn.GELU"}}},
    "entities": {"id2label": TAGS},
    "words": {"id2label": ("NOUN", "VERB", "X")},
}
HEADS = {
    "several": "classification", "cross-encoder": "regression", "unknown function": "regression",
    "entities": "token_classification",
    "words": "token_classification", "no answer": "question_answering",
}  # fmt: skip


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Path]]:
    """The model folder of a kind, and its export; made once."""
    made: dict[str, tuple[Path, Path]] = {}

    def export(kind: str) -> tuple[Path, Path]:
        if kind not in made:
            place = tmp_path_factory.mktemp("predict")
            torch.manual_seed(17)  # of whose taggers the entities are of many kinds
            model = folders.tiny(HEADS.get(kind, kind), **CHANGES.get(kind, {}))
            about = ABOUT.get(kind, {})
            folder = checkpoint.write(place / "m", model, folders.tokenizer(), about=about)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(check, "SECONDS", 0.0)  # how fast it is does not matter here
                bundle.export(source_of(open_folder(folder), "m"), place / "out", TorchFormat())
            made[kind] = folder, place / "out"
        return made[kind]

    return export


def printed(out: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert predict.main(words, out) == 0
    return capsys.readouterr().out


def table(text: str) -> list[dict[str, str]]:
    header, *rows = [line.split("\t") for line in text.splitlines()]
    return [dict(zip(header, row, strict=True)) for row in rows]


def file_of(tmp_path: Path, rows: list[Any], names: list[str]) -> list[str]:
    """Words that name a file with these rows."""
    tuples = [(row,) if isinstance(row, str) else row for row in rows]
    lines = [json.dumps(dict(zip(names, row, strict=True))) for row in tuples]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n")
    return ["--file", str(tmp_path / "rows.jsonl"), "--text_columns", ",".join(names)]


@pytest.mark.parametrize("kind", ["classification", "several", "regression", "cross-encoder"])
@pytest.mark.parametrize("pairs", [False, True])
def test_labels_and_scores(
    exported: Any, tmp_path: Path, kind: str, pairs: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = exported(kind)
    given: list[Any] = [*PAIRS] if pairs else TEXTS
    words = file_of(tmp_path, given, ["x", "y"] if pairs else ["x"])
    rows = table(printed(out, words, capsys))
    wanted = plainbert.load(folder).predict(given)
    assert len(rows) == len(given)
    for row, right in zip(rows, wanted, strict=True):
        if isinstance(right.label, float):
            assert float(row["label"]) == pytest.approx(right.label, abs=1e-5)
            continue
        assert row["label"] == right.label
        shares = [float(row[f"p({label})"]) for label in right.probabilities]
        assert shares == pytest.approx([*right.probabilities.values()], abs=1e-5)
        if right.labels is not None:
            assert row["labels"] == ",".join(right.labels)


@pytest.mark.parametrize("kind", ["entities", "words"])
def test_entities_and_words(
    exported: Any, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = exported(kind)
    text = printed(out, file_of(tmp_path, TEXTS, ["x"]), capsys)
    model = plainbert.load(folder)
    rights = [record(tagging, model.tags) for tagging in model.tag(TEXTS)]
    found = 0
    for line, right in zip(text.splitlines(), rights, strict=True):
        row = json.loads(line)
        name = kind if kind in row else "entities"
        assert row["text"] == right["text"]
        found += len(row[name])
        for one, two in zip(row[name], right[name], strict=True):
            assert one == {**two, "score": pytest.approx(two["score"], abs=1e-5)}
    assert found > 10


@pytest.mark.parametrize("kind", ["question_answering", "no answer"])
def test_answers(
    exported: Any, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = exported(kind)
    given = [
        (question, context)
        for question in ("the cat ?", "a b c a b c the the cat")
        for context in TEXTS
    ]
    rows = table(printed(out, file_of(tmp_path, given, ["question", "context"]), capsys))
    questions, contexts = map(list, zip(*given, strict=True))
    wanted = plainbert.load(folder).answer(questions, contexts)
    for row, right, (_, context) in zip(rows, wanted, given, strict=True):
        assert (row["start"], row["end"]) == (str(right.start), str(right.end))
        assert row["answer"] == context[right.start : right.end].replace("\udce9", "\\udce9")
        assert float(row["probability"]) == pytest.approx(right.probability, abs=1e-5)
    assert len({row["answer"] for row in rows}) > 2


def test_vectors(exported: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the folder's prompt, and as many numbers as the folder keeps."""
    folder, out = exported("embedding")
    for given, names in ((TEXTS, ["x"]), (PAIRS, ["x", "y"])):
        text = printed(out, file_of(tmp_path, [*given], names), capsys)
        vectors = [json.loads(line)["vector"] for line in text.splitlines()]
        right = plainbert.load(folder).encode([*given])
        assert right.shape == (len(given), 5)
        np.testing.assert_allclose(vectors, right, rtol=0, atol=1e-5)


def test_a_function_that_is_not_known_gives_no_score(
    exported: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = exported("unknown function")
    [row] = table(printed(out, ["the cat"], capsys))
    model = open_folder(folder).headed
    ids, types = (torch.tensor([row]) for row in ([2, 10, 11, 3], [0] * 4))
    with torch.inference_mode():
        right = model(ids, types).item()
    assert row.keys() == {"text", "logit"}
    assert float(row["logit"]) == pytest.approx(right, abs=1e-5)


# Ways to give texts


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.txt", "the cat\na ||| b\n\n"),
        ("x.csv", 'sentence1,id,sentence2\n"the cat",1,\n"a",2,b\n,3,\n'),
        ("x.tsv", "id\ttext\n1\tthe cat\n"),
        ("x.jsonl", '{"text": "the cat", "id": 1}\n\n'),
    ],
)
def test_files(
    exported: Any, tmp_path: Path, name: str, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out = exported("classification")
    path = tmp_path / name
    path.write_bytes(b"\xef\xbb\xbf" * name.endswith("csv") + content.encode())
    texts = [row["text"] for row in table(printed(out, ["--file", str(path)], capsys))]
    right = {"x.txt": ["the cat", "a ||| b", ""], "x.csv": ["the cat ||| ", "a ||| b", " ||| "]}
    assert texts == right.get(name, ["the cat"])


def test_words_numbers_and_standard_input(
    exported: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, out = exported("classification")

    def texts(*words: str) -> list[str]:
        return [row["text"] for row in table(printed(out, [*words], capsys))]

    assert texts("the cat") == ["the cat"]
    assert texts("the cat", "a") == ["the cat ||| a"]
    assert texts("--sentences", "a", "b ||| c") == ["a", "b ||| c"]
    (tmp_path / "x.csv").write_text('1,"a, b"\n2,c\n')
    assert texts("--file", str(tmp_path / "x.csv"), "--text_columns", "1") == ["a, b", "c"]
    monkeypatch.setattr(predict, "TOGETHER", 2)
    for words in ([], ["--file", "-"]):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\r\nb\nthe cat")))
        assert texts(*words) == ["a", "b", "the cat"]
    assert texts("a\tb\x1b[2J") == ["a b\\u001b[2J"]


def test_texts_that_are_cut_are_counted(exported: Any, capsys: pytest.CaptureFixture[str]) -> None:
    _, out = exported("classification")
    assert predict.main(["--sentences", "cat " * 40, "cat"], out) == 0
    assert capsys.readouterr().err == "1 texts were too long and lost their end.\n"


@pytest.mark.parametrize(
    ("kind", "words", "content", "message"),
    [
        ("classification", ["--file", "no.csv"], None, "no.csv cannot be read: No such file"),
        ("classification", ["--file", "x.xlsx"], b"PK", "x.xlsx: .xlsx is not read here"),
        ("classification", ["--file", "x.txt"], b"a\nb\xe9\n", "x.txt:2: this is not UTF-8"),
        ("classification", ["--file", "x.txt"], b"", "x.txt is empty"),
        ("classification", ["--file", "x.csv"], b"id,body\n1,a\n", "There are id, body. Name them"),
        ("classification", ["--file", "x.csv"], b"text\na,b\n", "row 1 has 2 columns, the first"),
        ("classification", ["--file", "x.jsonl"], b'{"text": 3}', "x.jsonl:1: a text is expected"),
        ("classification", ["--file", "x.jsonl"], b"{", "x.jsonl:1: this is no JSON"),
        ("entities", ["a", "b"], None, "this model takes one text at a time, not a pair"),
        ("question_answering", ["who ?"], None, "a question and its text are expected"),
    ],
)
def test_mistakes(
    exported: Any,
    tmp_path: Path,
    kind: str,
    words: list[str],
    content: bytes | None,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, out = exported(kind)
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path(words[1]).write_bytes(content)
    assert predict.main(words, out) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert (shown.out, len(shown.err.splitlines())) == ("", 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], 'no texts. For example: python predict.py "a text"'),
        (["a", "b", "c"], "two texts are one pair; for several texts: --sentences"),
        (["a", "--file", "x"], "exclude each other"),
        (["--fil", "x"], "unrecognized arguments: --fil"),
    ],
)
def test_wrong_flags(
    exported: Any,
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, out = exported("classification")
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(SystemExit) as caught:
        predict.main(words, out)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_alone_with_help_and_without_a_runtime(exported: Any, tmp_path: Path) -> None:
    """In Pythons of their own, from a place where plainbert is not."""
    _, out = exported("classification")

    def run(before: str, *words: str) -> subprocess.CompletedProcess[str]:
        path = str(out / "predict.py")
        code = f"import runpy, sys; {before}; sys.argv = [{path!r}, *sys.argv[1:]]; "
        code += "sys.modules['plainbert'] = None; runpy.run_path(sys.argv[0], run_name='__main__')"
        line = [sys.executable, "-I", "-c", code, *words]
        return subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)

    done = run("sys.modules['tokenizers'] = None", "the cat")
    assert done.returncode == 2
    assert "tokenizers is not installed for this Python" in done.stderr
    assert "pip install torch numpy tokenizers" in done.stderr
    assert "Traceback" not in done.stderr
    done = run("sys.modules['numpy'] = None", "--help")  # needs none of them
    assert done.returncode == 0, done.stderr
    assert "label and probabilities of a text" in done.stdout
    assert "--file" in done.stdout


def test_a_damaged_model_and_a_folder_in_parts(
    exported: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out = exported("classification")
    assert "__pycache__" not in [path.name for path in out.iterdir()]
    shutil.copytree(out, tmp_path, dirs_exist_ok=True)
    (tmp_path / "model.pt2").write_bytes(b"no model")
    assert predict.main(["a"], tmp_path) == 2
    assert f"the model in {tmp_path} cannot be opened" in capsys.readouterr().err
    (tmp_path / "predict_task.py").unlink()
    (tmp_path / "manifest.json").unlink()
    assert predict.main(["a"], tmp_path) == 2
    assert "manifest.json is missing: copy the whole folder" in capsys.readouterr().err


# The folder's README.md


@pytest.mark.parametrize("kind", ["classification", "entities", "question_answering", "embedding"])
def test_the_card_shows_what_is_printed(
    exported: Any, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out = exported(kind)
    card = (out / bundle.CARD).read_text("utf-8")
    block = re.search(r"    (python predict.py .*)\n\nprinted, .*:\n\n((?:    .*\n)+)", card)
    assert block is not None
    shown = [line[4:] for line in block[2].splitlines()]
    text = printed(out, shlex.split(block[1])[2:], capsys)
    assert len(text.splitlines()) == len(shown)
    for line, right in zip(shown, text.splitlines(), strict=True):
        # The last digits of sums depend on how many texts go through together.
        assert line.removesuffix(" ...")[:30] == right[:30]


def test_the_card_says_where_it_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    run.mkdir()
    about = {"base": "all-MiniLM-L6-v2"}
    folder = checkpoint.write(
        run / "step-0000002", folders.tiny("classification"), folders.tokenizer(), about=about
    )
    (run / "best").symlink_to(folder.name)
    flags = {"train_file": str(tmp_path / "mine.tsv"), "dev_file": "data/dev.tsv",
             "task_name": None, "text_columns": ["a", "b"]}  # fmt: skip
    (run / "args.json").write_text(json.dumps({"script": "finetune_classifier", "flags": flags}))
    scores = {"dev": {"accuracy": 0.91234, "loss": 0.3}, "steps": 2}
    (run / "eval_results.json").write_text(json.dumps(scores))
    source = source_of(open_folder(run / "best"), "run/best")
    monkeypatch.setattr(check, "SECONDS", 0.0)
    manifest = bundle.export(source, tmp_path / "out", TorchFormat())
    card = (tmp_path / "out" / bundle.CARD).read_text("utf-8")
    assert "| fine-tuned from | `all-MiniLM-L6-v2` |" in card
    assert "| data | train_file mine.tsv, dev_file data/dev.tsv |" in card
    assert "| scores | dev: accuracy 0.9123, loss 0.3 |" in card
    assert "| licence of the weights | apache-2.0 |" in card.replace("Apache", "apache")
    assert f"| date | {manifest.date} |" in card
    assert "torch " in card
    assert str(tmp_path) not in card
    assert '"Who wrote the letter?" "Her sister' in card  # it was trained on pairs
    # Scores are of the best model alone.
    other = checkpoint.write(
        run / "step-0000001", folders.tiny("classification"), folders.tokenizer(), about=about
    )
    assert source_of(open_folder(other), "o").origin.scores == {}


def test_what_nobody_wrote_down_is_not_made_up(exported: Any) -> None:
    card = (exported("classification")[1] / bundle.CARD).read_text("utf-8")
    for name in ("data", "scores", "licence of the weights"):
        assert f"| {name} | not known: see the source |" in card


# The program as it is written


def test_nothing_of_plainbert_and_old_pythons() -> None:
    parts = [*example.PROGRAM.glob("predict*.py"), *example.HERE.glob("*/predict_runtime.py")]
    assert len(parts) == 5 + len(FORMATS)
    for path in parts:
        text = path.read_text("utf-8")
        ast.parse(text, feature_version=(3, 8))
        tree = ast.parse(text)
        names = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        assert "plainbert" not in " ".join(map(ast.unparse, names))
        assert "strict=" not in text or path.parent.name in ("onnx", "torch", "savedmodel")


def test_the_tables_of_names_are_ours() -> None:
    assert predict.USUAL == USUAL_TEXTS
    assert predict.TASKS.keys() == TASKS.keys()
    assert predict_words.OVERLAP == 1 / 3
    assert Manifest.__dataclass_fields__.keys() >= {"decoding", "install"}
    assert predict_model.TOGETHER > 1
