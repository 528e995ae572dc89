"""``python -m medkd.results.ohif`` fetches OHIF's reader by npm."""

from __future__ import annotations

import sys

from data_contracts import MissingDependencyError
from medkd.results.ohif.reader import install

if __name__ == "__main__":
    try:
        sys.stdout.write(f"OHIF's reader is in {install()}\n")
    except MissingDependencyError as error:
        sys.exit(f"{error.code}: {error}")
