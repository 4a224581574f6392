"""Programs of torch.export: one file that torch runs without plainbert.

``model.pt2`` is portable and computes what the source does. ``compiled.pt2`` was compiled by
AOTInductor for the processor it was written on, and runs on such processors alone. Both take any
batch from 1 and any length from 2 tokens up to the model's positions.

What loading does. ``torch.export.load`` reads a zip file: the graph is JSON, weights are raw bytes.
Its documentation warns of pickle, for it unpickles three things where an archive has them: sample
inputs, weights that are no plain tensors, constants that are objects. What is written here has
none, and :meth:`TorchFormat.open_runner` refuses an archive that has. Formulas of sizes in the JSON
still go through sympy, which evaluates them, and ``compiled.pt2`` is machine code: open no file of
either kind that comes from someone you would not run a program of.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from plainbert.errors import CheckpointError, FormatError, UsageError
from plainbert.export.format import Format
from plainbert.export.names import FORMATS, FormatInfo
from plainbert.export.runner import Floats, Ids, Runner
from plainbert.export.source import Source
from plainbert.nn.bert import SelfAttention
from plainbert.nn.leaves import with_leaves

PORTABLE, COMPILED = "model.pt2", "compiled.pt2"


@dataclass(frozen=True)
class TorchFormat(Format):
    """Programs of torch.export.

    Attributes:
        compiled: compile for this processor (AOTInductor) in place of a portable program.
    """

    info: ClassVar[FormatInfo] = FORMATS["torch"]
    compiled: bool = False

    def require(self) -> None:
        """Make sure that what compiles is there, if a program is to be compiled.

        Raises:
            UsageError: there is no C++ compiler.
        """
        if self.compiled:
            _find_compiler()

    def write(self, source: Source, folder: Path) -> None:
        """Write a program into a folder.

        Args:
            source: the model.
            folder: it exists; gets ``model.pt2``, or ``compiled.pt2``.

        Raises:
            CheckpointError: the compiler failed.
        """
        positions = source.config.max_position_embeddings
        sizes = {
            0: torch.export.Dim("batch", min=1),
            1: torch.export.Dim("length", min=2, max=positions),
        }
        # Any values do, but torch would keep sizes of 1 fixed, and take one tensor for one input.
        sample = tuple(torch.ones(2, min(8, positions), dtype=torch.int64) for _ in range(3))
        program = torch.export.export(joined(source.module()), sample, dynamic_shapes=(sizes,) * 3)
        if self.compiled:
            _compile(program, folder / COMPILED)
        else:
            program.example_inputs = None  # they would be pickled
            # By way of memory: on a full disk, torch's own writer of files aborts the process.
            archive = io.BytesIO()
            torch.export.save(program, archive)
            (folder / PORTABLE).write_bytes(archive.getbuffer())

    def open_runner(self, folder: Path, threads: int = 0) -> Runner:
        """Open an exported folder in this process.

        Args:
            folder: with ``compiled.pt2`` or ``model.pt2``.
            threads: number of torch's threads until the runner is left; as they are when 0.

        Raises:
            CheckpointError: there is neither file.
            FormatError: the file is damaged, or holds pickles.
        """
        for name, load in ((COMPILED, _load_compiled), (PORTABLE, _load_portable)):
            path = folder / name
            if path.is_file():
                return TorchRunner(load(path), threads)
        raise CheckpointError(f"{folder} holds neither {COMPILED} nor {PORTABLE}.")


class TorchRunner(Runner):
    """A loaded program.

    Args:
        program: ids, types and mask -> outputs, all of them tensors.
        threads: number of torch's threads until the runner is left; as they are when 0.
    """

    def __init__(self, program: Callable[..., Tensor], threads: int) -> None:
        self._program, self._before = program, torch.get_num_threads()
        if threads:
            torch.set_num_threads(threads)

    def run(self, ids: Ids, types: Ids, mask: Ids) -> Floats:
        """See :meth:`plainbert.export.runner.Runner.run`."""
        with torch.inference_mode():
            tensors = [torch.from_numpy(np.array(array, np.int64)) for array in (ids, types, mask)]
            outputs: Floats = self._program(*tensors).numpy()
        return outputs

    def __exit__(self, *error: Any) -> None:
        torch.set_num_threads(self._before)


class _JoinedAttention(SelfAttention):
    """Self-attention whose three maps are one, joined once and not for every batch."""

    def __init__(self, plain: SelfAttention) -> None:
        nn.Module.__init__(self)
        self.heads, self.dropout = plain.heads, 0.0
        maps = (plain.query, plain.key, plain.value)
        self.weight = nn.Parameter(torch.cat([part.weight for part in maps]), requires_grad=False)
        self.bias = nn.Parameter(torch.cat([part.bias for part in maps]), requires_grad=False)

    def project(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self.weight, self.bias)


def joined(module: nn.Module) -> nn.Module:
    """A copy of a model that needs no gradients, with joined attention.

    Other weights are shared with the original.
    """

    def replace(part: nn.Module) -> nn.Module | None:
        return _JoinedAttention(part) if isinstance(part, SelfAttention) else None

    return with_leaves(module, replace)


def _find_compiler() -> None:
    """Make sure that there is a C++ compiler, before anything is traced."""
    name = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(name) is None:
        raise UsageError(
            f"a compiled program needs the C++ compiler {name}, which is not here. Install it (on "
            "Debian and Ubuntu: apt-get install g++), name another in the environment variable "
            "CXX, or export without compiling: a portable program needs none."
        )


def _compile(program: torch.export.ExportedProgram, path: Path) -> None:
    from torch._inductor import aoti_compile_and_package

    # As many threads as torch has when it runs, and not as many as it has now.
    options = {"cpp.dynamic_threads": True}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch's, about itself
            aoti_compile_and_package(program, package_path=str(path), inductor_configs=options)
    except RuntimeError as error:  # of several classes; what the compiler said comes last
        output = str(error).rpartition("Output:")[2].strip()
        raise CheckpointError(
            f"torch could not compile the model: {output.partition(chr(10))[0]}"
        ) from error


def _load_compiled(path: Path) -> Callable[..., Tensor]:
    from torch._inductor import aoti_load_package

    return cast(Callable[..., Tensor], aoti_load_package(str(path)))


def _load_portable(path: Path) -> Callable[..., Tensor]:
    refuse_pickles(path)
    return torch.export.load(path).module()


def refuse_pickles(path: Path) -> None:
    """Make sure that loading an archive will unpickle nothing.

    Raises:
        FormatError: it would, or the archive is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            pickled = next(_pickles(archive), None)
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"{path} is not a program of torch.export: {error}.") from None
    if pickled is not None:
        raise FormatError(
            f"{path} holds pickled objects ({pickled}), which can run any code. Programs that "
            "are exported here hold none; it is not opened."
        )


def _pickles(archive: zipfile.ZipFile) -> Any:
    """Names of what would be unpickled."""
    for entry in archive.infolist():
        name = entry.filename
        inside = f"/{name.partition('/')[2]}"  # without the archive's own folder
        if inside.endswith(".pt") and entry.file_size:
            yield name
        elif inside.endswith("_config.json") and inside.startswith(("/data/weights/", "/data/con")):
            for key, value in json.loads(archive.read(entry))["config"].items():
                plain = value["path_name"].startswith(("weight_", "tensor_"))
                if value["use_pickle"] or not plain:
                    yield f"{name}: {key}"
