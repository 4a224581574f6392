"""``.. flags:: NAME``: the summary and every flag of a command, from its parser."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from plainbert.recipes.commands import SUMMARIES
from plainbert.recipes.shared.flags import parser


class Flags(SphinxDirective):
    """A definition list for each group of flags."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Parse the flags as reStructuredText."""
        name = self.arguments[0]
        recipe = import_module(f"plainbert.recipes.{name}")
        lines = [f"{SUMMARIES[name].capitalize()}.", ""]
        for group in parser(recipe.Settings, None)._action_groups:
            actions = [a for a in group._group_actions if a.help != argparse.SUPPRESS]
            if actions:
                lines += [f"**{group.title}**", ""]
            for action in actions:
                lines += [*self.entry(action), ""]
        return self.parse_text_to_nodes("\n".join(lines))

    @staticmethod
    def entry(action: argparse.Action) -> list[str]:
        """A term with the flag and its short form, and what it does."""
        long = [option for option in action.option_strings if option.startswith("--")][:1]
        short = [option for option in action.option_strings if not option.startswith("--")]
        value = f" {action.metavar}" if action.metavar and action.nargs != 0 else ""
        term = ", ".join(f"``{option}{value}``" for option in [*long, *short])
        text = str(action.help or "").replace("%%", "%").replace("*", r"\*").replace("`", "'")
        text = text.replace("|", r"\|").replace("_ ", r"\_ ")
        return [term, f"    {text}"]


def setup(app: Any) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("flags", Flags)
    return {"parallel_read_safe": True}
