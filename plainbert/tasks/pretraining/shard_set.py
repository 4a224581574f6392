"""The set that shards belong to: what it may replace, what it consists of, whether it is whole.

``summary.json`` names the shards of its folder. It is written last, and read before any of them is
used: fewer shards than it names, or others, are no set.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from plainbert import files, folders
from plainbert.containers.npz import Archive
from plainbert.errors import FormatError, PlainBertError, UsageError
from plainbert.patterns import matching
from plainbert.tasks.pretraining.shard import Shard

SUMMARY_FILE = "summary.json"
SHARD_NAMES = "part-*.npz"
TOKENIZER_FILES = ("vocab.txt", "spm.model", "tokenizer.json", "tokenizer_config.json")
NAMES = (*TOKENIZER_FILES, SHARD_NAMES, SUMMARY_FILE)  # in the order in which they appear
_PARTS = "parts"  # in the summary: shard to fingerprint


def check_folder(folder: str | Path, overwrite: bool) -> bool:
    """Finish what was killed, and refuse a folder whose files may not be replaced.

    Args:
        folder: for a set of shards.
        overwrite: an older set may be replaced.

    Returns:
        whether there is an older set.

    Raises:
        UsageError: there are shards and ``overwrite`` is false, or files that are not ours.
    """
    folder = Path(folder)
    folders.finish(folder)
    shards, summary = sorted(folder.glob(SHARD_NAMES)), folder / SUMMARY_FILE
    if shards and not overwrite:
        raise UsageError(
            f"{folder} holds shards already ({shards[0].name} ...). Add --overwrite to replace "
            "them, or name another folder."
        )
    older = _read(summary)
    if older is None and summary.exists():
        foreign = [summary]
    elif older is None:  # a version was ended before it wrote one
        foreign = [path for path in shards if not _is_ours(path)]
    else:
        named = older.get(_PARTS, [path.name for path in shards])
        foreign = [path for path in shards if path.name not in named and not _is_ours(path)]
    if foreign:
        raise UsageError(
            f"{foreign[0]} is not of create_pretraining_data.py: it is not replaced. Move it away, "
            "or name another folder."
        )
    return bool(shards) or older is not None


def check_tokenizer(folder: Path, new: Path) -> None:
    """Refuse to replace files of another tokenizer in a folder that holds no set.

    Args:
        folder: where the files shall be.
        new: the folder where they are.

    Raises:
        UsageError: there are files of their kind that are not equal.
    """
    for name in TOKENIZER_FILES:
        there, replacement = folder / name, new / name
        if not there.exists():
            continue
        if not replacement.exists() or replacement.read_bytes() != there.read_bytes():
            raise UsageError(
                f"{there} is of another tokenizer than the one that is used: it is not replaced. "
                "Move it away, or name another folder."
            )


def parts(folder: Path, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """What a summary says of the shards in a folder, so that they are known again."""
    return {_PARTS: {name: Archive(folder / name).fingerprint for name in names}}


def finish(pattern: str) -> None:
    """Put sets in place that are on their way to the folders of a glob.

    Raises:
        UsageError: there is one, and its folder cannot be written to.
    """
    for place in (os.path.dirname(pattern), pattern):
        for path in matching(os.path.join(place, folders.COMMITTED)):
            folder = Path(path).parent
            try:
                folders.finish(folder)
            except OSError as error:
                raise UsageError(
                    f"{folder} holds a new set of shards that is not in its place yet, as "
                    "create_pretraining_data.py was ended, and cannot be put there: "
                    f"{error.strerror}. Read it once where the folder can be written to."
                ) from None


def faults(shards: Sequence[Shard]) -> Iterator[tuple[Shard | None, FormatError]]:
    """Yield what is wrong with the sets that shards belong to.

    Sets of older versions name no shards, but their number; files of GluonNLP are of no set, nor
    are those with names of the user's own.

    Yields:
        a shard that is not what it should be, or None where its folder lacks something; the error.
    """
    groups: dict[Path, list[Shard]] = {}
    for shard in shards:
        if shard.path.match(SHARD_NAMES):
            groups.setdefault(shard.path.parent, []).append(shard)
    for folder, members in groups.items():
        summary = _read(folder / SUMMARY_FILE)
        if summary is None:
            if any(not shard.of_gluonnlp for shard in members):
                yield None, _not_whole(folder, f"has no {SUMMARY_FILE}, which is written last")
        elif _PARTS in summary:
            yield from _compared(folder, members, summary[_PARTS])
        elif len(list(folder.glob(SHARD_NAMES))) < summary["shards"]:
            yield None, _not_whole(folder, f"lacks some of {summary['shards']} shards")


def _compared(
    folder: Path, members: Sequence[Shard], named: dict[str, Any]
) -> Iterator[tuple[Shard | None, FormatError]]:
    for shard in members:
        if named.get(shard.path.name) != shard.fingerprint:
            reason = f"{shard.path} is not the shard of that name which {SUMMARY_FILE} describes"
            advice = "Copy the whole folder again, or give a file of your own another name."
            yield shard, FormatError(f"{reason}: it is of another set, or was changed. {advice}")
    if lost := sorted(name for name in named if not (folder / name).is_file()):
        more = f" and {len(lost) - 1} more" if lost[1:] else ""
        yield None, _not_whole(folder, f"lacks {lost[0]}{more}, which {SUMMARY_FILE} names")


def _not_whole(folder: Path, reason: str) -> FormatError:
    return FormatError(
        f"the set of shards in {folder} is not whole: it {reason}. Copy the whole folder again, or "
        "make the set again with create_pretraining_data.py --overwrite. --skip_bad_shards trains "
        "on what is there."
    )


def _is_ours(path: Path) -> bool:
    try:
        return not Shard(path, None).of_gluonnlp
    except PlainBertError:
        return False


def _read(path: Path) -> dict[str, Any] | None:
    """The summary of a set; None where the file is not there, or something else."""
    try:
        summary = files.read_json(path)
    except (OSError, FormatError):
        return None
    known = isinstance(summary.get("shards"), int) and isinstance(summary.get(_PARTS, {}), dict)
    return summary if known and "vocab_sha256" in summary else None
