"""The first command of the README: from a checkout, and from an installed package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.scripts import HERE

DATA = HERE / "data" / "sms_spam"


def start(folder: Path, package: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "plainbert", "quickstart", *words],
        capture_output=True, text=True, check=False, cwd=folder,
        env={**os.environ, "PYTHONPATH": str(package)},
    )  # fmt: skip


def test_without_a_checkout_it_says_where_the_messages_are(tmp_path: Path) -> None:
    shutil.copytree(HERE / "plainbert", tmp_path / "site" / "plainbert")
    (tmp_path / "here").mkdir()

    ended = start(tmp_path / "here", tmp_path / "site")

    assert ended.returncode == 2
    assert ended.stderr == (
        "error: the messages are in data/sms_spam of a checkout, not in the installed package: "
        "run make quickstart in a checkout, or give --data_dir that folder.\n"
    )
    assert not ended.stdout
    assert not list((tmp_path / "here").iterdir())


def test_a_split_that_is_missing(tmp_path: Path) -> None:
    shutil.copy(DATA / "train.tsv", tmp_path)

    ended = start(tmp_path, HERE, "--data_dir", ".")

    assert ended.returncode == 2
    assert ended.stderr == "error: --data_dir . has no dev.tsv, test.tsv.\n"


@pytest.mark.slow
def test_from_messages_to_answers(tmp_path: Path) -> None:
    for split in ("train", "dev", "test"):
        lines = (DATA / f"{split}.tsv").read_text("utf-8").splitlines(keepends=True)
        (tmp_path / f"{split}.tsv").write_text("".join(lines[:21]), "utf-8")

    ended = start(tmp_path, HERE, "--data_dir", ".", "--output_dir", "out")

    assert ended.returncode == 0, ended.stderr
    steps = [line for line in ended.stdout.splitlines() if line.startswith(("===", "$"))]
    assert [line.split(" --")[0] for line in steps] == [
        "=== 1. Sentence vectors ===",
        "=== 2. Fine-tune a spam filter on 5,574 real messages ===",
        "$ python -m plainbert finetune_classifier",
        "=== 3. Judge new messages ===",
        "$ python -m plainbert predict_classifier",
        "=== What next ===",
    ]
    assert "python -m plainbert embedding --model_dir all-MiniLM-L6-v2" in ended.stdout
    assert "scripts/" not in ended.stdout.split("=== What next ===")[1]
    assert (tmp_path / "out" / "similarity.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "out" / "spam" / "best" / "model.safetensors").exists()
