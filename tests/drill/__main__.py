"""Disturb the commands, and count what comes of it: ``python -m tests.drill`` (``make drill``).

Each trial ends in exactly one of three: the whole result, the older result untouched, or a clear
error (status 2, no traceback). What starts again afterwards gives, byte for byte, the result of a
command that nobody disturbed. All else is a fault: it is printed with the command that repeats it,
and the exit status is 1.
"""

from __future__ import annotations

import argparse
import collections
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch

from tests.drill import hostile, kinds, volume
from tests.drill.child import Child, import_once
from tests.drill.commands import Command, commands
from tests.drill.judge import Bench, Fault

KINDS = ("kill", "full", "twice", "hostile", "volume")
Outcome = str | collections.Counter[str] | None  # of one trial, or of so many
Trial = tuple[str, Callable[[], Outcome]]  # name of what is disturbed, and how


def main(argv: list[str] | None = None) -> int:
    options = parse_args(argv)
    torch.set_num_threads(1)  # a forked process of one that had more would hang
    begin = time.monotonic()
    counts: collections.Counter[tuple[str, str, str]] = collections.Counter()
    faults = 0
    with tempfile.TemporaryDirectory(prefix="drill-") as folder:
        for kind in options.only or KINDS:
            root = Path(folder) / kind
            root.mkdir()
            for number, (name, trial) in enumerate(trials(kind, root, options)):
                if number < options.first:
                    continue
                outcome: Outcome
                try:
                    outcome = trial()
                except Fault as fault:
                    outcome = "FAULT"
                    faults += 1
                    print(f"\n{kind}, {name}, trial {number}: {fault}")
                    print(_again(kind, number, options))
                for word, count in _counted(outcome).items():
                    counts[kind, name, word] += count
                sys.stdout.flush()
    print(f"\n{'kind':8} {'command or file':32} {'trials':>6}  outcome")
    for (kind, name, outcome), count in sorted(counts.items()):
        print(f"{kind:8} {name:32} {count:6}  {outcome}")
    seconds = time.monotonic() - begin
    print(f"{counts.total()} trials, {faults} faults, {seconds:.0f} s, seed {options.seed}")
    return int(faults > 0)


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.drill", description=__doc__)
    parser.add_argument("--trials", type=int, default=60, help="of each kind (default: 60)")
    parser.add_argument("--seed", type=int, default=0, help="what is drawn (default: 0)")
    parser.add_argument("--only", choices=KINDS, action="append", help="a kind; may be repeated")
    parser.add_argument("--first", type=int, default=0, help="number of the first trial")
    parser.add_argument(
        "--every", action="store_true", help="kill before every change of a file instead; long"
    )
    return parser.parse_args(argv)


def trials(kind: str, root: Path, options: argparse.Namespace) -> Iterator[Trial]:
    """The trials of a kind, from the first of all on; each has its own seed."""
    numbers = range(options.first + options.trials)
    if kind == "volume":
        for path in volume.test_files()[: options.first + options.trials]:
            yield path.stem, partial(volume.run, path, root, options.seed)
        return
    draws = [random.Random(f"{options.seed} {kind} {number}") for number in numbers]
    if kind == "hostile":
        (root / "results").mkdir()
        targets = hostile.targets(root)
        whole: set[str] = set()
        for number, draw in enumerate(draws):
            target = targets[number % len(targets)]
            if number >= options.first and target.name not in whole:
                _check_whole(target, root)
                whole.add(target.name)
            yield target.name, partial(hostile.hostile, target, draw, root / "results")
        return
    todo = commands(root)
    benches: dict[str, Bench] = {}

    def bench_of(command: Command) -> Bench:
        if command.name not in benches:
            benches[command.name] = Bench(command, root / command.name)
        return benches[command.name]

    if options.every and kind == "kill":
        for command in todo:
            bench = bench_of(command)
            for older in (False, True)[: 1 + command.overwrites]:
                for moment in range(1, kinds.changes(bench, older) + 1):
                    yield command.name, partial(kinds.every, bench, older, moment)
        return
    disturb = {"kill": kinds.kill, "full": kinds.full, "twice": kinds.twice}[kind]
    for number, draw in enumerate(draws):
        command = todo[number % len(todo)]
        yield command.name, partial(_drawn, disturb, bench_of, command, draw)


def _counted(outcome: Outcome) -> collections.Counter[str]:
    if isinstance(outcome, collections.Counter):
        return outcome
    return collections.Counter([] if outcome is None else [outcome])


def _drawn(
    disturb: Callable[[Bench, random.Random], str],
    bench_of: Callable[[Command], Bench],
    command: Command,
    draw: random.Random,
) -> str:
    return disturb(bench_of(command), draw)


def _check_whole(target: hostile.Target, root: Path) -> None:
    """See that the command reads the file as it is; import what it imports."""
    log = root / "log"
    ended = import_once(lambda around: Child(target.main, target.argv, log, around))
    if not ended.is_done:
        raise SystemExit(f"{target.name} is not whole: {ended.text}")


def _again(kind: str, number: int, options: argparse.Namespace) -> str:
    """The command that repeats a trial."""
    every = f" --every --first {number}" if options.every else f" --first {number} --trials 1"
    return f"again: python -m tests.drill --only {kind} --seed {options.seed}{every}"


if __name__ == "__main__":
    raise SystemExit(main())
