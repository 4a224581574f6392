"""docs/coming_from says of every old flag what the commands do with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.helpers.migration import SYSTEMS, flag_of, old_flags, table
from tests.helpers.scripts import HERE, SCRIPTS, parser_of

PAGES = sorted((HERE / "docs" / "coming_from").glob("*.rst"))
TEXT = "\n".join(page.read_text("utf-8") for page in PAGES)
README = HERE / "README.rst"


def page_of(system: str) -> Path:
    """The page that holds the table of a system."""
    (page,) = (path for path in PAGES if between(system).search(path.read_text("utf-8")))
    return page


def between(system: str) -> re.Pattern[str]:
    return re.compile(rf"(\.\. begin {system}\n).*?(\.\. end {system}\n)", re.S)


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_tables_of_flags_are_true(system: str, update_golden: bool) -> None:
    page = page_of(system)
    text, wanted = page.read_text("utf-8"), f"\n{table(system)}\n\n"
    if update_golden:
        page.write_text(between(system).sub(lambda m: m[1] + wanted + m[2], text), "utf-8")
        text = page.read_text("utf-8")
    found = between(system).search(text)

    assert found is not None
    assert found[0].removeprefix(found[1]).removesuffix(found[2]) == wanted


def test_every_old_flag_has_its_row() -> None:
    for system, _, words, outcome in old_flags():
        found = between(system).search(TEXT)
        assert found is not None
        row = re.search(rf"``{re.escape(flag_of(words))}``\n     - (.*)", found[0])
        assert row is not None, (system, words)
        if outcome.startswith("refused"):
            assert "refused" in found[0], words
    assert len({row[2] for row in old_flags()}) > 300


@pytest.mark.parametrize(
    "name",
    ["test_results.tsv", "eval_results.txt", "label_smoothing", "-pooling_layer", "-max_seq_len",
     "compare_checkpoints.py", "metadata.pkl", "--do_eval", "per cent", "counted from 0",
     "log.txt", "average_checkpoints.py", "start_service.py", "out.txt", "bert-serving-start",
     "Published scores"],
)  # fmt: skip
def test_old_files_and_defaults_are_named(name: str) -> None:
    assert name in TEXT


def test_the_readme_leads_there() -> None:
    assert "docs/coming_from" in README.read_text("utf-8")


def test_what_is_used_here_exists() -> None:
    """Scripts and flags of the right-hand columns are ours."""
    scripts = {path.stem for path in (HERE / "scripts").rglob("*.py")} | {"my"}
    flags = {flag for path in SCRIPTS for flag in parser_of(path)._option_string_actions}
    cells = [
        cell
        for row in re.split(r"\n   \* - ", re.sub(r"\.\. begin .*?\.\. end", "", TEXT, flags=re.S))
        for cell in re.split(r"\n     - |\n\n", row)[1:2]
    ]

    assert len(cells) > 50
    for cell in cells:
        assert set(re.findall(r"(\w+)\.py", cell)) <= scripts, cell
        assert set(re.findall(r"--[a-z][\w-]*", cell)) <= flags, cell
