"""A double of a registry, in memory. It passes the same tests as MLflow's."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from data_contracts import Lineage, ModelRef
from medkd.registry.interface import ListedVersion, LoggedRun, Publication, VersionContents, parse_uri, unknown_version
from medkd.registry.promotion_lock import RequireHeld
from medkd.registry.recipe_run import RecipeRun
from medkd.storage.manifest import MANIFEST, verify_folder
from medkd.storage.store import sha256_file


class MemoryRegistry:
    """Versions as references to folders that stay where they are."""

    def __init__(self) -> None:
        self._versions: dict[str, list[tuple[ModelRef, Path]]] = {}
        self.artefacts: dict[str, dict[str, Path]] = {}
        self.version_tags: dict[str, dict[str, str]] = {}
        self._aliases: dict[str, dict[str, int]] = {}
        self._beside: dict[str, dict[str, bytes]] = {}
        self._metrics: dict[str, dict[str, float]] = {}
        self._name_tags: dict[str, dict[str, str]] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._scratch = Path(tempfile.mkdtemp(prefix="medkd-memory-"))
        weakref.finalize(self, shutil.rmtree, self._scratch, ignore_errors=True)
        self.experiments: dict[str, tuple[LoggedRun, tuple[LoggedRun, ...]]] = {}
        self.recipes: dict[str, tuple[LoggedRun, str]] = {}

    def register(self, publication: Publication) -> ModelRef:
        """Register a package; the same manifest gives the version that exists."""
        digest = sha256_file(publication.folder / MANIFEST)
        verify_folder(publication.folder, digest)
        versions = self._versions.setdefault(publication.name, [])
        for existing, _ in versions:
            if existing.manifest_digest == digest:
                return existing
        model = ModelRef(
            name=publication.name,
            version=len(versions) + 1,
            manifest_digest=digest,
            role=publication.role,
            weights_digest=publication.weights_digest,
            teacher=Lineage.model_validate(publication.tags["medkd.teacher"]) if "medkd.teacher" in publication.tags else None,
        )
        versions.append((model, publication.folder))
        self.version_tags[model.uri] = dict(publication.tags)
        self._metrics[model.uri] = dict(publication.metrics)
        return model

    def fetch(self, uri: str) -> tuple[ModelRef, Path]:
        """Return a version and its verified folder."""
        name, version, alias = parse_uri(uri)
        versions = self._versions.get(name, [])
        version = self._aliases.get(name, {}).get(alias, 0) if version is None else version
        if not 1 <= version <= len(versions):
            raise unknown_version(uri, {name: [one.version for one, _ in own] for name, own in self._versions.items()})
        model, folder = versions[version - 1]
        verify_folder(folder, model.manifest_digest)
        return model, folder

    def versions(self, name: str) -> tuple[ModelRef, ...]:
        """Return all versions of a name, oldest first."""
        return tuple(model for model, _ in self._versions.get(name, []))

    def end_orphans(self) -> tuple[str, ...]:
        """Return nothing: no run is made here."""
        return ()

    def names(self) -> tuple[str, ...]:
        """Return the registered names, in order."""
        return tuple(sorted(self._versions))

    def listed(self) -> tuple[ListedVersion, ...]:
        """Return every version with its tags, figures and aliases, by name and number."""
        return tuple(
            ListedVersion(model, self.tags(model), self.metrics(model), self._aliases_at(model))
            for name in self.names()
            for model in self.versions(name)
        )

    def _aliases_at(self, model: ModelRef) -> tuple[str, ...]:
        return tuple(alias for alias, version in self.aliases(model.name).items() if version == model.version)

    def aliases(self, name: str) -> dict[str, int]:
        """Return the version that each alias of a name stands at."""
        return dict(sorted(self._aliases.get(name, {}).items()))

    def set_alias(self, name: str, alias: str, version: int | None) -> None:
        """Let an alias stand at a version, or at none."""
        self._aliases.setdefault(name, {})[alias] = version
        if version is None:
            del self._aliases[name][alias]

    def attach(self, model: ModelRef, files: Mapping[str, Path | Sequence[Path]], tags: Mapping[str, str]) -> None:
        """Remember artefacts and tags of a version."""
        self.artefacts.setdefault(model.uri, {}).update(files)
        each = [(place, path) for place, given in files.items() for path in ([given] if isinstance(given, Path) else given)]
        self._beside.setdefault(model.uri, {}).update({f"{place}/{path.name}": path.read_bytes() for place, path in each})
        self.version_tags.setdefault(model.uri, {}).update(tags)

    def tags(self, model: ModelRef) -> dict[str, str]:
        """Return the tags of a version."""
        return dict(self.version_tags.get(model.uri, {}))

    def metrics(self, model: ModelRef) -> dict[str, float]:
        """Return the figures that were registered with a version."""
        return dict(self._metrics.get(model.uri, {}))

    def name_tags(self, name: str) -> dict[str, str]:
        """Return the tags of a name."""
        return dict(self._name_tags.get(name, {}))

    def set_name_tag(self, name: str, key: str, value: str | None) -> None:
        """Set a tag of a name, or remove it."""
        if value is None:
            self._name_tags.get(name, {}).pop(key, None)
        else:
            self._name_tags.setdefault(name, {})[key] = value

    @contextlib.contextmanager
    def promotion_lock(self, name: str) -> Iterator[RequireHeld]:
        """Be the only one who moves aliases of a name, among threads."""
        with self._locks.setdefault(name, threading.Lock()):
            yield lambda: None

    def finish_recipe(self, run: RecipeRun, summary: LoggedRun, note: str) -> None:
        """Remember the figures of a recipe's run."""
        self.recipes[run.key] = (summary, note)

    def contents(self, uri: str) -> VersionContents:
        """Return what stands beside a version: tags, and places of what was attached."""
        model, _ = self.fetch(uri)
        return VersionContents(model=model, tags=self.tags(model), attached=dict.fromkeys(self._beside.get(model.uri, {}), ""))

    def fetch_attached(self, uri: str, place: str) -> Path | None:
        """Return a copy of an artefact beside a version; None where there is none."""
        model, _ = self.fetch(uri)
        payload = self._beside.get(model.uri, {}).get(place)
        if payload is None:
            return None
        copy = self._scratch / f"{model.name}-{model.version}" / place
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(payload)
        return copy

    def log_experiment(self, digest: str, parent: LoggedRun, arms: Sequence[LoggedRun]) -> None:
        """Remember an experiment and its arms."""
        self.experiments.setdefault(digest, (parent, tuple(arms)))
