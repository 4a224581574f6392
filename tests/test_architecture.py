"""Imports point downwards, siblings never import each other, and nothing happens on import."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from plainbert import errors

HERE = Path(__file__).resolve().parent.parent
PACKAGE = HERE / "plainbert"

# Lowest first; rooms on one line may not import each other. A room is a folder or module of
# plainbert/, or a folder of tasks/ and recipes/ that has a line of its own.
LAYERS = (
    {"visible"},
    {"errors"},
    {"text_files"},
    {"arguments", "files", "patterns", "ragged", "progress", "processes", "runtimes", "packages"},
    {"keys", "folders"},
    {"config"},
    {"containers", "cli", "nn", "distributed"},
    {"text"},
    {"hub", "formats", "checkpoint"},
    {"model_zoo", "batching", "corpus"},
    {"infer"},
    {"train"},
    {"tasks"},
    {"tasks.classification", "tasks.squad", "tasks.ner", "tasks.embedding", "tasks.pretraining"},
    {"evaluation", "tables"},
    {"model"},
    {"export", "serve", "compare"},
    {"recipes.shared"},
    {"recipes"},
    {"finetuning", "__main__"},
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

# Used as if they were modules: their __init__ may re-export. All others hold only a docstring, so
# that importing one light module of a package never loads the heavy ones.
DOORS = {"checkpoint", "model", "model_zoo"}
# Names that users have from here; the code is one layer up.
PUBLIC = {"tasks/task.py": "plainbert.tasks.classification.task"}
# May not import torch, not even inside a function: their users must not wait two seconds for it.
TORCH_FREE = (
    "visible", "errors", "text_files", "arguments", "files", "patterns", "folders", "ragged",
    "progress", "packages", "keys", "config", "cli", "text", "hub",
    "containers.protobuf", "containers.rows", "containers.spreadsheets", "containers.tables",
    "nn.names", "train.names",
    "train.optimization", "export.names", "formats.names", "checkpoint.names", "compare.names",
    "infer.gpus",
    *(f"tasks.classification.{name}" for name in (
        "chinese", "columns", "find", "glue", "headers", "hub_sets", "names", "own",
        "published", "rows", "scores", "submission", "table", "task")),
    *(f"tasks.squad.{name}" for name in ("data", "files", "find", "flags", "scores")),
    *(f"tasks.ner.{name}" for name in (
        "columns", "conll", "escaped", "flags", "punctuation", "scores", "spelling", "tags")),
)  # fmt: skip
# Free of torch at import, with everything they import at their top: what parse_args needs.
LIGHT = (
    "plainbert", "plainbert.config", "plainbert.cli.run", "plainbert.recipes.shared.flags",
    "plainbert.hub.records", "plainbert.nn.names", "plainbert.train.names",
    "plainbert.tasks.classification.scores", "plainbert.tasks.classification.names",
    "plainbert.tasks.classification.find",
)  # fmt: skip
LINES = 300
OWN_ERRORS = {name for name in vars(errors) if name.endswith("Error")}


def room_of(module: str) -> str:
    """The room of a module, named without ``plainbert.``."""
    parts = module.split(".")
    two = ".".join(parts[:2])
    return two if two in RANK else parts[0]


def imports(tree: ast.AST) -> Iterator[str]:
    """Every dotted name behind an import statement, at any depth."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # A relative import would hide from the check below: ruff bans it, and so do we.
            assert node.level == 0, f"relative import of {node.module}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def faults(package: Path) -> Iterator[str]:
    """What breaks the layering of a package laid out like plainbert."""
    for path in sorted(package.rglob("*.py")):
        place = path.relative_to(package)
        module = ".".join(place.with_suffix("").parts)
        here = room_of(module)
        if str(place) == "__init__.py":
            continue
        if here not in RANK:
            yield f"{place}: {here} has no line in LAYERS"
            continue
        tree = ast.parse(path.read_text("utf-8"))
        for name in imports(tree):
            top, _, rest = name.partition(".")
            if top == "torch" and any(f"{module}.".startswith(f"{free}.") for free in TORCH_FREE):
                yield f"{place} imports torch"
            if top != "plainbert" or not rest or rest == "__version__":
                continue
            other = room_of(rest)
            if other == here or name.startswith(f"{PUBLIC.get(str(place))}."):
                continue
            if other not in RANK:
                yield f"{place}: {name} has no line in LAYERS"
            elif RANK[other] >= RANK[here]:
                yield f"{place} ({here}) imports {other}, which is not below it"
        if path.name == "__init__.py" and not only_names(tree, exports=here in DOORS):
            yield f"{place} holds more than a docstring"


def only_names(tree: ast.Module, exports: bool) -> bool:
    """Whether a package's ``__init__`` is a docstring, with re-exports if ``exports``."""
    if ast.get_docstring(tree) is None:
        return False
    return all(
        exports
        and (
            isinstance(node, ast.ImportFrom)
            or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")
        )
        for node in tree.body[1:]
    )


def test_layers_hold() -> None:
    assert list(faults(PACKAGE)) == []
    assert len(list(PACKAGE.rglob("*.py"))) > 20


