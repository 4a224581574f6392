"""What a command does around its recipe, and a caller in Python does not need. Free of torch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from plainbert.cli.settings import Flags
from plainbert.recipes.shared.console import (
    end_console,
    end_log_file,
    log_to_console,
    printing_any_text,
)
from plainbert.recipes.shared.settings import ProcessFlags

Settings = TypeVar("Settings", bound=Flags)
Results = TypeVar("Results")


def carry_out(
    recipe: str,
    argv: Sequence[str] | None,
    parse_args: Callable[[Sequence[str] | None], Settings],
    run: Callable[[Settings], Results],
    report: Callable[[Results], None],
) -> Results:
    """What most commands do: parse, run, report.

    Args:
        recipe: its name.
        argv: the words of the command line; ``sys.argv[1:]`` when None.
        parse_args: from those words to the recipe's settings.
        run: from the settings to the results.
        report: prints the results.

    Raises:
        PlainBertError: a file, a model or a package that the flags name is not there.
        SystemExit: the flags are wrong, or the ranks that this process started have ended.
    """
    settings = parse_args(argv)
    with shown(settings, recipe, argv):
        results = run(settings)
        report(results)
    return results


@contextlib.contextmanager
def shown(settings: Flags, recipe: str, argv: Sequence[str] | None = None) -> Iterator[None]:
    """Start the ranks that the flags ask for, and show the log of the block on the console.

    Args:
        settings: of the recipe.
        recipe: its name.
        argv: the words of the command line; ``sys.argv[1:]`` when None.

    Raises:
        PlainBertError: a file, a model or a package that the settings name is not there.
        SystemExit: the ranks that this process started have ended.
    """
    from plainbert.recipes.shared import before

    before.check(settings)
    if isinstance(settings, ProcessFlags) and settings.local_ranks > 1:
        from plainbert.recipes.shared.ranks import start_ranks

        start_ranks(settings, recipe, argv)
    log_to_console()
    with printing_any_text():
        yield
    end_console()  # not after an error: that is still to be explained there, and noted in log.txt
    end_log_file()
