"""What a search of the registry found, as a table of a hundred columns."""

from __future__ import annotations

from flows.tables import number, table
from medkd.registry.interface import ListedVersion
from medkd.registry.search_models import FoundModels, failed_explainers

#: Most characters of the name of a version, and of any other cell: what is left out is said by a sign.
_WIDEST_NAME, _WIDEST = 44, 30


def search_text(found: FoundModels) -> str:
    """Return the versions that were found with role, aliases, teacher, failed explainers and the figures that were asked about."""
    said = f"{len(found.versions)} of {found.searched} registered versions"
    if not found.versions:
        return said
    cells = {
        "role": [one.model.role.value for one in found.versions],
        "alias": [clipped(", ".join(one.aliases)) for one in found.versions],
        "teacher": [clipped(_teacher(one)) for one in found.versions],
        "failed explainers": [clipped(", ".join(failed_explainers(one))) for one in found.versions],
        **{clipped(name): [_figure(one, name) for one in found.versions] for name in found.metrics},
    }
    names = [clipped(one.model.uri.removeprefix("models:/"), _WIDEST_NAME) for one in found.versions]
    return f"{table('version', names, {head: column for head, column in cells.items() if any(column)})}\n\n{said}"


def _teacher(version: ListedVersion) -> str:
    return "" if version.model.teacher is None else f"{version.model.teacher.name}/{version.model.teacher.version}"


def _figure(version: ListedVersion, name: str) -> str:
    return number(version.metrics[name]) if name in version.metrics else ""


def clipped(text: str, width: int = _WIDEST) -> str:
    """Return a text of at most ``width`` characters, its end kept: the number of a version stands there.

    >>> clipped("models:/a-very-long-name/12", 12)
    '…ong-name/12'
    """
    return text if len(text) <= width else f"…{text[len(text) - width + 1 :]}"
