"""The command line. Heavy libraries are imported by the command that needs them: ``--help`` answers at once."""

from __future__ import annotations

import logging
import sys

from flows.environment import end_quickly
from flows.stopping import stoppable


def main() -> None:
    """Run the command line."""
    with stoppable():  # before anything else is imported: who presses Ctrl-C early wants a sentence too
        from data_contracts.private import privately
        from flows.commands import app
        from flows.commands.common import clear_errors, options_first
        from flows.commands.renamed import read_old_names

        logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
        end_quickly()
        sys.argv[1:], renamed = read_old_names(options_first(sys.argv[1:]))
        if renamed:
            sys.stderr.write(f"{renamed}\n")
        with privately(), clear_errors():
            app(prog_name="medkd")  # however it was started: what completes its command lines is found by this name


if __name__ == "__main__":
    main()