@pytest.mark.parametrize(
    ("file", "source", "fault"),
    [
        ("nn/bert.py", "from plainbert.train import loop", "imports train"),
        ("nn/bert.py", "def f():\n    import plainbert.text.vocab", "imports text"),
        ("nn/bert.py", "from plainbert.containers import npz", "imports containers"),
        ("tasks/ner/tags.py", "from plainbert.tasks.squad import data", "imports tasks.squad"),
        ("tasks/reports.py", "from plainbert.tasks.ner import tags", "imports tasks.ner"),
        ("tasks/ner/tags.py", "from plainbert.recipes import embedding", "imports recipes"),
        ("recipes/shared/start.py", "from plainbert.recipes import export", "imports recipes"),
        ("infer/logits.py", "from plainbert.train import loop", "imports train"),
        ("nn/bert.py", "from plainbert import infer", "imports infer"),
        ("export/onnx.py", "from plainbert.serve.engine import run", "imports serve"),
        ("errors.py", "import plainbert.files", "imports files"),
        ("text/vocab.py", "import torch.nn", "imports torch"),
        ("tasks/squad/data.py", "def f():\n    from torch import nn", "imports torch"),
        ("nn/names.py", "import torch", "imports torch"),
        ("helpers.py", "", "no line in LAYERS"),
        ("recipes/run.py", "from plainbert.helpers import x", "no line in LAYERS"),
        ("text/__init__.py", '"""Text."""\nimport os', "more than a docstring"),
        ("text/__init__.py", "", "more than a docstring"),
        ("checkpoint/__init__.py", '"""C."""\nprint()', "more than a docstring"),
    ],
)
def test_the_check_sees_faults(tmp_path: Path, file: str, source: str, fault: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(source)

    found = list(faults(tmp_path))

    assert len(found) == 1
    assert fault in found[0]


def test_the_check_passes_what_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "loop.py").write_text(
        "import torch\nfrom plainbert.train import names\nfrom plainbert.errors import UsageError"
    )

    assert list(faults(tmp_path)) == []


def test_relative_imports_are_seen(tmp_path: Path) -> None:
    (tmp_path / "nn").mkdir()
    (tmp_path / "nn" / "bert.py").write_text("from ..train import loop")

    with pytest.raises(AssertionError, match="relative import"):
        list(faults(tmp_path))


def read_texts(tree: ast.AST) -> Iterator[int]:
    """Lines that look for words in the text of an error of our own: its class should say it."""
    for handler in ast.walk(tree):
        if not isinstance(handler, ast.ExceptHandler) or handler.type is None or not handler.name:
            continue
        names = {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}
        if not names & OWN_ERRORS:
            continue
        for node in ast.walk(handler):
            if isinstance(node, ast.Compare) and f"str({handler.name})" in ast.unparse(node):
                yield node.lineno


def test_no_error_of_ours_is_known_by_its_text() -> None:
    planted = "try: f()\nexcept CheckpointError as e:\n    if 'has no' not in str(e): raise"
    assert list(read_texts(ast.parse(planted))) == [3]
    lines = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in PACKAGE.rglob("*.py")
        for line in read_texts(ast.parse(path.read_text("utf-8")))
    ]
    assert lines == []


def test_scripts_do_not_import_each_other() -> None:
    scripts = sorted((HERE / "scripts").rglob("*.py"))
    names = {path.stem for path in scripts}
    assert scripts
    for path in scripts:
        tops = {name.split(".")[0] for name in imports(ast.parse(path.read_text("utf-8")))}
        assert not tops & (names | {"scripts"}), path


def test_modules_stay_readable() -> None:
    sizes = {
        str(path.relative_to(HERE)): len(path.read_text("utf-8").splitlines())
        for folder in ("plainbert", "scripts", "benchmarks")
        for path in (HERE / folder).rglob("*.py")
    }
    assert {name: size for name, size in sizes.items() if size > LINES} == {}


def python(code: str) -> str:
    """Run code in a fresh interpreter and return what it printed."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_parsing_needs_no_torch() -> None:
    # One process for all: the first module that pulls torch in is named.
    code = "import sys, importlib\n" + "\n".join(
        f"importlib.import_module({name!r}); assert 'torch' not in sys.modules, {name!r}"
        for name in LIGHT
    )
    python(code)


def test_importing_plainbert_imports_almost_nothing() -> None:
    code = (
        "import sys; import plainbert; plainbert.__version__; dir(plainbert)\n"
        "print([m for m in ('torch', 'numpy', 'transformers', 'tokenizers') if m in sys.modules])"
    )
    assert python(code) == "[]"


def test_nothing_happens_on_import() -> None:
    modules = [
        ".".join(path.relative_to(HERE).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted(PACKAGE.rglob("*.py"))
    ]
    # torch and transformers set variables of their own; they come first.
    code = f"""
import importlib, logging, os, signal, sys, threading
import numpy, torch, huggingface_hub
def state():
    return (dict(os.environ), list(sys.argv), os.getcwd(), logging.root.handlers[:],
            logging.root.level, threading.active_count(), torch.get_num_threads(),
            torch.get_default_dtype(), signal.getsignal(signal.SIGINT), sys.excepthook,
            numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
before = state()
for name in {modules!r}:
    importlib.import_module(name)
    after = state()
    assert after == before, (name, [b for a, b in zip(before, after) if a != b][:1])
print("quiet")
"""
    assert python(code) == "quiet"
