"""What the rest of medkd asks of a registry, and the package that a version consists of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from data_contracts import ModelRef, RegistryError, Role
from medkd.registry.promotion_lock import RequireHeld
from medkd.registry.recipe_run import RecipeRun, TrackedTraining
from medkd.serving.form import NETWORK, PackedForm

#: Folder of a fetched version's serving form, beside that of its own files.
SERVING_FOLDER = "serving"
#: File of every version that says whose data it was trained on.
TRAINING_MANIFEST = "training_manifest.json"
#: Tag of a student: the registered knowledge that it learned from, ``NAME/VERSION@DIGEST``, or :data:`NO_KNOWLEDGE` where its teacher was
#: live. Versions from before it was written lack it.
KNOWLEDGE_TAG, NO_KNOWLEDGE = "medkd.knowledge_version", "none"
#: Tag of a student of several teachers: all but the first, ``NAME/VERSION@DIGEST``, with spaces between them, in the order of its arm.
FURTHER_TEACHERS_TAG = "medkd.further_teachers"
#: Tag of a student that saw no case: ``synthesised`` or ``noise``.
CASES_TAG = "medkd.cases"


@dataclass(frozen=True)
class Publication:
    """A packed model and what is said of it.

    Attributes:
        name: registered model name.
        folder: files of the version, ``manifest.json`` included.
        tags: lineage tags (digests, teacher, role).
        role: what it is.
        weights_digest: sha256 of what makes it what it is: weights, or the question that knowledge answers.
        seed: of the training.
        params: parameters of the run.
        metrics: final figures.
        history: journal lines of training, each with ``epoch``.
        measured_at: when the figures were made, seconds since 1970; None of what is not repeated.
        training: the run that it belongs to; None gives it a run of its own.
        experiment: where such a run of its own is shown.
        description: what a person should know, Markdown.
        form: makes the serving form; None of what answers nothing (knowledge). Called for versions only that are not there yet.
    """

    name: str
    folder: Path
    role: Role
    weights_digest: str
    seed: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    history: tuple[Mapping[str, float], ...] = ()
    measured_at: float | None = None
    training: TrackedTraining | None = None
    experiment: str = "medkd"
    description: str = ""
    form: Callable[[], PackedForm] | None = None


@dataclass(frozen=True)
class LoggedRun:
    """A run to be shown in a tracking server: one arm of an experiment, or the experiment itself with its files.

    Attributes:
        name: of the run.
        metrics: final figures.
        params: short texts.
        history: lines with ``epoch``, drawn as curves.
        files: what is kept beside it.
    """

    name: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    history: tuple[Mapping[str, float], ...] = ()
    files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class VersionContents:
    """What stands beside the files of a version.

    Attributes:
        model: the version.
        tags: lineage, digests, what was explained and reported.
        description: Markdown.
        params: of its run.
        metrics: final figures.
        history: curves, a line per epoch, each with ``epoch``.
        attached: sha256 of what was attached by its place (``explanations/…``); empty of what was attached before digests were kept.
        created_ms: when it was registered, milliseconds since 1970.
    """

    model: ModelRef
    tags: Mapping[str, str]
    description: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    history: tuple[Mapping[str, float], ...] = ()
    attached: Mapping[str, str] = field(default_factory=dict)
    created_ms: int = 0


@dataclass(frozen=True)
class ListedVersion:
    """A version as a list of all of them has it, without its files.

    Attributes:
        model: the version.
        tags: lineage, digests, what was explained and promoted.
        metrics: final figures.
        aliases: that stand at it.
        created_ms: when it was registered, milliseconds since 1970.
    """

    model: ModelRef
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    created_ms: int = 0


class Registry(Protocol):
    """Versions in, verified versions out. Registering the same manifest twice gives the version that exists."""

    def end_orphans(self) -> tuple[str, ...]:
        """End the runs whose process is gone from this machine, and return their names."""
        ...

    def register(self, publication: Publication) -> ModelRef:
        """Register a package and return its version; the same manifest is never registered twice."""
        ...

    def fetch(self, uri: str) -> tuple[ModelRef, Path]:
        """Return a version by ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS`` and the folder of its files, every byte verified."""
        ...

    def aliases(self, name: str) -> dict[str, int]:
        """Return the version that each alias of a name stands at."""
        ...

    def set_alias(self, name: str, alias: str, version: int | None) -> None:
        """Let an alias stand at a version, or at none."""
        ...

    def versions(self, name: str) -> tuple[ModelRef, ...]:
        """Return all versions of a name, oldest first; none of a name that is not registered."""
        ...

    def names(self) -> tuple[str, ...]:
        """Return the registered names, in order."""
        ...

    def listed(self) -> tuple[ListedVersion, ...]:
        """Return every version with its tags, figures and aliases, by name and number; those that others registered are left out."""
        ...

    def attach(self, model: ModelRef, files: Mapping[str, Path | Sequence[Path]], tags: Mapping[str, str]) -> None:
        """Add artefacts (explanations, reports) beside a version, one or several files to each folder, then set tags on it."""
        ...

    def finish_recipe(self, run: RecipeRun, summary: LoggedRun, note: str) -> None:
        """Show figures and files of all arms of a recipe in its run, and a note (Markdown) beside it; the run is over then."""
        ...

    def contents(self, uri: str) -> VersionContents:
        """Return what stands beside the files of a version: tags, text, figures, and what was attached."""
        ...

    def fetch_attached(self, uri: str, place: str) -> Path | None:
        """Return a copy of an attached file as it lies there, not verified; None where it is gone."""
        ...

    def tags(self, model: ModelRef) -> dict[str, str]:
        """Return the tags of a version."""
        ...

    def metrics(self, model: ModelRef) -> dict[str, float]:
        """Return the final figures that were registered with a version, those of its serving form (``parity_logits``, …) among them."""
        ...

    def name_tags(self, name: str) -> dict[str, str]:
        """Return the tags of a name; none of a name that is not registered."""
        ...

    def set_name_tag(self, name: str, key: str, value: str | None) -> None:
        """Set a tag of a name, or remove it."""
        ...

    def promotion_lock(self, name: str) -> AbstractContextManager[RequireHeld]:
        """Be the only one who moves aliases of a name; what is yielded raises where that is no longer so."""
        ...

    def log_experiment(self, digest: str, parent: LoggedRun, arms: Sequence[LoggedRun]) -> None:
        """Show an experiment as a run with a run below it per arm; the same digest is shown once."""
        ...


def serving_network(folder: Path) -> Path | None:
    """Return the ONNX file of a fetched version, by the folder of its own files; None of a version without a serving form."""
    path = folder.with_name(SERVING_FOLDER) / NETWORK
    return path if path.is_file() else None


def resolve(registry: Registry, uri: str) -> ModelRef:
    """Return the version that a URI names at this moment, without its files: an alias may move while a long task goes on.

    Raises:
        RegistryError: ``MODEL_URI`` or ``VERSION_UNKNOWN``.
    """
    asked = parse_uri(uri)
    version = asked.version if asked.alias is None else _aliases_or_none(registry, asked.name).get(asked.alias)
    known = {one.version: one for one in registry.versions(asked.name)}
    if version not in known:
        raise unknown_version(uri, {name: [one.version for one in registry.versions(name)] for name in registry.names()})
    return known[version]


def _aliases_or_none(registry: Registry, name: str) -> dict[str, int]:
    return registry.aliases(name) if name in registry.names() else {}


def unknown_version(uri: str, known: Mapping[str, Sequence[int]]) -> RegistryError:
    """Return the error of a version that does not exist; it lists those that there are (``known``: name → versions)."""
    name = parse_uri(uri).name
    if known.get(name):
        there = f"{name} has the versions {', '.join(map(str, sorted(known[name])))}"
    else:
        held = [f"{other} ({', '.join(map(str, sorted(numbers)))})" for other, numbers in sorted(known.items()) if numbers]
        more = f" and {len(held) - 20} more names" if len(held) > 20 else ""
        there = f"no {name} is; there are {', '.join(held[:20])}{more}" if held else "none is registered here"
    return RegistryError("VERSION_UNKNOWN", f"expected a registered version, {uri} does not exist in this registry: {there}")


class ModelUri(NamedTuple):
    """What a model URI names: a version by its number, or by an alias (``champion``), which moves."""

    name: str
    version: int | None
    alias: str | None


def parse_uri(uri: str) -> ModelUri:
    """Return what ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS`` names.

    Raises:
        RegistryError: ``MODEL_URI``.
    """
    path = uri.removeprefix("models:/")
    if uri.startswith("models:/"):
        name, at, alias = path.rpartition("@")
        if at and name and alias and "/" not in alias:
            return ModelUri(name, None, alias)
        name, _, version = path.rpartition("/")
        if name and version.isascii() and version.isdecimal() and len(version) < 10:
            return ModelUri(name, int(version), None)
    raise RegistryError("MODEL_URI", f"expected a model URI models:/NAME/VERSION or models:/NAME@ALIAS, got {uri!r}")
