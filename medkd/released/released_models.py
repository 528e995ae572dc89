"""Which trained models come with the software, and what each says of itself; read from the files that are shipped, without torch."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from data_contracts import ContractError, ModelCard, RegistryError, RegistryExport, Scorecard, VersionedRecord, read_record
from medkd.catalogue import did_you_mean
from medkd.registry.export_version import INDEX, PACKAGE
from medkd.yaml_text import YamlRefused, read_yaml

#: Folder of the exports, and the list that says of each what it must be.
EXPORTS = Path(__file__).with_name("exports")
LIST = Path(__file__).with_name("released.yaml")
#: Figures that a list of models shows, the first that a scorecard has.
_MAIN_FIGURES = ("dice", "auc")
_Kind = TypeVar("_Kind", bound=VersionedRecord)


@dataclass(frozen=True)
class ReleasedModel:
    """A student with its teacher, as they are shipped.

    Attributes:
        name: that it is installed by.
        path: of its export.
        index: sha256 of the export's index, which has the digest of every file.
        versions: names of the registered models that it becomes, the student last.
        card: of the student.
        scorecard: of the student, on patients that neither it nor its teacher was trained on.
        size: of the export in bytes.
        use: arguments of the medkd command that asks it, ``MODEL`` and ``RUN`` to be filled in.
        teacher: the released model that brings its teacher; None where it brings its own.
    """

    name: str
    path: Path
    index: str
    versions: tuple[str, ...]
    card: ModelCard
    scorecard: Scorecard
    size: int
    use: tuple[str, ...]
    teacher: ReleasedModel | None = None

    @property
    def main_figure(self) -> str:
        """Return the figure that the model is known by, with its interval and n."""
        name = next((name for name in _MAIN_FIGURES if name in self.scorecard.figures), None)
        if name is None:
            return "no figure"
        figure = self.scorecard.figures[name]
        return f"{name} {figure.mean:.3f} [{figure.low:.3f}, {figure.high:.3f}] on {figure.n} patients"


def released_models(names: Sequence[str] = (), *, listed: Path = LIST, exports: Path = EXPORTS) -> tuple[ReleasedModel, ...]:
    """Return released models by name, all of them without names.

    Args:
        names: of :attr:`ReleasedModel.name`.
        listed: the list.
        exports: folder of the exports.

    Raises:
        RegistryError: ``RELEASED_UNKNOWN`` with the names that there are, ``RELEASED_ALTERED`` naming a file that is missing or is not what the
            list says.
    """
    entries = _entries(listed)
    for name in names:
        if name not in entries:
            raise RegistryError(
                "RELEASED_UNKNOWN",
                f"expected one of the released models {sorted(entries)}, got {name!r}{did_you_mean(name, sorted(entries))}",
            )
    wanted = set(names or entries)
    read = wanted | {entries[name]["teacher"] for name in wanted if "teacher" in entries[name]}
    found: dict[str, ReleasedModel] = {}
    for name in (name for name in entries if name in read):  # a model that brings the teacher of another is listed before it
        entry = entries[name]
        found[name] = _read(name, exports / f"{name}.zip", entry, found.get(entry.get("teacher", "")))
    return tuple(one for name, one in found.items() if name in wanted)


def _entries(listed: Path) -> dict[str, dict[str, Any]]:
    try:
        found = read_yaml(listed)
    except YamlRefused as error:
        raise _altered(listed, str(error)) from error
    if not isinstance(found, dict):
        raise _altered(listed, f"it holds {type(found).__name__}")
    return found


def _read(name: str, path: Path, entry: dict[str, Any], teacher: ReleasedModel | None) -> ReleasedModel:
    try:
        with zipfile.ZipFile(path) as archive:
            payload = archive.read(INDEX)
            if hashlib.sha256(payload).hexdigest() != entry["index"]:
                raise _altered(path, f"its index is another one than {entry['index'][:12]}")
            index = read_record(payload, RegistryExport)
            card, scorecard = _record(archive, index, "card.json", ModelCard), _record(archive, index, "scorecard.json", Scorecard)
    except (zipfile.BadZipFile, OSError, KeyError, EOFError, ContractError) as error:
        raise _altered(path, " ".join(str(error).split())[:120]) from error
    versions = tuple(version.model.name for version in index.versions)
    return ReleasedModel(name, path, entry["index"], versions, card, scorecard, path.stat().st_size, tuple(entry["use"].split()), teacher)


def _record(archive: zipfile.ZipFile, index: RegistryExport, name: str, kind: type[_Kind]) -> _Kind:
    """Return a record of the version that was exported, which is the last, its bytes compared with the index."""
    place = f"{index.versions[-1].folder}/{PACKAGE}/{name}"
    payload = archive.read(place)
    if hashlib.sha256(payload).hexdigest() != index.files[place].sha256:
        raise _altered(Path(str(archive.filename)), f"{place} in it was altered")
    return read_record(payload, kind)


def _altered(path: Path, why: str) -> RegistryError:
    return RegistryError("RELEASED_ALTERED", f"expected {path.name} as it was released, {why}; install medkd again")
