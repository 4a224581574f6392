"""Tables of old flags, made from the golden files and what the commands say."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from tests.helpers.scripts import HERE, SCRIPTS, parser_of

GOLDEN = HERE / "tests" / "golden" / "flags"
SYSTEMS = (
    "GluonNLP", "BERT-Classifier", "bert-multi-gpu", "pytorch-pretrained-BERT", "Google",
    "bert-as-service",
)  # fmt: skip
ALIAS = {"run_pretraining_hvd": "run_pretraining"}


def rows_of(name: str) -> list[list[str]]:
    """The rows of a golden table, without its remarks."""
    lines = (GOLDEN / name).read_text("utf-8").splitlines()
    return [line.split("\t") for line in lines if line and not line.startswith("#")]


def old_flags() -> list[list[str]]:
    """system, command, words and outcome of every documented flag."""
    return [*(["GluonNLP", *row] for row in rows_of("gluonnlp.tsv")), *rows_of("older_systems.tsv")]


def table(system: str) -> str:
    """A list-table: each flag of a system, what it does here, in which commands."""
    places: dict[str, dict[str, list[str]]] = {}
    for name, command, words, _ in old_flags():
        if name != system:
            continue
        flag = flag_of(words)
        texts = places.setdefault(flag, {})
        commands = texts.setdefault(what_it_does(command, flag), [])
        if (command := ALIAS.get(command, command)) not in commands:
            commands.append(command)
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: 24 52 24", "",
             "   * - flag", "     - here", "     - in"]  # fmt: skip
    for flag, texts in places.items():
        for text, commands in texts.items():
            lines += [f"   * - ``{flag}``", f"     - {text}", f"     - {', '.join(commands)}"]
    return "\n".join(lines)


def flag_of(words: str) -> str:
    """The flag that a golden row is about: the first that is typed, as it is documented."""
    typed = [word.partition("=")[0] for word in words.split() if word.startswith("-")]
    helpers = ("--model_dir", "--version_2", "--version_2_with_negative", "--do_train")
    flags = [word for word in typed if len(word) > 2 and not word[1].isdigit()]
    return next((flag for flag in flags if flag not in helpers), flags[0])


def what_it_does(command: str, flag: str) -> str:
    """In words, from the parser of a command: the same, our name, without effect, or refused."""
    parser = parser_at(command)
    option = flag if flag.startswith("--") else f"-{flag}"
    (action,) = {action for action in parser._actions if option in action.option_strings}
    reason = getattr(action, "reason", None)
    if reason is not None:
        return f"refused: {marked(reason.replace('{folder}', 'FOLDER'))}"
    if action.dest in getattr(parser, "_notes", {}):
        return f"no effect: {parser._notes[action.dest]}"
    names = {name.replace("-", "_") for name in option.lstrip("-").split()}
    if action.dest not in names:
        return f"``{action.option_strings[0]}``"
    text = str(action.help).replace("%%", "%")
    return (
        f"works: {marked(text.partition(' (default')[0])}"
        if text.startswith(
            ("As --", "Examples of a step", "False:", "Train,", "Without --do_train")
        )
        else "the same"
    )


def marked(text: str) -> str:
    """A sentence with its flags as literals."""
    return re.sub(r"--[a-z][\w-]*", lambda flag: f"``{flag[0]}``", text)


@cache
def parser_at(command: str) -> Any:
    """The parser of a command, by its name."""
    (path,) = (path for path in SCRIPTS if path.stem == command)
    return parser_of(path)
