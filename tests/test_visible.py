"""What a terminal would obey reaches no terminal and no log; files of results keep it."""

from __future__ import annotations

import ast
import json
import logging
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch

from plainbert import checkpoint
from plainbert.cli.log_lines import VisibleFormatter
from plainbert.cli.run import run
from plainbert.errors import DataError, DownloadError
from plainbert.hub.download import fetch
from plainbert.hub.record import Record
from plainbert.recipes import finetune_classifier, predict_classifier, predict_ner
from plainbert.visible import near, visible
from tests.helpers import folders

HERE = Path(__file__).resolve().parent.parent
PACKAGE = HERE / "plainbert"
EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31mred\x7f\rback"
ESCAPES = "\x1b[2J\x9b31m\x07"
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def test_what_is_escaped() -> None:
    assert visible("a\x1b[2J\x07\x7f\x9b\r") == r"a\u001b[2J\u0007\u007f\u009b\u000d"
    same = "tab\tline\nZoë 猫 é 🙂 \u00a0\u200d\u202b עברית \\u001b"
    assert visible(same) == same
    assert visible(visible(EVIL)) == visible(EVIL)
    # JSON on a line stays JSON, of the very text.
    line = json.dumps({"text": EVIL}, ensure_ascii=False)
    assert json.loads(visible(line)) == {"text": EVIL}


def test_errors_and_logs() -> None:
    assert not CONTROL.search(str(DataError(f"no column {EVIL}", f"a{EVIL}.tsv", 1, EVIL)))
    record = logging.LogRecord("x", logging.INFO, "f", 1, "%s\tand\n%s", (EVIL, 2), None)
    line = VisibleFormatter("%(message)s").format(record)
    assert line == f"{visible(EVIL)}\tand\n2"


def prints(path: Path) -> list[str]:
    """Calls that print or warn without :func:`visible` around what they say."""
    # What is written into exports, or runs in another Python, has nothing of ours.
    if path.name in ("predict.py", "program.py", "build.py") and "export" in path.parts:
        return []
    if path.name in ("run_mxnet.py", "run_tensorflow.py"):
        return []
    # A recipe's standard output is escaped as a whole, by command.shown.
    text = path.read_text("utf-8")
    shown = "command.shown(" in text or "command.carry_out(" in text or path.name == "results.py"
    tree = ast.parse(text)
    faults = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        if name not in ("print", "warnings.warn", "sys.stderr.write", "sys.stdout.write"):
            continue
        first = node.args[0] if node.args else None
        wrapped = isinstance(first, ast.Call) and ast.unparse(first.func) == "visible"
        own = isinstance(first, ast.Call) and ast.unparse(first.func) in ("overview", "script")
        to_file = any(keyword.arg == "file" for keyword in node.keywords)
        constant = isinstance(first, ast.Constant | ast.JoinedStr) and "__version__" in ast.unparse(
            first
        )
        if not (wrapped or own or constant or (name == "print" and shown and not to_file)):
            faults.append(f"{path.relative_to(PACKAGE)}:{node.lineno}: {ast.unparse(node)[:80]}")
    return faults


def test_every_print_and_every_handler_escapes() -> None:
    paths = sorted(PACKAGE.rglob("*.py"))
    assert [fault for path in paths for fault in prints(path)] == []
    # Handlers of a log come from one place, whose formatter escapes.
    sources = {path: path.read_text("utf-8") for path in paths}
    places = [path.name for path, text in sources.items() if "logging.Formatter(" in text]
    assert places == []
    added = [path.name for path, text in sources.items() if ".addHandler(" in text]
    assert added == ["console.py"]


