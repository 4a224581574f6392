"""What a command does around its recipe, and a caller in Python does not need. Free of torch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from plainbert.cli.settings import Flags
from plainbert.recipes.shared.console import end_console, log_to_console, printing_any_text
from plainbert.recipes.shared.settings import ProcessFlags


@contextlib.contextmanager
def shown(settings: Flags, recipe: str, argv: Sequence[str] | None = None) -> Iterator[None]:
    """Start the ranks that the flags ask for, and show the log of the block on the console.

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
    with printing_any_text():
        yield
    end_console()  # not after an error: that is still to be explained there
