"""The scripts of the documented command lines, loaded as modules."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from plainbert.cli.parser import Parser

HERE = Path(__file__).resolve().parents[2]
SCRIPTS = sorted(
    path for path in (HERE / "scripts").rglob("*.py") if "parse_args" in path.read_text("utf-8")
)


def load(path: Path) -> ModuleType:
    """A script as a module, without running its ``main``."""
    spec = importlib.util.spec_from_file_location(f"script_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _Caught(Exception):
    """Carries the parser out of a script's ``parse_args``."""


def parser_of(path: Path) -> argparse.ArgumentParser:
    """The parser of a script, with all its flags."""

    def catch(self: argparse.ArgumentParser, *args: object) -> None:
        raise _Caught(self)

    with pytest.MonkeyPatch.context() as patch:
        for kind in (Parser, argparse.ArgumentParser):
            patch.setattr(kind, "parse_args", catch)
        with pytest.raises(_Caught) as caught:
            parse_args_of(path)([])
    parser: argparse.ArgumentParser = caught.value.args[0]
    return parser


def parse_args_of(path: Path) -> Callable[[list[str]], Any]:
    """The ``parse_args`` of a script."""
    parse: Callable[[list[str]], Any] = load(path).parse_args
    return parse
