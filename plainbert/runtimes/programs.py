"""Programs in a Python of their own: run to the end, or kept to answer one batch after the other.

Such a program imports no part of plainbert, so that neither side's dependencies bind the other.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from plainbert.errors import UsageError
from plainbert.runtimes.runtime import Runtime

PATIENCE = 10  # seconds that a program has to end by itself
ANSWER = Path(__file__).with_name("answer.py")


def execute(runtime: Runtime, interpreter: Path, program: Path, words: Sequence[str]) -> None:
    """Run a program to its end.

    Args:
        runtime: what it runs on.
        interpreter: the Python that has it.
        program: the file; nothing of plainbert can be imported there.
        words: its arguments.

    Raises:
        UsageError: the interpreter cannot be started, or lacks the runtime.
        CheckpointError: the program failed; its last line says why.
    """
    line = _command(interpreter, program, *words)
    try:
        done = subprocess.run(line, capture_output=True, text=True, check=False)
    except OSError as error:
        raise UsageError(f"{interpreter} cannot be started: {error.strerror}.") from None
    if done.returncode:
        raise runtime.failure(interpreter, done.returncode, done.stderr)


class Remote:
    """A model in a Python of its own, which answers batches.

    ``answer.py`` runs there: it calls the program's ``load`` once, and what that returns for every
    batch. Both sides exchange a line of JSON, which says the types and shapes of arrays, and the
    arrays' bytes behind it. The program ends when its standard input does, so it never outlives
    this process.

    Args:
        runtime: what it runs on.
        interpreter: the Python that has it.
        program: the file with ``load``; nothing of plainbert can be imported there.
        words: arguments of ``load``.
        environment: variables to set.

    Raises:
        UsageError: the interpreter cannot be started, or lacks the runtime.
        CheckpointError: the program failed; its last line says why.
    """

    def __init__(
        self,
        runtime: Runtime,
        interpreter: Path,
        program: Path,
        *words: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._runtime, self._interpreter = runtime, interpreter
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        variables = {**os.environ, **(environment or {})}
        try:
            self._process = subprocess.Popen(
                _command(interpreter, ANSWER, str(program), *words),
                env=variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
            )
        except OSError as error:
            self._errors.close()
            raise UsageError(f"{interpreter} cannot be started: {error.strerror}.") from None
        try:
            self._line()
        except BaseException:
            self.close()
            raise

    def ask(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Send named arrays; what the program makes of them.

        Raises:
            CheckpointError: it failed.
        """
        header = {name: [array.dtype.str, array.shape] for name, array in arrays.items()}
        stdin = cast(IO[bytes], self._process.stdin)
        # If it died, the pipe is broken; reading tells why.
        with contextlib.suppress(BrokenPipeError):
            stdin.write(json.dumps(header).encode() + b"\n")
            for array in arrays.values():
                stdin.write(np.ascontiguousarray(array).tobytes())
            stdin.flush()
        dtype, shape = self._line()
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        data = bytearray(cast(IO[bytes], self._process.stdout).read(size))
        if len(data) < size:
            raise self._failure()
        return np.frombuffer(data, dtype).reshape(shape)

    def close(self) -> None:
        """End the program."""
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(BrokenPipeError):
                cast(IO[bytes], pipe).close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def _line(self) -> Any:
        """Its next line."""
        line = cast(IO[bytes], self._process.stdout).readline()
        if not line:
            raise self._failure()
        return json.loads(line)

    def _failure(self) -> Exception:
        """What went wrong, once the program has ended."""
        status = self._process.wait()
        self._errors.seek(0)
        output = self._errors.read().decode("utf-8", "replace")
        return self._runtime.failure(self._interpreter, status, output)


def _command(interpreter: Path, program: Path, *words: str) -> list[str]:
    """The command line of a program; isolated (-I): neither our folder nor variables matter."""
    return [str(interpreter), "-I", str(program), *words]
