"""What a command does around its recipe, and a caller in Python does not need. Free of torch."""

from __future__ import annotations

from collections.abc import Sequence

from plainbert.cli.settings import Flags
from plainbert.recipes.shared.console import log_to_console
from plainbert.recipes.shared.settings import ProcessFlags


def begin(settings: Flags, recipe: str, argv: Sequence[str] | None = None) -> None:
    """Start the ranks that the flags ask for, and show the log.

    Args:
        settings: of the recipe.
        recipe: its name.
        argv: the words of the command line; ``sys.argv[1:]`` when None.

    Raises:
        SystemExit: the ranks that this process started have ended.
    """
    if isinstance(settings, ProcessFlags) and settings.local_ranks > 1:
        from plainbert.recipes.shared.ranks import start_ranks

        start_ranks(settings, recipe, argv)
    log_to_console()
