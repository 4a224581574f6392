"""What ``start`` decides, writes and refuses."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

import plainbert
from plainbert.errors import DeviceError, UsageError
from plainbert.infer.precision import PRECISIONS
from plainbert.recipes.shared import flags
from plainbert.recipes.shared.console import log_to_console
from plainbert.recipes.shared.settings import CommonFlags, DeviceFlags, RunFlags
from plainbert.recipes.shared.start import Run, start, without_bfloat16


@dataclass(frozen=True, kw_only=True)
class Settings(DeviceFlags, RunFlags):
    """Of a recipe that trains."""

    output_dir: str | None = None
    lr: float = 5e-5
    text_columns: tuple[str, ...] = ("a",)
    pad: bool = False


@pytest.fixture(autouse=True)
def console() -> None:
    log_to_console()


def parsed(*argv: str) -> Settings:
    return flags.parse(Settings, None, argv)


def begin(folder: Path, *argv: str, new_run: bool = True) -> Run:
    return start(parsed("--output_dir", str(folder), "--gpus=", *argv), new_run)


def test_a_run_folder(tmp_path: Path) -> None:
    ready = begin(tmp_path / "a" / "run", "--lr", "3e-5", "--threads", "1")

    assert ready.device == torch.device("cpu")
    assert ready.dtype is torch.float32
    assert ready.folder == tmp_path / "a" / "run"
    assert torch.get_num_threads() == ready.threads == 1
    written = json.loads((ready.folder / "args.json").read_text())
    assert written["flags"]["lr"] == 3e-5
    assert written["flags"]["text_columns"] == ["a"]
    assert written["flags"].keys().isdisjoint({"given", "notes"})
    assert written["given"] == ["gpus", "lr", "output_dir", "threads"]
    assert written["versions"]["torch"] == torch.__version__
    assert written["versions"]["plainbert"] == plainbert.__version__
    assert (written["dtype"], written["threads"], written["ranks"]) == ("float32", 1, 1)
    assert written["device"] == "cpu (1 threads)"


def test_the_log_goes_to_the_console_and_the_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ready = begin(tmp_path, "--pad")
    ready.log.info("step %d", 1)
    ready.log.debug("detail")

    out, err = capsys.readouterr()
    log = (tmp_path / "log.txt").read_text()
    assert out == ""  # results only
    for text in (err, log):
        assert f"torch {torch.__version__}, cpu" in text
        assert "float32, seed 2" in text
        assert "step 1" in text
        assert "--pad changes nothing" in text
    assert "detail" not in err
    assert "DEBUG detail" in log


def test_starting_again_does_not_log_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(tmp_path / "a")
    ready = begin(tmp_path / "b", "--verbose")
    ready.log.debug("once")

    assert capsys.readouterr().err.count("once") == 1
    assert "once" not in (tmp_path / "a" / "log.txt").read_text()


def test_the_seed_reaches_every_generator(tmp_path: Path) -> None:
    def draw(name: str, seed: str) -> tuple[float, float, float]:
        begin(tmp_path / name, "--seed", seed)
        return random.random(), float(np.random.rand()), torch.rand(()).item()

    first = draw("a", "3")
    assert draw("b", "3") == first
    assert all(one != two for one, two in zip(draw("c", "4"), first, strict=True))


def test_an_earlier_run_is_not_overwritten(tmp_path: Path) -> None:
    begin(tmp_path)
    (tmp_path / "step-0000001").mkdir()
    (tmp_path / "last").symlink_to("step-0000001")

    with pytest.raises(UsageError, match="holds a run. Add --resume .* --overwrite"):
        begin(tmp_path)

    assert (tmp_path / "last").exists()


def test_resume_keeps_and_tells_what_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(tmp_path, "--lr", "3e-5")
    (tmp_path / "step-0000001").mkdir()
    capsys.readouterr()

    begin(tmp_path, "--lr", "4e-5", "--resume")

    err = capsys.readouterr().err
    assert "resuming with another flag: --lr was 3e-05, is 4e-05" in err
    assert err.count("resuming with") == 1
    assert (tmp_path / "step-0000001").is_dir()
    log = (tmp_path / "log.txt").read_text()
    assert log.count(f"torch {torch.__version__}") == 2  # appended to, not replaced


def test_resume_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--resume: .* holds no run"):
        begin(tmp_path / "new", "--resume")

    assert not (tmp_path / "new").exists()


def test_inference_writes_beside_a_run(tmp_path: Path) -> None:
    begin(tmp_path, "--lr", "3e-5")
    before = (tmp_path / "args.json").read_text()

    begin(tmp_path, new_run=False)

    assert (tmp_path / "args.json").read_text() == before


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")

    with pytest.raises(UsageError, match="is a file; the name of a folder is expected"):
        begin(tmp_path / "x")


def test_a_missing_gpu_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="GPU 99 was asked for"):
        start(parsed("--output_dir", str(tmp_path / "run"), "--gpu", "99"))

    assert not (tmp_path / "run").exists()


def test_a_script_without_a_folder() -> None:
    ready = start(CommonFlags())

    assert ready.folder is None
    assert ready.dtype is torch.float32


def test_a_full_disk_does_not_fill_the_console(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log.txt").symlink_to("/dev/full")
    ready = begin(tmp_path)
    ready.log.info("step 1")

    err = capsys.readouterr().err
    assert "step 1" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("name", "dtype", "device", "told"),
    [("auto", "float32", "cuda", True), ("auto", "bfloat16", "cuda", False),
     ("auto", "float32", "cpu", False), ("float32", "float32", "cuda", False)],
)  # fmt: skip
def test_a_gpu_without_bfloat16_is_told_what_to_type(
    name: str, dtype: str, device: str, told: bool
) -> None:
    hint = without_bfloat16(name, PRECISIONS[dtype], torch.device(device))
    assert ("--dtype float16" in hint) == told
