"""TensorFlow SavedModels, with the signatures that bert-multi-gpu's clients know.

TensorFlow writes and runs them in a Python of its own, see :mod:`plainbert.runtimes.find`; the
programs are ``build.py`` and ``program.py``. The folder gets one version folder named by the time
in seconds, as TensorFlow Serving expects: its ``--model_base_path`` is the export folder.

Inputs are int32 and (-1, -1), batch and length, unless another shape is given. ``tokens`` are
input_ids, input_mask (1 at tokens) and segment_ids. What ``serving_default`` takes and returns:

    classification       tokens, label_ids (-1) -> probabilities float (-1, C), which sum to 1
    ... several labels   tokens, label_ids (-1, C) -> probabilities float (-1, C), each by itself
    ner                  tokens, label_ids, output_mask, seq_len (-1)
                         -> predictions int32 (-1, -1), seq_len int32 (-1) as it was given
    regression           tokens -> predictions float (-1)
    question_answering   tokens -> start_logits and end_logits float (-1, -1)
    embedding            tokens -> vectors float (-1, D), or (-1, -1, D) without pooling

label_ids, output_mask and seq_len change no number; old clients send them, and go on as they did.
Clients that have none name the signature ``tokens_only``, which every task has: the same outputs
from tokens alone (seq_len is then the number of tokens without [CLS] and [SEP]). In
``serving_default`` they have default values too, so a gRPC client of TensorFlow Serving may leave
them out there, as long as the server does not batch; REST clients may not.

The signature ``logits`` returns what the source model does, before softmax or argmax.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np

from plainbert import files
from plainbert.errors import CheckpointError
from plainbert.export.format import Format
from plainbert.export.names import FORMATS, FormatInfo
from plainbert.export.runner import Floats, Ids, Runner
from plainbert.export.source import Source
from plainbert.nn.bert import Bert
from plainbert.nn.names import MULTI_LABEL
from plainbert.runtimes import find
from plainbert.runtimes.find import find_python
from plainbert.runtimes.programs import Remote, execute
from plainbert.runtimes.runtime import TENSORFLOW

BUILD, PROGRAM = (Path(__file__).with_name(name) for name in ("build.py", "program.py"))


@dataclass(frozen=True)
class SavedModelFormat(Format):
    """TensorFlow SavedModels.

    Attributes:
        python: the interpreter that has TensorFlow; see
            :func:`plainbert.runtimes.find.find_python`.
    """

    info: ClassVar[FormatInfo] = FORMATS["savedmodel"]
    python: str | None = None

    def require(self) -> None:
        """Make sure that TensorFlow is there.

        Raises:
            UsageError: no Python has it.
        """
        find.require(TENSORFLOW, self.python)

    def write(self, source: Source, folder: Path) -> None:
        """Write a SavedModel into a folder, as its newest version.

        Args:
            source: the model.
            folder: it exists; gets a folder named by the time.

        Raises:
            UsageError: there is no Python with TensorFlow.
            CheckpointError: TensorFlow could not write it.
        """
        interpreter = find_python(TENSORFLOW, self.python)
        with tempfile.TemporaryDirectory(prefix=".weights-", dir=folder) as scratch:
            request(source, folder / str(int(time.time())), Path(scratch))
            build(interpreter, [Path(scratch)])

    def open_runner(self, folder: Path, threads: int = 0) -> Runner:
        """Start TensorFlow on an exported folder.

        Args:
            folder: with version folders, of which the newest is taken.
            threads: number of threads for its operations; as TensorFlow likes when 0.

        Raises:
            UsageError: there is no Python with TensorFlow.
            CheckpointError: there is no SavedModel, or TensorFlow cannot open it.
        """
        interpreter = find_python(TENSORFLOW, self.python)
        words = (str(newest(folder).absolute()), str(threads))
        return TensorFlowRunner(Remote(TENSORFLOW, interpreter, PROGRAM, *words))


class TensorFlowRunner(Runner):
    """A SavedModel in its own process.

    Args:
        remote: the program that runs it.
    """

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def run(self, ids: Ids, types: Ids, mask: Ids) -> Floats:
        """See :meth:`plainbert.export.runner.Runner.run`."""
        inputs = {"input_ids": ids, "input_mask": mask, "segment_ids": types}
        outputs: Floats = self._remote.ask(
            {name: array.astype(np.int32) for name, array in inputs.items()}
        )
        return outputs

    def __exit__(self, *error: Any) -> None:
        self._remote.close()


def request(source: Source, version: Path, scratch: Path) -> None:
    """Write down what to build, for the program.

    Args:
        source: the model.
        version: the SavedModel's folder; does not exist.
        scratch: where the request goes, with a copy of the weights.
    """
    config, pooling = source.config, source.pooling
    prefix = "bert." if isinstance(source.model, Bert) else ""
    weights = {
        f"{prefix}{name}": tensor.numpy() for name, tensor in source.model.state_dict().items()
    }
    cast(Any, np.savez)(scratch / "weights.npz", **weights)
    layers = config.num_hidden_layers
    files.write_json(
        scratch / "request.json",
        {
            "folder": str(version.absolute()),
            "task": source.task,
            "config": config.to_dict(),
            "classes": config.num_labels,
            "several": config.problem_type == MULTI_LABEL,
            "depth": pooling.depth(layers) if pooling else layers,
            "pooling": pooling
            and {
                "kind": pooling.kind,
                "layers": pooling.layers,
                "normalize": pooling.normalize,
            },
        },
    )


def build(interpreter: Path, requests: Sequence[Path]) -> None:
    """Have TensorFlow build what was requested.

    Args:
        interpreter: a Python that has TensorFlow.
        requests: folders from :func:`request`.

    Raises:
        UsageError: the interpreter cannot be started, or lacks TensorFlow.
        CheckpointError: TensorFlow could not.
    """
    execute(TENSORFLOW, interpreter, BUILD, [str(folder) for folder in requests])


def newest(folder: Path) -> Path:
    """The version that TensorFlow Serving would load: the highest number.

    Raises:
        CheckpointError: there is none.
    """
    versions = [path for path in folder.iterdir() if path.name.isdecimal()]
    version = max(versions, key=lambda path: int(path.name), default=folder)
    if not (version / "saved_model.pb").is_file():
        raise CheckpointError(
            f"{folder} holds no SavedModel; a folder named by a number, with saved_model.pb in it, "
            "is expected."
        )
    return version
