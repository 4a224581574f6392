"""The judge of the drill sees faults that are planted, and passes commands that have none."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plainbert import files
from plainbert.errors import UsageError
from tests.drill import __main__ as drill
from tests.drill import hostile, kinds, volume
from tests.drill.commands import Command
from tests.drill.judge import Bench, Fault
from tests.helpers.isolation import CHECKOUT

TEXTS = {"old": "an older result\n" * 500, "new": "the new result\n" * 500}
Main = Callable[[list[str]], object]


def _places(argv: list[str]) -> tuple[str, Path]:
    return TEXTS[argv[0]], Path(argv[argv.index("--output") + 1])


def sound(argv: list[str]) -> None:
    text, path = _places(argv)
    if path.exists() and "--overwrite" not in argv:
        raise UsageError(f"{path} exists.")
    files.remove_leftovers(path.parent)
    files.write_text(path, text)


def in_place(argv: list[str]) -> None:
    """Half a file can be seen."""
    text, path = _places(argv)
    with path.open("w") as file:
        file.write(text[:3000])
        file.flush()
        files.sync(path)
        file.write(text[3000:])


def removes_first(argv: list[str]) -> None:
    text, path = _places(argv)
    path.unlink(missing_ok=True)
    files.write_text(path, text)
    files.remove_leftovers(path.parent)


def leaves_rests(argv: list[str]) -> None:
    text, path = _places(argv)
    rest = path.with_name(".work")
    rest.mkdir(exist_ok=True)
    files.write_text(rest / "text", text)
    (rest / "text").replace(path)
    if not any(rest.iterdir()):
        rest.rmdir()


def other_next_time(argv: list[str]) -> None:
    """What a killed one left changes the result of the next."""
    text, path = _places(argv)
    mark = path.with_name("mark")
    text += "again" * mark.exists()
    mark.write_text("")
    files.write_text(path, text)
    mark.unlink()
    files.remove_leftovers(path.parent)


def bench(main: Main, root: Path) -> Bench:
    words = {which: [which] for which in TEXTS}
    return Bench(Command("test", main, words, "--output", output="out.txt"), root)


def outcomes(
    disturb: Callable[[Bench, random.Random], str], main: Main, root: Path, number: int = 12
) -> Iterator[str]:
    """Of a few trials; the texts of faults among them."""
    made = bench(main, root)
    for seed in range(number):
        try:
            yield disturb(made, random.Random(seed))
        except Fault as fault:
            yield f"FAULT {fault}"


@pytest.mark.volume(sample=5, whole=40)
@pytest.mark.parametrize("disturb", [kinds.kill, kinds.full, kinds.twice])
def test_a_sound_command_has_no_fault(
    disturb: Callable[[Bench, random.Random], str], tmp_path: Path, trials: int
) -> None:
    found = [*outcomes(disturb, sound, tmp_path, trials)]
    assert not any(text.startswith("FAULT") for text in found), found
    assert len(set(found)) > 1


@pytest.mark.parametrize(
    ("disturb", "main", "fault"),
    [
        (kinds.kill, in_place, "a mixture, or half a file"),
        (kinds.kill, removes_first, "the older result is lost"),
        (kinds.kill, leaves_rests, "left behind"),
        (kinds.kill, other_next_time, "another result"),
        (kinds.full, in_place, "half a file"),
        (kinds.full, removes_first, "the older result is lost"),
    ],
)
def test_planted_faults_are_seen(
    disturb: Callable[[Bench, random.Random], str], main: Main, fault: str, tmp_path: Path
) -> None:
    seen = []
    for text in outcomes(disturb, main, tmp_path):
        seen.append(text)
        if text.startswith("FAULT") and fault in text:
            return
    pytest.fail(str(seen))


def test_a_second_that_is_let_in_is_seen(tmp_path: Path) -> None:
    def main(argv: list[str]) -> None:
        text, path = _places(argv)
        with path.open("r+" if path.exists() else "w") as file:
            file.write(text)
            file.flush()
            files.sync(path)
            file.truncate()

    assert any("a mixture" in text for text in outcomes(kinds.twice, main, tmp_path))


@pytest.mark.parametrize("fault", ["traceback", "hang", "lost", "sound"])
def test_hostile_files(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hostile, "SECONDS", 0.5)
    source, results = tmp_path / "in.json", tmp_path / "results"
    source.write_text('{"a": 1}')

    def main(argv: list[str]) -> None:
        try:
            value = json.loads(source.read_text())["a"] + 1
        except (ValueError, KeyError, TypeError):
            if fault == "sound":
                raise UsageError("no number") from None
            if fault == "lost":
                Path(argv[0]).write_text("")
                raise UsageError("no number") from None
            while fault == "hang":
                pass
            raise
        files.write_text(argv[0], str(value))

    output = results / "out.txt"
    target = hostile.Target("test", main, [str(output)], output, source, lambda *_: b"{}")
    if fault == "sound":
        assert hostile.hostile(target, random.Random(1), results) == "clear error"
    else:
        said = {"traceback": "Traceback", "hang": "status None", "lost": "older result is gone"}
        with pytest.raises(Fault, match=said[fault]):
            hostile.hostile(target, random.Random(1), results)
    assert source.read_text() == '{"a": 1}'


def test_faults_are_printed_with_what_repeats_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {which: [which] for which in TEXTS}
    broken = Command("broken", in_place, words, "--output", output="out.txt")
    monkeypatch.setattr(drill, "commands", lambda root: [broken])

    # A kill at a random moment is not to be repeated exactly; a full disk is.
    assert drill.main(["--trials", "8", "--seed", "5", "--only", "full"]) == 1

    printed = capsys.readouterr().out
    again = next(line for line in printed.splitlines() if line.startswith("again: "))
    assert "FAULT" in printed
    assert drill.main(again.split()[4:]) == 1
    assert "1 trials, 1 faults" in capsys.readouterr().out


@pytest.mark.parametrize("is_sound", [True, False])
def test_trials_of_tests_are_counted(
    is_sound: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = CHECKOUT / "tests" / "fixtures" / "drill" / "trials.py"
    if is_sound:
        assert volume.run(path, tmp_path, 3) == {"passed": 14}
    else:
        monkeypatch.setenv("SPOILED", "1")
        with pytest.raises(Fault, match="2 failed"):
            volume.run(path, tmp_path, 3)
    assert len(volume.test_files()) > 8
