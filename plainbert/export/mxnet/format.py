"""Export to Apache MXNet: ``TASK-symbol.json`` and ``TASK-0000.params``.

``mx.gluon.SymbolBlock.imports`` and ``mx.mod.Module`` run them. The weights have the names that
GluonNLP's own exports give them, so that ``net.collect_params().load`` fills a GluonNLP model; with
the ``config.json`` beside them, plainbert opens the folder too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from plainbert import files
from plainbert.errors import CheckpointError, UsageError
from plainbert.export.format import Format
from plainbert.export.mxnet import interpreter
from plainbert.export.mxnet.heads import INPUTS, build, depth
from plainbert.export.names import FORMATS, FormatInfo
from plainbert.export.runner import Floats, Ids, Runner
from plainbert.export.source import Source
from plainbert.formats.gluonnlp import params
from plainbert.runtimes import find
from plainbert.runtimes.find import find_python
from plainbert.runtimes.programs import Remote
from plainbert.runtimes.runtime import MXNET

PROGRAM = Path(__file__).with_name("program.py")
SYMBOL, WEIGHTS = "-symbol.json", "-0000.params"


@dataclass(frozen=True)
class MXNetFormat(Format):
    """Graphs and weights of Apache MXNet.

    Attributes:
        dropout: share that Dropout nodes drop in training mode; 0 leaves them out.
        fused: store queries, keys and values in one matrix, for a smaller graph, in place of
            separate ones that also load by name.
        python: the interpreter that has MXNet; see :func:`plainbert.runtimes.find.find_python`.
    """

    info: ClassVar[FormatInfo] = FORMATS["mxnet"]
    dropout: float = 0.0
    fused: bool = False
    python: str | None = None

    @property
    def checker(self) -> str:
        """MXNet, or without it our own reading of its operators."""
        if find.is_wanted(MXNET, self.python):
            return self.info.runtime
        return (
            "plainbert's own reading of its operators: there is no Python with MXNet "
            f"({MXNET.variable}=PATH names one), so MXNet itself has not run it"
        )

    def require(self) -> None:
        """Make sure that a Python with MXNet has it, where there is one or one is named.

        Raises:
            UsageError: that Python is not there, or lacks it.
        """
        if find.is_wanted(MXNET, self.python):
            find.require(MXNET, self.python)

    def write(self, source: Source, folder: Path) -> None:
        """Write the files of a model.

        Args:
            source: the model.
            folder: it exists.

        Raises:
            UsageError: a share to drop that is none.
            CheckpointError: the model lacks what its output needs.
        """
        if not 0 <= self.dropout < 1:
            raise UsageError(f"dropout={self.dropout}: a share in [0, 1) is expected.")
        graph, arrays = build(source, dropout=self.dropout, fused=self.fused)
        files.write_text(folder / f"{source.task}{SYMBOL}", graph)
        named = {f"arg:{name}": array for name, array in arrays.items()}
        params.write(folder / f"{source.task}{WEIGHTS}", named)
        # For who reads the weights: they do not say how many heads there are, nor the labels.
        config = source.config
        config.replace(
            num_hidden_layers=depth(source),
            extra={**config.extra, "do_lower_case": source.tokenizer.lower},
        ).save(folder / "config.json")

    def open_runner(self, folder: Path, threads: int = 0) -> Runner:
        """Start MXNet with an exported folder; without MXNet, our own interpreter.

        Args:
            folder: with one graph and its weights.
            threads: number of threads of the CPU; MXNet's choice when 0.

        Raises:
            CheckpointError: the folder does not hold one graph with its weights, or MXNet refuses
                it.
            UsageError: the Python that was named for MXNet is not there.
        """
        symbols = sorted(folder.glob(f"*{SYMBOL}"))
        if len(symbols) != 1:
            raise CheckpointError(f"{folder}: one *{SYMBOL} is expected, there are {len(symbols)}.")
        (symbol,) = symbols
        weights = symbol.with_name(symbol.name.removesuffix(SYMBOL) + WEIGHTS)
        if not weights.is_file():
            raise CheckpointError(
                f"{weights} does not exist; it holds the weights of {symbol.name}."
            )
        positions = _positions(symbol)
        if not find.is_wanted(MXNET, self.python):
            return MXNetRunner(Interpreted(symbol, weights), positions)
        environment = {"OMP_NUM_THREADS": str(threads)} if threads else None
        interpreter = find_python(MXNET, self.python)
        words = (str(symbol.absolute()), str(weights.absolute()))
        remote = Remote(MXNET, interpreter, PROGRAM, *words, environment=environment)
        return MXNetRunner(remote, positions)


class Interpreted:
    """An exported graph and its weights, computed by our own reading of MXNet's operators.

    Args:
        symbol: the graph.
        weights: its ``.params``.
    """

    def __init__(self, symbol: Path, weights: Path) -> None:
        self._graph = files.read_json(symbol)
        arrays = params.read(weights)
        self._arrays = {name.partition(":")[2]: np.asarray(a) for name, a in arrays.items()}

    def ask(self, inputs: dict[str, Any]) -> Any:
        """The output of the graph; float32."""
        return interpreter.run(self._graph, {**self._arrays, **inputs}).astype(np.float32)

    def close(self) -> None:
        """Nothing runs."""


class MXNetRunner(Runner):
    """An exported graph on MXNet.

    Args:
        remote: the program that runs it, or our interpreter.
        positions: tokens of an input at most.
    """

    def __init__(self, remote: Remote | Interpreted, positions: int) -> None:
        self._remote, self._positions = remote, positions

    def run(self, ids: Ids, types: Ids, mask: Ids) -> Floats:
        """The outputs of one padded batch; padding follows the tokens.

        Raises:
            UsageError: more tokens than the model has positions, where MXNet would go on with the
                last position's vector; or tokens behind padding.
        """
        if ids.shape[1] > self._positions:
            raise UsageError(
                f"inputs of {ids.shape[1]} tokens: the model has {self._positions} positions. "
                "Truncate them."
            )
        lengths = mask.astype(bool).sum(1)
        if (mask.astype(bool) != (np.arange(mask.shape[1]) < lengths[:, None])).any():
            raise UsageError("an attention mask has tokens behind padding; padding comes last.")
        outputs: Floats = self._remote.ask(dict(zip(INPUTS, (ids, types, lengths), strict=True)))
        return outputs

    def __exit__(self, *error: Any) -> None:
        self._remote.close()


def _positions(symbol: Path) -> int:
    """How many positions a graph of BERT has.

    Raises:
        CheckpointError: it is another graph.
    """
    for node in files.read_json(symbol).get("nodes", []):
        if str(node.get("name")).endswith("position_weight"):
            rows: str = node["attrs"]["__shape__"].strip("()").split(",")[0]
            return int(rows)
    raise CheckpointError(f"{symbol} is no graph of BERT: it has no position weight.")
