"""A program for another Python, as :mod:`plainbert.runtimes.programs` runs them."""

from __future__ import annotations

from pathlib import Path

# Sums its inputs; "fail" in their names is its end.
PROGRAM = """
import numpy as np

def load():
    print("noise")
    return run

def run(**arrays):
    total = 0
    for name, array in arrays.items():
        if name == "fail":
            raise ValueError("no such layer")
        total = total + array
    return np.float32(total)
"""


def write(folder: Path) -> Path:
    """The program's file in a folder."""
    path = folder / "program.py"
    path.write_text(PROGRAM)
    return path
