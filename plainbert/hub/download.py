"""Fetch a record's files from the Hugging Face Hub into its client's own cache.

The client's cache is used as it is, so what ``transformers`` has already downloaded of the same
revision is not downloaded again. ``HF_ENDPOINT`` (a mirror), ``HF_HOME`` / ``HF_HUB_CACHE`` and
``HF_HUB_OFFLINE`` keep their meaning. A file appears in the cache only once it is complete, and
new files are compared with the checksum that the server states.
"""

from __future__ import annotations

import logging
import os
import textwrap
import time
from pathlib import Path
from typing import Any

from plainbert import files
from plainbert.cli.log_lines import VisibleFormatter
from plainbert.cli.program import command
from plainbert.containers.weight_files import INDEX, WEIGHT_FILES
from plainbert.errors import DownloadError, FormatError, MissingDependencyError
from plainbert.hub.answer import ask
from plainbert.hub.records import TEXT_FILES, VOCABULARY_FILES, Record
from plainbert.keys.modules_json import MODULES, step_folder, steps_of, transformer_folder

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 10.0

HOW_TO_PASS_A_FOLDER = (
    "Without a network: download config.json, model.safetensors and vocab.txt on another machine,\n"
    "and type the path of their folder in place of the name."
)


def cached(record: Record, cache: str | Path | None = None, weights: bool = True) -> Path | None:
    """The folder of a record in the cache, if everything needed is there; no network.

    Args:
        record: what is wanted.
        cache: cache folder; None is the client's default.
        weights: False when the vocabulary is enough.
    """
    if record.repository is None:
        return None
    hub = _client()
    for name in (MODULES, "config.json", *VOCABULARY_FILES):
        place = hub.try_to_load_from_cache(
            record.repository, name, cache_dir=_folder(cache), revision=record.revision
        )
        if isinstance(place, str):
            folder = Path(place).parent
            return folder if is_complete(folder, weights) else None
    return None


def is_complete(folder: Path, weights: bool = True) -> bool:
    """Whether a folder holds a config, a vocabulary and (every shard of) one set of weights."""
    folder = transformer_folder(folder)
    if not any((folder / name).is_file() for name in VOCABULARY_FILES):
        return False
    if not weights:
        return True
    if not (folder / "config.json").is_file():
        return False
    for name in WEIGHT_FILES:
        path = folder / name
        if path.is_file():
            names = shards(path) if name.endswith(INDEX) else []
            return all((folder / shard).is_file() for shard in names)
    return False


def shards(index: Path) -> list[str]:
    """The weight files that a sharded checkpoint's index names, in order, each once.

    Raises:
        DownloadError: the index is not such a file.
    """
    try:
        names = files.read_json(index)["weight_map"].values()
        return sorted({str(name) for name in names})
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        raise DownloadError(f"{index} is not an index of weight files.") from None


def fetch(record: Record, cache: str | Path | None = None, weights: bool = True) -> Path:
    """Download a record's files, unless the cache holds them, and return their folder.

    Args:
        record: what is wanted; without a repository the error says where to get the files.
        cache: cache folder; None is the client's default.
        weights: False fetches the config and vocabulary only.

    Returns:
        the folder of one commit; every file in it is complete.

    Raises:
        DownloadError: no repository is known, no network, no such repository, a cut download or a
            wrong checksum; the message says what was tried and how to pass a folder instead.
    """
    if record.repository is None:
        raise DownloadError(by_hand(record))
    folder = cached(record, cache, weights)
    if folder is not None:
        return folder
    hub = _client()
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or hub.constants.ENDPOINT
    place = f"{endpoint}/{record.repository} (revision {record.revision[:12]})"
    if _is_true(os.environ.get("HF_HUB_OFFLINE")):
        raise DownloadError(
            f"{place}: not tried, HF_HUB_OFFLINE is set; unset it to download.\n"
            f"{HOW_TO_PASS_A_FOLDER}"
        )
    try:
        return _fetch(hub, endpoint, record, cache, weights)
    except (DownloadError, FormatError) as error:
        raise DownloadError(f"{place}: {error}\n{HOW_TO_PASS_A_FOLDER}") from None
    except hub.errors.RepositoryNotFoundError:
        raise DownloadError(
            f"{place} does not exist there, or needs a login.\n{HOW_TO_PASS_A_FOLDER}"
        ) from None
    except _failures(hub) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DownloadError(
            f"{place}: {textwrap.shorten(reason, 120, placeholder=' ...')}\n"
            "With a network: check it (a proxy, HF_ENDPOINT for a mirror) and try again.\n"
            f"{HOW_TO_PASS_A_FOLDER}"
        ) from error


def by_hand(record: Record) -> str:
    """How to get weights that no repository holds: where from, and how to open them."""
    lines = [
        f"No public repository is known to hold {record.model} trained on {record.dataset_name}."
    ]
    if not record.source:
        return f"{lines[0]}\n{HOW_TO_PASS_A_FOLDER}"
    lines.append(
        f"Get the files from {record.source},\nunpack them, and type the path of that folder in "
        "place of the name. To convert it once for all:\n  "
        f"{command('convert_checkpoint')} --from FOLDER --to OUT"
    )
    if record.old_params is not None:
        lines.append(
            f"Where GluonNLP once ran, ~/.mxnet/models has it as {record.old_params} with "
            f"{record.old_vocab}."
        )
    return "\n".join(lines)


