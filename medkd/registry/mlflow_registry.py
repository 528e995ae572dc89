"""The MLflow registry."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from data_contracts import ModelRef, RegistryError
from data_contracts.private import privately
from medkd.registry.interface import ListedVersion, LoggedRun, Publication, VersionContents, parse_uri, unknown_version
from medkd.registry.promotion_lock import RequireHeld, file_lock, tag_lock
from medkd.registry.recipe_run import RecipeRun
from medkd.registry.server import require_server, shown
from medkd.storage.manifest import verify_folder

# Set before mlflow is imported: no telemetry, no pickle, no job runner; a dead server is an error within seconds.
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
for _noisy in ("alembic", "mlflow.store.db.utils", "mlflow.store.model_registry.abstract_store", "mlflow.tracking.fluent"):
    logging.getLogger(_noisy).setLevel(logging.WARNING)

from mlflow.artifacts import download_artifacts  # noqa: E402
from mlflow.entities.model_registry import ModelVersion  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.store.artifact.artifact_repo import ArtifactRepository  # noqa: E402
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository  # noqa: E402
from mlflow.tracking import MlflowClient  # noqa: E402

from medkd.registry.mlflow_contents import digest_tags, read_contents  # noqa: E402
from medkd.registry.mlflow_database import at_its_place, laid_out_alone, unreadable  # noqa: E402
from medkd.registry.mlflow_listing import aliases_by_version, all_versions, figures_by_model, figures_of, plain_tags  # noqa: E402
from medkd.registry.mlflow_model import MODEL_TAG, PACKAGE, SERVING, verify_mlflow_files  # noqa: E402
from medkd.registry.mlflow_purge import MlflowHousekeeping  # noqa: E402
from medkd.registry.mlflow_registration import DIGEST_TAG, FILES_TAG, SERVING_TAG, MlflowRegistration, model_ref  # noqa: E402
from medkd.registry.mlflow_runs import MlflowRuns, reached  # noqa: E402

#: Where a version's files lay in its run before versions were MLflow models.
_RUN_PATH = "model"
#: Lease of whoever moves aliases, on the registered model.
_LOCK_TAG = "medkd.promotion_lock"


class MlflowRegistry:
    """Registered models of one tracking URI, and the runs that they come from (:class:`MlflowRuns`), artefacts at absolute places.

    A local database and its artefacts are their owner's only; who may read those of a server is the server's business. A local registry
    whose folder was renamed, copied or mounted elsewhere is put right before anything else; one that cannot be written to is read all the same.

    Args:
        tracking_uri: ``sqlite:////absolute/path`` or the URL of a server.
        artifacts: folder for artefacts of new experiments when the URI is a local database.
        experiment: of runs that belong to no recipe.

    Attributes:
        runs: experiments and runs of the same URI.

    Raises:
        RegistryError: ``REGISTRY_UNREACHABLE`` when no server answers within seconds, ``REGISTRY_UNREADABLE`` when what the URI
            names is no registry.
    """

    @privately()
    def __init__(self, tracking_uri: str, *, artifacts: Path, experiment: str = "medkd") -> None:
        require_server(tracking_uri)
        self._scoreboards, self.uri = experiment, tracking_uri
        self._read_only: Path | None = None
        self._local = artifacts.resolve() if tracking_uri.startswith("sqlite") else None
        self._downloads = Path(tempfile.mkdtemp(prefix="medkd-"))
        weakref.finalize(self, shutil.rmtree, self._downloads, ignore_errors=True)
        try:
            with laid_out_alone(tracking_uri):
                tracking_uri, self._read_only = at_its_place(tracking_uri, self._downloads)
                self._client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
                self.runs = MlflowRuns(self._client, self._local.as_uri() if self._local is not None else None)
                self._client.search_experiments(max_results=1)  # says whether it is a registry at all
        except Exception as error:  # MLflow, its database layer and drivers each have errors of their own
            raise unreadable(tracking_uri, error) from error

    def _require_writable(self) -> None:
        """Refuse a change of a registry that is read from a copy: it would be lost.

        Raises:
            RegistryError: ``REGISTRY_READ_ONLY``.
        """
        if self._read_only is not None:
            raise RegistryError(
                "REGISTRY_READ_ONLY",
                f"expected a registry that can be written to, {self._read_only} cannot; copy its folder and name the copy",
            )

    @privately()
    @reached
    def register(self, publication: Publication) -> ModelRef:
        """Register a version; the same manifest gives the version that exists.

        Raises:
            RegistryError: ``REGISTRY_READ_ONLY``, or as :meth:`medkd.registry.mlflow_registration.MlflowRegistration.register`.
        """
        self._require_writable()
        return MlflowRegistration(self._client, self.runs).register(publication)

    @privately()
    @reached
    def fetch(self, uri: str) -> tuple[ModelRef, Path]:
        """Download a version and verify every byte against the digests in its tags. The copy lives as long as this object.

        Raises:
            RegistryError: ``MODEL_URI``, ``VERSION_UNKNOWN`` or ``VERSION_ALTERED``.
        """
        version = self._version(uri)
        reference = model_ref(version.name, int(version.version), version.tags)
        copy = self._downloads / f"{version.name}-{version.version}"
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        listed = json.loads(version.tags.get(FILES_TAG, "{}"))
        try:
            if MODEL_TAG in version.tags:
                wanted = [PACKAGE, *([SERVING] if SERVING_TAG in version.tags else []), *listed]
                for place in wanted:
                    self._download(version.tags[MODEL_TAG], place, copy / place)
                folder = copy / PACKAGE
            else:  # registered before versions were MLflow models
                folder = Path(self._artefacts_of(version).download_artifacts(_RUN_PATH, dst_path=str(copy)))
        except Exception as error:  # whatever the artefacts' storage says of files that are gone
            why = " ".join(str(error).split())[:160]
            raise RegistryError(
                "VERSION_ALTERED", f"expected the files of {uri}, they cannot be fetched: {why}; register it again"
            ) from error
        verify_folder(folder, version.tags.get(DIGEST_TAG, ""))
        if SERVING_TAG in version.tags:
            verify_folder(copy / SERVING, version.tags[SERVING_TAG])
        verify_mlflow_files(copy, listed)
        return reference, folder

    def _download(self, model_id: str, place: str, target: Path) -> None:
        location = self._client.get_logged_model(model_id).artifact_location
        target.parent.mkdir(parents=True, exist_ok=True)
        download_artifacts(artifact_uri=f"{location}/{place}", dst_path=str(target.parent), tracking_uri=self._client.tracking_uri)

    def _version(self, uri: str) -> ModelVersion:
        """Return the version that a URI names.

        Raises:
            RegistryError: ``MODEL_URI`` or ``VERSION_UNKNOWN``.
        """
        asked = parse_uri(uri)
        try:
            if asked.alias is not None:
                return self._client.get_model_version_by_alias(asked.name, asked.alias)
            return self._client.get_model_version(asked.name, str(asked.version))
        except MlflowException as error:
            raise unknown_version(uri, self._known()) from error

    def _versions_of(self, name: str) -> list[ModelVersion]:
        """Return every version of a name: MLflow gives them page by page."""
        quoted = name.replace("'", "''")
        found, token = [], None
        while True:
            page = self._client.search_model_versions(f"name = '{quoted}'", max_results=1000, page_token=token)
            found += list(page)
            token = page.token
            if not token:
                return found

    @privately()
    @reached
    def aliases(self, name: str) -> dict[str, int]:
        """Return the version that each alias of a name stands at."""
        try:
            # Asked of the model: what a search of versions gives has no aliases (MLflow 16734).
            return {alias: int(version) for alias, version in sorted(self._client.get_registered_model(name).aliases.items())}
        except MlflowException as error:
            raise unknown_version(f"models:/{name}/1", self._known()) from error

    @privately()
    @reached
    def set_alias(self, name: str, alias: str, version: int | None) -> None:
        """Let an alias stand at a version, or at none."""
        self._require_writable()
        if version is None:
            self._client.delete_registered_model_alias(name, alias)
        else:
            self._client.set_registered_model_alias(name, alias, str(version))

    @privately()
    @reached
    def versions(self, name: str) -> tuple[ModelRef, ...]:
        """Return all versions of a name, oldest first."""
        known = self._versions_of(name)
        return tuple(sorted((model_ref(name, int(one.version), one.tags) for one in known), key=lambda one: one.version))

    @privately()
    @reached
    def listed(self) -> tuple[ListedVersion, ...]:
        """Return every version with its tags, figures and aliases, by name and number; those that others registered are left out."""
        found = [one for one in all_versions(self._client) if DIGEST_TAG in one.tags]
        aliases, figures = aliases_by_version(self._client, {one.name for one in found}), figures_by_model(self._client)
        listed = (
            ListedVersion(
                model=model_ref(one.name, int(one.version), one.tags),
                tags=plain_tags(one),
                metrics=figures_of(self._client, one, figures),
                aliases=aliases.get((one.name, int(one.version)), ()),
                created_ms=int(one.creation_timestamp or 0),
            )
            for one in found
        )
        return tuple(sorted(listed, key=lambda one: (one.model.name, one.model.version)))

    def _known(self) -> dict[str, list[int]]:
        """Return the versions of every name, also of those that others registered."""
        known: dict[str, list[int]] = {name: [] for name in self.names()}
        for name, numbers in known.items():
            try:
                numbers += sorted(int(one.version) for one in self._versions_of(name))
            except MlflowException:
                continue
        return known

    @privately()
    def end_orphans(self) -> tuple[str, ...]:
        """End the runs whose process is gone from this machine, and return their names."""
        return self.runs.end_orphans()

    @reached
    def names(self) -> tuple[str, ...]:
        """Return the registered names, in order."""
        found, token = [], None
        while True:
            page = self._client.search_registered_models(page_token=token)
            found += [str(model.name) for model in page]
            token = page.token
            if not token:
                return tuple(sorted(found))

    @privately()
    @reached
    def attach(self, model: ModelRef, files: Mapping[str, Path | Sequence[Path]], tags: Mapping[str, str]) -> None:
        """Log artefacts beside a version, one or several to each folder, then set tags on the version: their digests first."""
        self._require_writable()
        version = self._client.get_model_version(model.name, str(model.version))
        each = {place: (given,) if isinstance(given, Path) else tuple(given) for place, given in files.items()}
        if any(each.values()):
            artefacts = self._artefacts_of(version)
            for place, path in ((place, path) for place, paths in each.items() for path in paths):
                artefacts.log_artifact(str(path), place)
        for key, value in {**digest_tags(version.tags, each), **tags}.items():
            self._client.set_model_version_tag(model.name, str(model.version), key, value)
        if tags and MODEL_TAG in version.tags:
            self._client.set_logged_model_tags(version.tags[MODEL_TAG], dict(tags))

    @privately()
    @reached
    def finish_recipe(self, run: RecipeRun, summary: LoggedRun, note: str) -> None:
        """Show figures and files of all arms of a recipe in its run, and a note beside it; the run is over then."""
        self._require_writable()
        self.runs.finish_recipe(run, summary, note)

    @privately()
    @reached
    def contents(self, uri: str) -> VersionContents:
        """Return what stands beside the files of a version: tags, text, figures, and what was attached."""
        version = self._version(uri)
        model, listed = model_ref(version.name, int(version.version), version.tags), json.loads(version.tags.get(FILES_TAG, "{}"))
        return read_contents(self._client, version, self._artefacts_of(version), model, listed)

    @privately()
    def fetch_attached(self, uri: str, place: str) -> Path | None:
        """Return a copy of an attached file as it lies there, not verified; None where it is gone. It lives as long as this object."""
        version = self._version(uri)
        folder = self._downloads / f"{version.name}-{version.version}-attached"
        folder.mkdir(exist_ok=True)
        try:
            return Path(self._artefacts_of(version).download_artifacts(place, dst_path=str(folder)))
        except (MlflowException, OSError):
            return None

    def housekeeping(self) -> MlflowHousekeeping:
        """Return what removes versions for good, and what was left behind.

        Raises:
            RegistryError: ``REGISTRY_READ_ONLY``, or ``REGISTRY_NOT_LOCAL``: what a server holds is its owner's to remove.
        """
        self._require_writable()
        if self._local is None:
            raise RegistryError(
                "REGISTRY_NOT_LOCAL",
                f"expected a registry of a run's own folder, got the server {shown(self.uri)}; clean up where its artefacts lie",
            )
        own = [one.experiment_id for one in self._client.search_experiments() if one.artifact_location == self._local.as_uri()]
        return MlflowHousekeeping(self._client, own, self._local)

    def _artefacts_of(self, version: ModelVersion) -> ArtifactRepository:
        """Return what reads and writes the artefacts of a version.

        MLflow's client remembers it by the model's id for the whole process: of a run and its copy it would write to whichever was first.
        """
        if MODEL_TAG in version.tags:
            location = self._client.get_logged_model(version.tags[MODEL_TAG]).artifact_location
        else:
            location = self._client.get_run(str(version.run_id)).info.artifact_uri
        return get_artifact_repository(location, tracking_uri=self._client.tracking_uri)

    @privately()
    @reached
    def tags(self, model: ModelRef) -> dict[str, str]:
        """Return the tags of a version."""
        return dict(self._client.get_model_version(model.name, str(model.version)).tags)

    @privately()
    @reached
    def metrics(self, model: ModelRef) -> dict[str, float]:
        """Return the final figures that were registered with a version."""
        version = self._client.get_model_version(model.name, str(model.version))
        if MODEL_TAG in version.tags:
            return {one.key: float(one.value) for one in self._client.get_logged_model(version.tags[MODEL_TAG]).metrics or ()}
        return dict(self._client.get_run(str(version.run_id)).data.metrics)

    @privately()
    @reached
    def name_tags(self, name: str) -> dict[str, str]:
        """Return the tags of a name; none of a name that is not registered."""
        try:
            return dict(self._client.get_registered_model(name).tags)
        except MlflowException:
            return {}

    @privately()
    @reached
    def set_name_tag(self, name: str, key: str, value: str | None) -> None:
        """Set a tag of a name, or remove it."""
        self._require_writable()
        if value is not None:
            self._set_name_tag(name, key, value)
        elif key in self.name_tags(name):
            with contextlib.suppress(MlflowException):  # removed by another a moment ago; whoever reads it back sees what is there
                self._client.delete_registered_model_tag(name, key)

    def _set_name_tag(self, name: str, key: str, value: str) -> None:
        """Set a tag that others may set at the same moment: of two who write a new one MLflow refuses the later, who finds it there then."""
        for tries_left in (2, 1, 0):
            try:
                return self._client.set_registered_model_tag(name, key, value)
            except MlflowException as error:
                if not tries_left or not re.search("unique constraint|duplicate (key|entry)", str(error), re.IGNORECASE):
                    raise
        raise AssertionError("unreachable")

    def promotion_lock(self, name: str) -> AbstractContextManager[RequireHeld]:
        """Be the only one who moves aliases of a name (:mod:`medkd.registry.promotion_lock` says how far that holds on a server)."""
        uri = str(self._client.tracking_uri)
        if uri.startswith("sqlite:///"):
            path = Path(uri.removeprefix("sqlite:///"))
            return file_lock(path.with_name(f".medkd-{path.name}.promotion.lock"))
        return tag_lock(lambda: self.name_tags(name).get(_LOCK_TAG), lambda text: self.set_name_tag(name, _LOCK_TAG, text))

    @privately()
    @reached
    def log_experiment(self, digest: str, parent: LoggedRun, arms: Sequence[LoggedRun]) -> None:
        """Log an experiment and its arms as nested runs; one that is there, finished, is left alone, one that was cut short is closed."""
        self._require_writable()
        tag, experiment = "medkd.scoreboard", self.runs.experiment(self._scoreboards)
        for run in self._client.search_runs([experiment], filter_string=f"tags.`{tag}` = '{digest}'"):
            if run.info.status == "FINISHED":
                return
            self._client.set_terminated(run.info.run_id, status="KILLED")
        top = self._client.create_run(experiment, run_name=parent.name, tags={tag: digest, "medkd.kind": "experiment"})
        for arm in arms:
            tags = {"mlflow.parentRunId": top.info.run_id, "medkd.kind": "arm"}
            self.runs.write(arm, self._client.create_run(experiment, run_name=arm.name, tags=tags).info.run_id)
        self.runs.write(parent, top.info.run_id)
