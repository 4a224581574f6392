"""Kill ``export.py --overwrite`` where it touches the folder: ``killed_export FOLDER [all]``.

Without ``all``, the removal of what was replaced counts as one change, and not one for each file.
"""

from __future__ import annotations

import logging
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from plainbert import checkpoint, files
from plainbert.errors import UsageError
from plainbert.export import check as export_check
from plainbert.export.manifest import Manifest
from plainbert.export.torch.format import PORTABLE, TorchFormat
from tests.helpers import folders, kills, scripts

ROOT = Path(__file__).resolve().parents[2]
script = scripts.load(ROOT / "scripts" / "export" / "export.py")
ASIDE = f".out.old{files.PARTIAL}"
LENGTHS = {"old": 12, "new": 16}


def export(model: Path, which: str, place: Path, *words: str) -> None:
    logging.disable(logging.CRITICAL)
    script.main(
        ["--model_dir", str(model), "--format", "torch", "--output_dir", str(place / "out"),
         "--max_len", str(LENGTHS[which]), *words]
    )  # fmt: skip


def whole(folder: Path, names: list[str]) -> str:
    """Which export a folder holds; nothing of it may be missing."""
    assert sorted(path.name for path in folder.iterdir()) == names
    assert all(path.stat().st_size for path in folder.iterdir())
    return {length: which for which, length in LENGTHS.items()}[Manifest.read(folder).max_length]


def main(root: Path, every: bool) -> None:
    torch.set_num_threads(1)
    export_check.SECONDS = 0.0  # no look at the speed
    model = checkpoint.write(root / "model", folders.tiny("classification"), folders.tokenizer())
    begin, place, copy = root / "begin", root / "place", root / "copy"
    export(model, "old", begin)
    names = sorted(path.name for path in (begin / "out").iterdir())
    program = (begin / "out" / PORTABLE).read_bytes()

    def write(_: object, __: object, folder: Path) -> None:
        """The same model again, without tracing it."""
        (folder / PORTABLE).write_bytes(program)

    TorchFormat.write = write
    seen: set[tuple[Any, ...]] = set()

    def prepare() -> None:
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(begin, place)

    def counts(path: Path) -> bool:
        """What has the export's name or will have it; not what is still being written."""
        name = path.relative_to(place).parts[0] if place in path.parents else ""
        is_of_many = path.parent == place / ASIDE and path.name != "manifest.json"
        return name in ("out", ".out.new", ASIDE) and (every or not is_of_many)

    def look(number: int) -> None:
        tops = sorted(path.name for path in place.iterdir())
        state = (*tops, (place / ASIDE / "manifest.json").exists())
        if state in seen:
            return
        seen.add(state)
        if "out" in tops:
            whole(place / "out", names)
        else:  # between the two renames
            assert {".out.new", ASIDE} <= set(tops)
        # The next start, of whatever kind, finds an export.
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(place, copy)
        with pytest.raises(UsageError, match="needs labelled rows"):
            script.main(["--evaluate", str(copy / "out")])
        whole(copy / "out", names)
        shutil.rmtree(copy)
        shutil.copytree(place, copy)
        with pytest.raises(UsageError, match="out exists"):
            export(model, "new", copy)
        whole(copy / "out", names)
        export(model, "new", copy, "--overwrite")
        assert whole(copy / "out", names) == "new"
        assert [path.name for path in copy.iterdir()] == ["out"]

    done = kills.before_each_change(
        lambda: export(model, "new", place, "--overwrite"), counts, prepare, look
    )
    print(f"{done} kills, {len(seen)} states")


if __name__ == "__main__":
    main(Path(sys.argv[1]), "all" in sys.argv[2:])
