"""The folder is the catalogue: one entry is one file that holds one function (or module class) of the same name.

Nothing is registered by importing; :class:`Catalogue` looks into its package and into the entry points that third parties
declare (``medkd.losses``, ``medkd.explainers``, ``medkd.measures``, ``medkd.networks``). A name claimed twice is an error
that names both places.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import importlib
import inspect
import os
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, cast

from data_contracts import (
    CatalogueError,
    Entry,
    Explain,
    ExplanationRequest,
    FrozenModel,
    LossTerm,
    MapSpec,
    Network,
    NetworkSpec,
    PanelModel,
    TrainingSpec,
    current_entry,
)
from data_contracts.old_names import INCOMPATIBLE_REASON
from medkd.task_context import COMMON, TaskContext


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for a known name that is nearly this one, empty text where there is none."""
    near = difflib.get_close_matches(name[:80], list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


@dataclass(frozen=True)
class CatalogueEntry:
    """One entry: its function, its module, and the upper-case facts that its file declares."""

    name: str
    function: Callable[..., Any]
    module: ModuleType

    def fact(self, name: str, default: Any = None) -> Any:
        """Return a declared constant of the entry's file, for example ``NEEDS`` or ``HIGHER_IS_BETTER``."""
        return getattr(self.module, name, default)

    def options(self) -> dict[str, inspect.Parameter]:
        """Return the keyword-only options that a recipe may set, by name."""
        parameters = inspect.signature(self.function).parameters.values()
        return {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY}

    def source_digest(self) -> str:
        """Return the sha256 of the entry's source: part of a recipe's digest, so that a changed loss is a changed run."""
        return hashlib.sha256(inspect.getsource(self.module).encode()).hexdigest()

    def summary(self) -> str:
        """Return the first line of the function's docstring."""
        return (inspect.getdoc(self.function) or "").split("\n", 1)[0]

    def described(self) -> dict[str, Any]:
        """Return what ``medkd list --json`` prints of the entry."""
        facts = {key.lower(): _plain(value) for key, value in vars(self.module).items() if key.isupper() and not key.startswith("_")}
        options = {name: _plain(p.default) if p.default is not p.empty else "required" for name, p in self.options().items()}
        return {"name": self.name, "summary": self.summary(), "options": options, **facts, **self._incompatible()}

    def incompatible_reason(self, context: TaskContext, **options: Any) -> str | None:
        """Return why the entry cannot work in a context, one clause, or None; asked of the function of this name in its file."""
        reason = getattr(self.module, "incompatible_reason", getattr(self.module, INCOMPATIBLE_REASON, None))
        found: str | None = None if reason is None else reason(context, **options)
        return found

    def _incompatible(self) -> dict[str, dict[str, str]]:
        """Return in which contexts of :data:`COMMON` the entry cannot work, with its reasons."""
        found = {where: self.incompatible_reason(context) for where, context in COMMON.items()}
        reasons = {where: reason for where, reason in found.items() if reason}
        return {"incompatible": reasons} if reasons else {}


def option_errors(entry: CatalogueEntry, options: Mapping[str, Any]) -> Iterator[tuple[str, CatalogueError]]:
    """Yield the options that an entry does not have, and those that it lacks, each with what to say of it (``CATALOGUE_OPTION``)."""
    known = entry.options()
    wanted = f"expected options of {entry.name} among {sorted(known)}"
    for option in sorted(set(options) - set(known), key=str):
        yield option, CatalogueError("CATALOGUE_OPTION", f"{wanted}, got unknown option {option!r}{did_you_mean(str(option), known)}")
    for option in sorted(key for key, p in known.items() if p.default is p.empty and key not in options):
        yield option, CatalogueError("CATALOGUE_OPTION", f"{wanted}, got no value for the required option {option!r}")


class Catalogue:
    """The entries of one package.

    Args:
        kind: plural noun, also the entry-point group ``medkd.<kind>``.
        package: package whose public modules are the entries.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self.package = package

    def names(self) -> tuple[str, ...]:
        """Return the names of all entries, sorted."""
        return tuple(sorted({*self._local(), *self._foreign()}))

    def entry(self, name: str) -> CatalogueEntry:
        """Load one entry; an old name of one is read for this version.

        Raises:
            CatalogueError: ``CATALOGUE_UNKNOWN``, ``CATALOGUE_CLASH`` or ``CATALOGUE_MALFORMED``.
        """
        name = name if name in self._local() else current_entry(self.kind, name)
        local, foreign = name in self._local(), self._foreign().get(name)
        if local and foreign is not None:
            raise CatalogueError(
                "CATALOGUE_CLASH", f"expected one {self.kind} entry {name!r}, found {self.package}.{name} and {foreign.value}"
            )
        if not local and foreign is None:
            known = ", ".join(self.names())
            raise CatalogueError(
                "CATALOGUE_UNKNOWN", f"expected one of the {self.kind} [{known}], got {name!r}{did_you_mean(name, self.names())}"
            )
        module = importlib.import_module(f"{self.package}.{name}" if foreign is None else foreign.module)
        function = getattr(module, name, None)
        if not callable(function):
            raise CatalogueError("CATALOGUE_MALFORMED", f"expected {module.__name__} to define a callable {name!r}, it does not")
        return CatalogueEntry(name, function, module)

    def load(self, name: str) -> Callable[..., Any]:
        """Return the function of an entry."""
        return self.entry(name).function

    def bind(self, name: str, options: Mapping[str, Any]) -> Callable[..., Any]:
        """Return the entry with its options set; an unknown or missing option is a ``CATALOGUE_OPTION`` error."""
        entry = self.entry(name)
        for _, error in option_errors(entry, options):
            raise error
        if inspect.isclass(entry.function):
            return cast(Callable[..., Any], entry.function(**options))
        return partial(entry.function, **options)

    def _local(self) -> frozenset[str]:
        folders = tuple(importlib.import_module(self.package).__path__)
        return _public_modules(folders, tuple(os.stat(folder).st_mtime_ns for folder in folders))

    def _foreign(self) -> dict[str, EntryPoint]:
        found: dict[str, EntryPoint] = {}
        for point in declared_entry_points(f"medkd.{self.kind}"):
            if point.name in found:
                raise CatalogueError(
                    "CATALOGUE_CLASH", f"expected one {self.kind} entry {point.name!r}, found {found[point.name].value} and {point.value}"
                )
            found[point.name] = point
        return found


@functools.cache
def _public_modules(folders: tuple[str, ...], changed_ns: tuple[int, ...]) -> frozenset[str]:
    """Return the modules in these folders that begin with no underscore, listed anew when a folder has changed."""
    del changed_ns
    return frozenset(module.name for module in pkgutil.iter_modules(folders) if not module.name.startswith("_"))


@functools.cache
def declared_entry_points(group: str) -> tuple[EntryPoint, ...]:
    """Return what installed packages declare; read once, since it reads the metadata of every distribution."""
    return tuple(entry_points(group=group))


LOSSES = Catalogue("losses", "medkd.distillation")
EXPLAINERS = Catalogue("explainers", "medkd.attribution")
MEASURES = Catalogue("measures", "medkd.measures")
NETWORKS = Catalogue("networks", "medkd.models")
CATALOGUES = {catalogue.kind: catalogue for catalogue in (LOSSES, EXPLAINERS, MEASURES, NETWORKS)}


def entries_named_in(value: Any) -> dict[str, CatalogueEntry]:
    """Return every catalogue entry that a record names, or a tuple or dict of records, however deep, by ``CATALOGUE/NAME``."""
    found: dict[str, CatalogueEntry] = {}
    for catalogue, name in _named_in(value):
        found[f"{catalogue.kind}/{name}"] = catalogue.entry(name)
    return dict(sorted(found.items()))


def explainer_of(term: LossTerm) -> str:
    """Return the explainer that a term asks: its option, or the one that its file names."""
    return str(term.options.get("explainer", LOSSES.entry(term.loss).fact("EXPLAINER", "cam")))


def _named_in(value: Any) -> Iterator[tuple[Catalogue, str]]:
    if isinstance(value, LossTerm):
        yield LOSSES, value.loss
        if "explainer" in LOSSES.entry(value.loss).fact("NEEDS", frozenset()):
            yield EXPLAINERS, explainer_of(value)
    elif isinstance(value, Network | NetworkSpec):
        yield NETWORKS, value.builder
    elif isinstance(value, MapSpec):
        yield EXPLAINERS, value.explainer
    elif isinstance(value, Explain):
        yield from ((EXPLAINERS, one.name) for one in value.explainers)
        yield from ((MEASURES, one.name) for one in value.measures)
    elif isinstance(value, ExplanationRequest):
        yield from ((EXPLAINERS, one.name) for one in value.explainers)
    elif isinstance(value, PanelModel):
        yield from ((EXPLAINERS, one.name) for one in value.explainers)
        yield from _named_in(tuple(part for field, part in value if field != "explainers"))
    elif isinstance(value, Entry):
        raise TypeError(f"expected an entry inside of what says which catalogue it is of, got {value.name} alone")
    elif isinstance(value, FrozenModel):
        if isinstance(value, TrainingSpec) and value.selection is not None:
            yield MEASURES, value.selection
        for name in type(value).model_fields:
            yield from _named_in(getattr(value, name))
    elif isinstance(value, dict):
        for item in value.values():
            yield from _named_in(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _named_in(item)


def _plain(value: Any) -> Any:
    """Return a JSON-friendly form of a declared fact."""
    if isinstance(value, frozenset | set):
        return sorted(str(item) for item in value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | type(None)) else str(value)
