"""Goes with predict.py: the model in torch.

torch's loader trusts the file: run it only on models from people whose programs you would run.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def load(folder: Path, about: dict[str, Any]) -> Callable[..., Any]:
    """The model as a function of padded ids, types and mask, each (B, L).

    Args:
        folder: of the export.
        about: the content of manifest.json.
    """
    import torch

    if (folder / "compiled.pt2").exists():
        from torch._inductor import aoti_load_package

        model: Any = aoti_load_package(str(folder / "compiled.pt2"))
    else:
        model = torch.export.load(folder / "model.pt2").module()

    def run(*inputs: Any) -> Any:
        with torch.inference_mode():
            return model(*map(torch.from_numpy, inputs)).numpy()

    return run
