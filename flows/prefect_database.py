"""The empty database of an embedded Prefect, kept from the first run of a machine for the next.

Prefect lays out the tables of a new database by running every migration it ever had: six seconds of every new run folder. The first
run keeps the database as it was before anything ran in it; a later one begins with that copy. The copy is of one version of Prefect,
and without it, or with one that cannot be read, everything goes as it would have gone.
"""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path

from data_contracts.private import private_folder
from flows.environment import has_own_home
from medkd.storage.empty_database import cache_folder, copy_empty_database

DATABASE = "prefect.db"
#: Empty in a database in which nothing has run.
_CONTENT = "flow_run"


def kept_database() -> Path:
    """Return where the empty database of the installed Prefect is kept: the user's cache folder."""
    return cache_folder() / f"prefect-{version('prefect')}.db"


def prepare_prefect(home: Path) -> Path:
    """Make the home of an embedded Prefect and return it; the user's own ``PREFECT_HOME`` wins."""
    private_folder(home)
    named = os.environ.get("PREFECT_HOME")
    if named is not None and not has_own_home():
        if named == str(home):
            begin_database(home)
        return Path(named)
    begin_database(home)
    return home


def begin_database(home: Path) -> bool:
    """Give a home without a database the kept empty one; True where it now has that."""
    if (home / DATABASE).exists():
        return False
    return copy_empty_database(kept_database(), home / DATABASE, _CONTENT)


def keep_database(home: Path) -> bool:
    """Keep a database in which nothing has run yet, where none is kept; True where it was kept."""
    return not kept_database().exists() and copy_empty_database(home / DATABASE, kept_database(), _CONTENT)
