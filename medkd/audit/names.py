"""The names of artefacts that an audit asks about."""

from __future__ import annotations

from collections.abc import Sequence

from data_contracts import DataError
from medkd.audit.acquisition import SETTINGS
from medkd.audit.marks import MARKS
from medkd.catalogue import did_you_mean

#: What the pictures hold themselves: taken out, not put in.
REMOVAL = "burnt_in_removed"
#: Everything that can be asked about, in the order of the table.
ARTEFACTS = (*MARKS, *SETTINGS, REMOVAL)


def chosen_artefacts(names: Sequence[str]) -> tuple[str, ...]:
    """Return the artefacts that are asked about in the order of the table, all where none is named.

    Raises:
        DataError: ``ARTEFACT_UNKNOWN``.
    """
    for name in names:
        if name not in ARTEFACTS:
            near = did_you_mean(name, list(ARTEFACTS))
            raise DataError("ARTEFACT_UNKNOWN", f"expected an artefact among {', '.join(ARTEFACTS)}, got {name!r}{near}")
    return tuple(name for name in ARTEFACTS if name in names) or ARTEFACTS
