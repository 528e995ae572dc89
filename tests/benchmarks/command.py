"""What all benchmarks ask of a command line."""

from __future__ import annotations

import argparse


def asks_for_json(description: str | None) -> bool:
    """Return whether only the last line is wanted."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="only the last line")
    return bool(parser.parse_args().json)
