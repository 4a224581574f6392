"""Two emulated hosts: network namespaces with a cable that can be cut. Root, iproute2.

::

    with Hosts() as hosts:
        one = hosts.start(0, "python", "train.py")
        hosts.cut()
        done = one.wait(60)

They share files, processors and kernel with this machine: what is tested is the network.
"""

from __future__ import annotations

import itertools
import os
import subprocess
from pathlib import Path
from typing import Self

from tests.helpers.processes import HERE, Command, Done, environment

TOOLS = HERE / "tests" / "tools" / "two_hosts"
SHELL = TOOLS / "shell.sh"  # stands for ssh
_numbers = itertools.count()


class Hosts:
    """Two hosts, ``names[0]`` and ``names[1]``, removed with all that runs on them at the end."""

    def __init__(self) -> None:
        self.prefix = f"pb{os.getpid() % 100000}{chr(97 + next(_numbers) % 26)}"
        self.names = (f"{self.prefix}0", f"{self.prefix}1")
        self._commands: list[Command] = []

    def __enter__(self) -> Self:
        self._tool("up.sh", self.prefix)
        return self

    def __exit__(self, *_: object) -> None:
        for command in self._commands:
            command.end()
        self._tool("down.sh", self.prefix)

    def start(self, host: int, *words: str | Path, **env: str) -> Command:
        """Run a command on a host, without waiting."""
        line = [str(TOOLS / "on.sh"), self.names[host], *map(str, words)]
        command = Command(line, environment(**env))
        self._commands.append(command)
        return command

    def run(self, host: int, *words: str | Path, seconds: float = 60, **env: str) -> Done:
        """Run a command on a host and wait for its end."""
        return self.start(host, *words, **env).wait(seconds)

    def cut(self) -> None:
        """Unplug the cable."""
        self._ip("-n", self.names[1], "link", "set", f"{self.prefix}v1", "down")

    def mend(self) -> None:
        """Plug it in again."""
        self._ip("-n", self.names[1], "link", "set", f"{self.prefix}v1", "up")

    def pids(self, host: int) -> list[int]:
        """Processes that run on a host."""
        words = ["ip", "netns", "pids", self.names[host]]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        return [int(word) for word in done.stdout.split()]

    def _tool(self, name: str, *words: str) -> None:
        subprocess.run([TOOLS / name, *words], check=True, capture_output=True, text=True)

    def _ip(self, *words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
