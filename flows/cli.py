"""The command line. Heavy libraries are imported by the command that needs them: ``--help`` answers at once."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from typing import Any

from flows.environment import end_quickly
from flows.stopping import stoppable


def main() -> None:
    """Run the command line."""
    with stoppable():  # before anything else is imported: who presses Ctrl-C early wants a sentence too
        from data_contracts.private import privately
        from flows.commands.common import clear_errors, options_first
        from flows.commands.renamed import read_old_names

        logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
        end_quickly()
        sys.argv[1:], renamed = read_old_names(options_first(sys.argv[1:]))
        if renamed:
            sys.stderr.write(f"{renamed}\n")
        with privately(), clear_errors():
            _command()(prog_name="medkd")  # however it was started: what completes its command lines is found by this name


@functools.cache
def _command() -> Callable[..., Any]:
    """Return what typer makes of the signatures of all commands: once, however often a program calls the command line."""
    import typer

    from flows.commands import app

    return typer.main.get_command(app)


if __name__ == "__main__":
    main()
