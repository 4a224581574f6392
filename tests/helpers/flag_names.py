"""Which flags the messages of the code name, and which commands can come to print them.

The code is read, not run: from a recipe's module, over every function, class and constant that is
named in what was reached before. Methods belong to their class: who names it reaches them all.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path

FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]*")
WORD = re.compile(r"--[a-z][\w-]*|\w+\.py|plainbert \w+")  # flags, and whose they are
# Calls whose words describe flags: the parsers themselves are asked for those.
_DECLARE = {"Flag", "option", "helped", "accepted", "refuse", "_number", "_switch"}

Place = tuple[str, str]  # a module and a name at its top


@dataclass(frozen=True)
class Message:
    """A text that may be shown to a user.

    Attributes:
        module: dotted name of where it stands.
        line: of that file.
        text: with ``{}`` for what is filled in.
    """

    module: str
    line: int
    text: str


def named(text: str, scripts: Container[str]) -> Iterator[tuple[str, str | None]]:
    """Every flag that a text names, with the script it is said to be of; None for the reader's.

    Args:
        text: a message; flags of pip are none of ours.
        scripts: names without ``.py``.
    """
    for clause in re.split(r"(?<=[.;:]) |\(", text):
        owner = None
        words = () if "pip install" in clause else WORD.finditer(clause)
        for word in words:
            name = word[0].removesuffix(".py").removeprefix("plainbert ")
            if FLAG.match(name):
                yield name, owner
            elif name in scripts:
                owner = name


@dataclass
class Module:
    """One module, taken apart at its top.

    Attributes:
        name: dotted.
        parts: name at the top to the statements that define it.
        imports: name at the top, or in a function, to the dotted name it stands for.
    """

    name: str
    parts: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, name: str, path: Path) -> Module:
        module, tree = cls(name), ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                module.imports |= {alias.asname or alias.name: alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                module.imports |= {
                    alias.asname or alias.name: f"{node.module}.{alias.name}"
                    for alias in node.names
                }
        for statement in tree.body:
            for top in _defined(statement):
                module.parts.setdefault(top, []).append(statement)
        return module

    def names(self, top: str) -> Iterator[str]:
        """Dotted names that a part of the module uses, as far as they come from imports or here."""
        for statement in self.parts[top]:
            for node in ast.walk(statement):
                dotted = ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""
                if not re.fullmatch(r"[\w.]+", dotted):
                    continue
                first, _, rest = dotted.partition(".")
                if first in self.imports:
                    yield self.imports[first] + (f".{rest}" if rest else "")
                elif first in self.parts:
                    yield f"{self.name}.{first}"

    def messages(self, top: str) -> Iterator[Message]:
        """Texts with more than one word in a part of the module."""
        for statement in self.parts[top]:
            silent = set(_silent(statement))
            for node in ast.walk(statement):
                text = None if node in silent else _text(node)
                if text and " " in text and FLAG.search(text):
                    yield Message(self.name, getattr(node, "lineno", 0), text)


def read_package(folder: Path) -> dict[str, Module]:
    """Every module of a package by its dotted name."""
    modules = {}
    for path in folder.rglob("*.py"):
        dotted = ".".join(path.relative_to(folder.parent).with_suffix("").parts)
        name = dotted.removesuffix(".__init__")
        modules[name] = Module.read(name, path)
    return modules


def reached(modules: dict[str, Module], start: str) -> set[Place]:
    """What the code of a module may come to run.

    Args:
        modules: of the package.
        start: the module to begin with; all that is in it.
    """
    places: set[Place] = set()
    waiting = [(start, top) for top in modules[start].parts]
    while waiting:
        place = waiting.pop()
        if place in places:
            continue
        places.add(place)
        module = modules[place[0]]
        for dotted in module.names(place[1]):
            waiting += _resolve(modules, dotted)
    return places


def _resolve(modules: dict[str, Module], dotted: str) -> list[Place]:
    """Where a dotted name is defined; nothing for other packages and for modules as such."""
    parts = dotted.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        module = modules.get(".".join(parts[:cut]))
        if module is None:
            continue
        if parts[cut] in module.parts:
            return [(module.name, parts[cut])]
        if parts[cut] in module.imports:  # exported again
            return _resolve(modules, ".".join([module.imports[parts[cut]], *parts[cut + 1 :]]))
        return []
    return []


def _defined(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Assign | ast.AnnAssign):
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id


def _silent(statement: ast.stmt) -> Iterator[ast.AST]:
    """Nodes whose texts are no messages: docstrings, parts of f-strings, declarations of flags."""
    for node in ast.walk(statement):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            if ast.get_docstring(node) is not None:
                first = node.body[0]
                assert isinstance(first, ast.Expr)
                yield first.value
        elif isinstance(node, ast.JoinedStr):
            yield from node.values
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func).rpartition(".")[2]
            if called in _DECLARE:
                yield from ast.walk(node)


def _text(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_part, node.values))
    return None


def _part(part: ast.expr) -> str:
    """A piece of an f-string; a command that it names as the name of its script."""
    if isinstance(part, ast.Constant):
        return str(part.value)
    call = part.value if isinstance(part, ast.FormattedValue) else part
    named = isinstance(call, ast.Call) and ast.unparse(call.func).endswith("command")
    if named and isinstance(call.args[0], ast.Constant):
        return f"{call.args[0].value}.py"
    return "{}"
