"""A program in a Python of its own that answers one batch after the other.

Both sides exchange a line of JSON, which says the types and shapes of arrays, and the arrays' bytes
behind it. The program ends when its standard input does, so it never outlives this process.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from plainbert.errors import UsageError
from plainbert.runtimes.find import Runtime, command, failure

PATIENCE = 10  # seconds that a program has to end by itself


class Remote:
    """A program that was started and is ready.

    Args:
        runtime: what it runs on.
        interpreter: the Python that has it.
        program: the file; nothing of plainbert can be imported there.
        words: its arguments.
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
        self._said = tempfile.TemporaryFile()  # noqa: SIM115
        variables = {**os.environ, **(environment or {})}
        try:
            self._process = subprocess.Popen(
                command(interpreter, program, *words),
                env=variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
            )
        except OSError as error:
            self._said.close()
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
        told = {name: [array.dtype.str, array.shape] for name, array in arrays.items()}
        stdin = cast(IO[bytes], self._process.stdin)
        # If it died, the pipe is broken; reading tells why.
        with contextlib.suppress(BrokenPipeError):
            stdin.write(json.dumps(told).encode() + b"\n")
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
        self._said.close()

    def _line(self) -> Any:
        """Its next line."""
        line = cast(IO[bytes], self._process.stdout).readline()
        if not line:
            raise self._failure()
        return json.loads(line)

    def _failure(self) -> Exception:
        """What went wrong, once the program has ended."""
        status = self._process.wait()
        self._said.seek(0)
        text = self._said.read().decode("utf-8", "replace")
        return failure(self._runtime, self._interpreter, status, text)