def _fetch(
    hub: Any, endpoint: str, record: Record, cache: str | Path | None, weights: bool
) -> Path:
    """Download what :func:`fetch` promises; errors of the client pass through."""
    answer = ask(hub, endpoint, record)
    offered = answer.files

    def get(name: str) -> Path:
        common = {"repo_id": record.repository, "filename": name, "cache_dir": _folder(cache)}
        old = hub.try_to_load_from_cache(**common, revision=answer.commit)
        if isinstance(old, str):
            return Path(old)
        log.info("downloading %s of %s (%s bytes)", name, record.repository, offered[name].size)
        path = Path(
            hub.hf_hub_download(
                **common, revision=answer.commit, endpoint=endpoint, tqdm_class=_bar()
            )
        )
        if path.parents[name.count("/")].name != answer.commit:
            raise DownloadError(f"it gives {name} of another commit than {answer.commit}.")
        offered[name].check(path)
        return path

    folder, inner = Path(), ""  # of the transformer, which older folders have one of its own for
    if MODULES in offered:
        folder = get(MODULES).parent
        inner = _under(folder, transformer_folder(folder))
        for module in steps_of(folder):
            if (name := _under(folder, step_folder(folder, module)) + "config.json") in offered:
                get(name)
    for name in (*TEXT_FILES, *(inner + name for name in TEXT_FILES)):
        if name in offered:
            folder = get(name).parents[name.count("/")]
    if weights:
        names = [name for name in WEIGHT_FILES if inner + name in offered]
        if not names:
            raise DownloadError(f"it offers none of {', '.join(WEIGHT_FILES)}.")
        path = get(inner + names[0])
        for shard in shards(path) if names[0].endswith(INDEX) else ():
            if inner + shard not in offered:
                raise DownloadError(f"its index names {shard!r}, which it does not offer.")
            get(inner + shard)
        folder = path.parents[inner.count("/")]
    if folder == Path() or not is_complete(folder, weights):
        raise DownloadError(f"it lacks config.json or all of {', '.join(VOCABULARY_FILES)}.")
    _name_revision(folder, record.revision, answer.commit)
    return folder


def _under(folder: Path, place: Path) -> str:
    """What stands before the names of files that lie in a folder of a folder: "" or "NAME/"."""
    path = place.relative_to(folder).as_posix()
    return "" if path == "." else f"{path}/"


def _name_revision(folder: Path, revision: str, commit: str) -> None:
    """Note which commit a branch stands for, as the client does, so that the cache finds it."""
    if revision != commit:
        reference = folder.parent.parent / "refs" / revision
        reference.parent.mkdir(parents=True, exist_ok=True)
        partial = reference.with_name(f".{reference.name}.{os.getpid()}.tmp")
        partial.write_text(commit, encoding="utf-8")
        os.replace(partial, reference)


def _client() -> Any:
    """The module ``huggingface_hub``, imported late: it takes a noticeable time."""
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
    except ImportError:
        raise MissingDependencyError("huggingface_hub", "", "downloading weights") from None
    # The client logs what the server tells it to.
    for handler in logging.getLogger("huggingface_hub").handlers:
        if not isinstance(handler.formatter, VisibleFormatter):
            handler.setFormatter(VisibleFormatter())
    return huggingface_hub


def _failures(hub: Any) -> tuple[type[Exception], ...]:
    """What the client raises when something goes wrong outside of it.

    Its HTTP library's errors are no OSError; a mirror that answers nonsense is a ValueError.
    """
    kinds = hub.errors.HfHubHTTPError.__mro__
    return (OSError, ValueError, *(kind for kind in kinds if kind.__name__ == "HTTPError"))


def _bar() -> Any:
    """The client's progress bar on terminals; a line in the log every ten seconds elsewhere."""
    from huggingface_hub.utils.tqdm import tqdm

    class Bar(tqdm):  # type: ignore[misc, unused-ignore]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs["disable"] = kwargs.get("disable") or None  # None: where there is no terminal
            super().__init__(*args, **kwargs)
            self.done, self.size = kwargs.get("initial", 0), kwargs.get("total") or 0
            self.told = time.monotonic()

        def update(self, n: float | None = 1) -> bool | None:
            self.done += n or 0
            if self.disable and time.monotonic() - self.told > SECONDS_BETWEEN_LINES:
                self.told = time.monotonic()
                log.info("downloaded %.0f of %.0f MB", self.done / 1e6, self.size / 1e6)
            refreshed: bool | None = super().update(n)
            return refreshed

    return Bar


def _folder(cache: str | Path | None) -> str | None:
    """A cache folder as the client wants it; read at call time, not when it was imported."""
    return os.path.expanduser(str(cache)) if cache is not None else None


def cache_folder(cache: str | Path | None) -> Path:
    """Where downloads are kept.

    Args:
        cache: a folder; None is the client's default.
    """
    return Path(_folder(cache) or _client().constants.HF_HUB_CACHE)


def _is_true(value: str | None) -> bool:
    return (value or "").strip().upper() in ("1", "ON", "YES", "TRUE")
