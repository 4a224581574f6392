from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from plainbert.distributed import launch
from plainbert.distributed.failure import DistributedError
from plainbert.distributed.spawn import spawn, visible
from plainbert.errors import UsageError
from plainbert.recipes import launch as launch_recipe
from tests.distributed.test_group import PROGRAMS
from tests.helpers.processes import LAUNCH, Command, environment

SCRIPT = ["train.py", "--data", "a b"]


def plan(**options: Any) -> launch.LaunchPlan:
    options = {"command": SCRIPT, "hosts": [("h0", 2), ("h1", 1)], "env": {}, **options}
    return launch.LaunchPlan(**options)


def pairs(words: list[str], option: str) -> list[str]:
    return [after for word, after in zip(words, words[1:], strict=False) if word == option]


def test_hosts() -> None:
    assert launch.read_hosts("h0:2, h1.lan") == [("h0", 2), ("h1.lan", 1)]
    for text in ("", "h0:", "h0:0", "h0:00", ":2", "h0:2,h0:1", "h0:2;h1", "h0:x"):
        with pytest.raises(UsageError, match="--hosts"):
            launch.read_hosts(text)


@pytest.mark.parametrize(("version", "option"), [(4, "--mca"), (5, "--prtemca")])
def test_mpirun_gets_what_a_bare_one_lacks(version: int, option: str) -> None:
    env = {"OMP_NUM_THREADS": "4", "HOME": "x"}
    limits = {"timeout_min": 90, "port": 4000, "remote_shell": "rsh", "options": ["--verbose"]}
    words = launch._mpirun(plan(launcher="mpirun", env=env, **limits), version)

    assert words[:7] == ["timeout", "-k", "30", "90m", "mpirun", "-np", "3"]
    assert pairs(words, "-H") == ["h0:2,h1:1"]
    exported = pairs(words, "-x")
    assert "MASTER_ADDR=h0" in exported
    assert "MASTER_PORT=4000" in exported
    assert "OMP_NUM_THREADS" in exported
    assert "HOME" not in exported
    settings = [name for name in pairs(words, option) if "keepalive" in name]
    assert settings == [f"oob_tcp_keepalive_{name}" for name in ("time", "intvl", "probes")]
    assert pairs(words, "--bind-to") == ["none"]
    assert words[-5:] == ["--verbose", sys.executable, *SCRIPT]


def test_mpirun_on_this_host_needs_no_address() -> None:
    words = launch._mpirun(plan(launcher="mpirun", hosts=[("localhost", 2)]), 4)

    assert "-H" not in words
    assert not any("MASTER_ADDR" in word for word in words)
    assert "timeout" not in words


def test_torchrun_starts_one_agent_on_each_host() -> None:
    first, second = launch.commands(plan(timeout_min=0.5, port=4000, remote_shell="my rsh"))

    assert first[:3] == ["my", "rsh", "h0"]
    assert second[:3] == ["my", "rsh", "h1"]
    inner = shlex.split(second[3].split(" && exec ")[1])
    assert inner[:5] == ["env", "timeout", "-k", "30", "0.5m"]
    assert "--nproc-per-node=1" in inner
    assert {"--nnodes=2", "--node-rank=1", "--master-addr=h0", "--master-port=4000"} < {*inner}
    assert inner[-3:] == SCRIPT


def test_hosts_that_restart_agree_by_a_rendezvous() -> None:
    first, _ = launch.commands(plan(max_restarts=3, port=4000))

    for flag in ("--max-restarts=3", "--rdzv-backend=c10d", "--rdzv-endpoint=h0:4000"):
        assert flag in first[-1]
    assert "--node-rank" not in first[-1]


def test_one_host_of_the_list() -> None:
    (words,) = launch.commands(plan(node=1, port=4000))

    assert words[0] == sys.executable
    assert "--node-rank=1" in words
    assert "--nproc-per-node=1" in words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "which script"),
        ("--ranks 2", "which script"),
        ("x.py --ranks 2", "how many processes"),
        ("--ranks 2 --hosts h0:1 x.py", "exclude each other"),
        ("--ranks 2 --with slurm x.py", "mpirun, torchrun"),
        ("--ranks 2 --node_rank 1 x.py", "needs --hosts"),
        ("--hosts h0,h1 --with mpirun --node_rank 1 x.py", "mpirun starts the other hosts"),
        ("--rank 2 x.py", "Did you mean --ranks"),
    ],
)
def test_flags_that_are_wrong(line: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        launch_recipe.parse_args(line.split())

    assert caught.value.code == 2
    assert words in capsys.readouterr().err


def test_flags_after_the_script_are_its_own() -> None:
    args = launch_recipe.parse_args(["--ranks", "2", "train.py", "--ranks", "7", "--dry_run"])

    assert args.ranks == 2
    assert args.command == ("train.py", "--ranks", "7", "--dry_run")
    assert not args.dry_run


def test_dry_run_prints_and_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert launch_recipe.main(["--ranks", "2", "--dry_run", "none.py", "--name", "a b"]) == 0

    printed = shlex.split(capsys.readouterr().out)
    assert printed[-3:] == ["none.py", "--name", "a b"]
    assert "plainbert.distributed.agent" in printed


@pytest.mark.parametrize("launcher", ["torchrun", *(["mpirun"] if shutil.which("mpirun") else [])])
def test_ranks_on_this_host(launcher: str, tmp_path: Path) -> None:
    output = tmp_path / "out.json"
    line = [sys.executable, LAUNCH, "--ranks", "2", "--with", launcher]
    line += ["--timeout", "2", str(PROGRAMS / "ranks.py"), "--output", str(output)]
    done = Command(line, environment()).wait(90)

    assert done.status == 0, done.text
    assert done.text.startswith("+ timeout -k 30 2m ")
    ranks = json.loads(output.read_text())["ranks"]
    assert [rank["launcher"] for rank in ranks] == [launcher] * 2


def test_the_wall_clock_limit_ends_a_job(tmp_path: Path) -> None:
    line = [sys.executable, LAUNCH, "--ranks", "2", "--timeout", "0.08"]
    line += [str(PROGRAMS / "ranks.py"), "--steps", "2000", "--sleep", "0.05"]
    done = Command(line, environment()).wait(60)

    assert done.status == 124, done.text


def test_a_script_that_is_not_there(tmp_path: Path) -> None:
    line = [sys.executable, LAUNCH, "--ranks", "1", str(tmp_path / "none.py")]
    done = Command(line, environment()).wait(60)

    assert done.status == 2
    assert "No such file" in done.text


def test_gpus_among_those_visible() -> None:
    assert visible([0, 1], None) == "0,1"
    assert visible([2, 0], "4,5,GPU-aa") == "GPU-aa,4"
    with pytest.raises(DistributedError, match="shows 1 GPU"):
        visible([0, 1], "3")
    with pytest.raises(DistributedError, match="twice"):
        visible([1, 1], None)


def test_a_rank_starts_no_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "h0"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(DistributedError, match="cannot start ranks of its own"):
        spawn(2, ["x.py"])
    with pytest.raises(DistributedError, match="at least 1"):
        spawn(0, ["x.py"])
