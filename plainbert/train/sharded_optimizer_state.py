"""Optimizer state on disk, every rank writing the shards it holds.

The files are safetensors, which also say where in the whole each shard lies: any number of ranks,
however they share, reads what it needs. Nothing is pickled to disk or unpickled from it.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner, DefaultSavePlanner
from torch.distributed.checkpoint.hf_storage import (
    HuggingFaceStorageReader,
    HuggingFaceStorageWriter,
)
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner import (
    LoadPlan,
    ReadItem,
    SavePlan,
    TensorWriteData,
    WriteItem,
    WriteItemType,
)
from torch.distributed.checkpoint.planner_helpers import create_read_items_for_chunk_list
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from plainbert.errors import CheckpointError, FormatError
from plainbert.train.parallel.tensor_shard import TensorShard


def write_shards(folder: Path, shards: Mapping[str, TensorShard], group: Any) -> None:
    """Write the shards of all ranks; returns when all of them are on disk.

    Args:
        folder: on a disk that all ranks share.
        shards: of this rank, on the CPU. What several ranks hold is written by one of them.
        group: a process group that nothing else uses meanwhile; None for a single process.

    Raises:
        CheckpointError: a rank could not write; raised by all of them.
    """
    writer = HuggingFaceStorageWriter(str(folder), save_distributed=True)
    try:
        with _alone():
            save(
                dict(shards),
                storage_writer=writer,
                planner=_SavePlanner(),
                process_group=group,
                no_dist=group is None,
            )
    except CheckpointException as error:
        rank, (reason, _) = next(iter(sorted(error.failures.items(), key=lambda item: item[0])))
        raise CheckpointError(
            f"rank {rank} could not write its part of the training state to {folder}: "
            f"{type(reason).__name__}: {reason}. The checkpoint before it is unharmed."
        ) from reason


def read_sizes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Name and size of every tensor that was written.

    Raises:
        FormatError: a file is garbled.
    """
    return {name: tuple(stored.size) for name, stored in _metadata(folder).items()}


def read_shards(folder: Path, shards: Mapping[str, TensorShard]) -> None:
    """Fill shards with what was written, in place; no other rank is asked.

    Args:
        folder: of :func:`write_shards`.
        shards: names and sizes as :func:`read_sizes` has them.

    Raises:
        FormatError: a file is garbled, or one is missing.
    """
    stored = _metadata(folder)
    lost = [name for name, shard in shards.items() if not _covered(shard, stored[name].chunks)]
    if lost:
        raise FormatError(f"{folder} lacks a part of {lost[0]} ({len(lost)} in all).")
    try:
        with _alone():
            load(
                dict(shards),
                storage_reader=HuggingFaceStorageReader(str(folder)),
                planner=_LoadPlanner(),
                no_dist=True,
            )
    except (Exception, CheckpointException) as error:  # safetensors' classes are undocumented
        raise FormatError(f"{folder} cannot be read: {_reason(error)}.") from None


class _SavePlanner(DefaultSavePlanner):
    """torch's, for :class:`TensorShard` in place of its own kinds of sharded tensors."""

    def __init__(self) -> None:
        super().__init__(
            flatten_state_dict=False, flatten_sharded_tensors=False, dedup_save_to_lowest_rank=True
        )

    def create_local_plan(self) -> SavePlan:
        self.plan = SavePlan([_write_item(*item) for item in self.state_dict.items()])
        return self.plan

    def lookup_object(self, index: MetadataIndex) -> Tensor:
        shard: TensorShard = self.state_dict[index.fqn]
        return shard.tensor.contiguous()


class _LoadPlanner(DefaultLoadPlanner):
    """torch's, for reading into :class:`TensorShard`."""

    def set_up_planner(
        self,
        state_dict: dict[str, Any],
        metadata: Metadata | None = None,
        is_coordinator: bool = False,
    ) -> None:
        # torch's own turns what it does not know into None.
        self.state_dict, self.metadata, self.is_coordinator = state_dict, metadata, is_coordinator

    def create_local_plan(self) -> LoadPlan:
        assert self.metadata is not None
        items: list[ReadItem] = []
        for name, shard in self.state_dict.items():
            stored = self.metadata.state_dict_metadata[name]
            assert isinstance(stored, TensorStorageMetadata)
            items += create_read_items_for_chunk_list(name, stored, [_chunk(shard)])
        return LoadPlan(items)

    def lookup_tensor(self, index: MetadataIndex) -> Tensor:
        shard: TensorShard = self.state_dict[index.fqn]
        return shard.tensor


def _chunk(shard: TensorShard) -> ChunkStorageMetadata:
    return ChunkStorageMetadata(torch.Size(shard.offsets), shard.tensor.shape)


def _write_item(name: str, shard: TensorShard) -> WriteItem:
    data = TensorWriteData(
        _chunk(shard), TensorProperties.create_from_tensor(shard.tensor), torch.Size(shard.size)
    )
    kind = WriteItemType.SHARD
    return WriteItem(MetadataIndex(name, torch.Size(shard.offsets)), kind, tensor_data=data)


def _metadata(folder: Path) -> dict[str, TensorStorageMetadata]:
    try:
        metadata = HuggingFaceStorageReader(str(folder)).read_metadata()
    except (Exception, CheckpointException) as error:  # safetensors' classes are undocumented
        raise FormatError(f"{folder} cannot be read: {_reason(error)}.") from None
    return {
        name: stored
        for name, stored in metadata.state_dict_metadata.items()
        if isinstance(stored, TensorStorageMetadata)
    }


def _covered(shard: TensorShard, chunks: list[ChunkStorageMetadata]) -> bool:
    """Whether the stored chunks, which do not overlap, fill a shard."""
    shared = 0
    own = list(zip(shard.offsets, shard.tensor.shape, strict=True))
    for chunk in chunks:
        volume = 1
        stored = zip(chunk.offsets, chunk.sizes, strict=True)
        for (start, length), (first, size) in zip(own, stored, strict=True):
            volume *= max(0, min(start + length, first + size) - max(start, first))
        shared += volume
    return shared == shard.tensor.numel()


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Torch need not warn that a process works alone: it was told to."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield


def _reason(error: BaseException) -> str:
    if isinstance(error, CheckpointException) and error.failures:
        error = next(iter(error.failures.values()))[0]
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
