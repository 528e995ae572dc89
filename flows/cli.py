"""The command line. Heavy libraries are imported by the command that needs them: ``--help`` answers at once."""

from __future__ import annotations

import logging
import sys

# Each puts its commands on the application, and help lists them in this order.
# isort: off
from flows.commands import learning, data, explaining, listing  # noqa: F401

# isort: on
from flows.commands.common import app, clear_errors, options_first
from flows.environment import end_quickly
from flows.stopping import stoppable


def main() -> None:
    """Run the command line."""
    sys.argv[1:] = options_first(sys.argv[1:])
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
    end_quickly()
    with stoppable(), clear_errors():
        app()


if __name__ == "__main__":
    main()