def test_the_scan_sees_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    (tmp_path / "x.py").write_text("print(a)\nprint(visible(a))\nprint(f'{a}', file=sys.stderr)\n")
    assert [fault.split(":")[1] for fault in prints(tmp_path / "x.py")] == ["1", "3"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    labels = ("no", f"yes{EVIL}")
    tiny: Any = folders.tiny(id2label=labels)
    return checkpoint.write(tmp_path_factory.mktemp("m") / "m", tiny, folders.tokenizer())


def test_texts_and_labels_printed_and_written(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model_dir", str(model), "--sentences", f"the cat {EVIL}", "a"]
    predict_classifier.main(words)
    printed = capsys.readouterr()
    assert not CONTROL.search(printed.out + printed.err)
    assert visible(EVIL.replace("\r", " ")) in printed.out or visible(EVIL) in printed.out
    output = tmp_path / "out.jsonl"
    predict_classifier.main([*words, "--output", str(output)])
    row = json.loads(output.read_text("utf-8").splitlines()[0])
    assert row["text"] == f"the cat {EVIL}"
    assert f"p(yes{EVIL})" in row
    assert not CONTROL.search("".join(capsys.readouterr()))


def test_entities_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = ("O", f"B-{EVIL}")
    tiny: Any = folders.tiny("token_classification", id2label=labels)
    path = checkpoint.write(tmp_path / "m", tiny, folders.tokenizer())
    predict_ner.main(["--model_dir", str(path), "--sentences", f"the {EVIL} cat"])
    printed = capsys.readouterr().out
    assert not CONTROL.search(printed)
    assert json.loads(printed)["text"] == f"the {EVIL} cat"


def test_headers_labels_and_file_names_of_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder: Any = folders.tiny("embedding")
    base = checkpoint.write(tmp_path / "base", encoder, folders.tokenizer())
    evil = EVIL.replace("\r", "").replace("/", "")
    train = tmp_path / f"train{evil}.tsv"
    train.write_text(f"text{evil}\tlabel\na\tx{evil}\nthe cat\ty\n")
    words = ["--model_dir", str(base), "--train_file", str(train), "--dev_file", str(train),
             "--epochs", "1", "--output_dir", str(tmp_path / "run")]  # fmt: skip
    finetune_classifier.main([*words, "--text_columns", f"text{evil}"])
    printed = capsys.readouterr()
    assert not CONTROL.search(printed.out + printed.err)
    assert not CONTROL.search((tmp_path / "run/log.txt").read_text("utf-8"))
    config = json.loads((tmp_path / "run/last/config.json").read_text("utf-8"))
    assert f"x{evil}" in config["id2label"].values()
    for wrong in (["--text_columns", f"gone{evil}"], ["--dev_file", f"gone{evil}"]):
        with pytest.raises(SystemExit) as ended:
            run(lambda wrong=wrong: finetune_classifier.main([*words, "--overwrite", *wrong]))
        assert ended.value.code == 2
        printed = capsys.readouterr()
        assert visible(evil) in printed.err
        assert not CONTROL.search(printed.out + printed.err)


def test_flags_of_a_real_process() -> None:
    for script in ("bert/predict_classifier.py", "launch.py"):
        done = subprocess.run(
            [sys.executable, str(HERE / "scripts" / script), f"--gone{EVIL}", f"x{EVIL}"],
            capture_output=True, text=True, check=False, env={"PYTHONPATH": str(HERE)},
        )  # fmt: skip
        assert done.returncode == 2
        assert not CONTROL.search(done.stdout + done.stderr)


def test_answers_of_a_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps({"error": f"forbidden {EVIL}"}).encode()
            self.send_response(403)
            self.send_header("Content-Type", "application/json")
            self.send_header("X-Error-Message", f"forbidden {ESCAPES}")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        record = Record("bert_1_2_1", "test", "some/model", True, 2, "MIT", "")
        with pytest.raises(DownloadError) as raised:
            fetch(record, tmp_path)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert f"forbidden {visible(ESCAPES)}" in str(raised.value)
    assert not CONTROL.search(str(raised.value))
    logging.getLogger("huggingface_hub").error("told by a server: %s", EVIL)
    assert not CONTROL.search("".join(capsys.readouterr()))


def test_a_path_is_as_near_as_one_would_type_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert near(tmp_path / "runs" / "spam") == "runs/spam"
    assert near("runs/spam") == "runs/spam"
    assert near(tmp_path.parent / "other") == str(tmp_path.parent / "other")
    assert near(f"{tmp_path}-2/runs") == f"{tmp_path}-2/runs"
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert near("runs/spam") == "runs/spam"
