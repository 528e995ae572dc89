"""The MLflow registry."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from data_contracts import Lineage, ModelRef, RegistryError, Role
from data_contracts.private import privately
from medkd.registry.interface import LoggedRun, Publication, parse_uri, unknown_version
from medkd.registry.promotion_lock import RequireHeld, file_lock, tag_lock
from medkd.registry.server import require_server, shown
from medkd.storage.manifest import MANIFEST, verify_folder
from medkd.storage.run_lock import locked
from medkd.storage.store import sha256_file

# Set before mlflow is imported: no telemetry, no pickle, no job runner; a dead server is an error within seconds.
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
for _noisy in ("alembic", "mlflow.store.db.utils", "mlflow.tracking.fluent"):
    logging.getLogger(_noisy).setLevel(logging.WARNING)

import mlflow  # noqa: E402
from mlflow.artifacts import download_artifacts  # noqa: E402
from mlflow.entities import Metric, Param, RunTag  # noqa: E402
from mlflow.entities.model_registry import ModelVersion  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.tracking import MlflowClient  # noqa: E402

from medkd.registry.mlflow_model import PACKAGE, SERVING, Belonging, lay_out, verify_mlflow_files  # noqa: E402

#: Where a version's files lay in its run before versions were MLflow models.
_RUN_PATH = "model"
_DIGEST_TAG, _SERVING_TAG, _MODEL_TAG = "medkd.manifest_digest", "medkd.serving_digest", "medkd.logged_model"
#: sha256 of MLflow's own files of a version, as JSON: they are in neither manifest.
_FILES_TAG = "medkd.mlflow_files"
#: Lease of whoever moves aliases, on the registered model.
_LOCK_TAG = "medkd.promotion_lock"


@contextlib.contextmanager
def _laying_out_alone(uri: str) -> Iterator[None]:
    """Let one process at a time lay out the tables of a local database, and a database appear whole or not at all.

    MLflow makes a new database by running every migration it ever had, on the file itself: two processes at once fail, and one that
    is killed there leaves a file that MLflow refuses ever after ("table _alembic_tmp_trace_tags already exists").
    """
    path = Path(uri.removeprefix("sqlite:///"))
    if not uri.startswith("sqlite:///") or not os.access(path.parent, os.W_OK):
        yield
        return
    with locked(path.with_name(f".medkd-{path.name}.lock"), wait_s=120.0):
        if not path.exists():
            new = path.with_name(f".{path.name}.new")
            for left in path.parent.glob(f"{new.name}*"):  # of a process that was killed, with its journal
                left.unlink()
            unfinished = f"sqlite:///{new}"
            MlflowClient(tracking_uri=unfinished, registry_uri=unfinished).search_experiments(max_results=1)
            new.replace(path)
        yield


_uri_lock = threading.Lock()


@contextlib.contextmanager
def _everywhere(uri: str) -> Iterator[None]:
    """Make a tracking URI that of the whole process for a moment: MLflow's database store looks a logged model up there and not where it is.

    (``sqlalchemy_store.create_model_version``, MLflow 3.17: "Propagate tracking URI to file sqlalchemy directly".)
    """
    with _uri_lock:
        before = os.environ.get("MLFLOW_TRACKING_URI")
        mlflow.set_tracking_uri(uri)
        try:
            yield
        finally:
            mlflow.set_tracking_uri(before)  # type: ignore[arg-type]  # None, which unsets it, is left out of its annotation
            if before is None:
                os.environ.pop("MLFLOW_TRACKING_URI", None)


def _unreadable(uri: str, error: Exception) -> RegistryError:
    if isinstance(error, RegistryError):
        return error
    why = " ".join(str(error).split())[:200] or type(error).__name__
    return RegistryError("REGISTRY_UNREADABLE", f"expected an MLflow registry at {shown(uri)}, it cannot be used ({why}); name another")


class MlflowRegistry:
    """Registered models of one tracking URI; runs go to one experiment with an absolute artifact location.

    A local database and its artefacts are their owner's only; who may read those of a server is the server's business.

    Args:
        tracking_uri: ``sqlite:////absolute/path`` or the URL of a server.
        artifacts: folder for artefacts of new experiments when the URI is a local database.
        experiment: name of the experiment.

    Raises:
        RegistryError: ``REGISTRY_UNREACHABLE`` when no server answers within seconds, ``REGISTRY_UNREADABLE`` when what the URI
            names is no registry.
    """

    @privately()
    def __init__(self, tracking_uri: str, *, artifacts: Path, experiment: str = "medkd") -> None:
        require_server(tracking_uri)
        self._local = artifacts.resolve() if tracking_uri.startswith("sqlite") else None
        self._downloads = Path(tempfile.mkdtemp(prefix="medkd-"))
        weakref.finalize(self, shutil.rmtree, self._downloads, ignore_errors=True)
        try:
            with _laying_out_alone(tracking_uri):
                self._client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
                found = self._client.get_experiment_by_name(experiment)
                location = self._local.as_uri() if self._local is not None else None
                self._experiment = found.experiment_id if found else self._client.create_experiment(experiment, artifact_location=location)
        except Exception as error:  # MLflow, its database layer and drivers each have errors of their own
            raise _unreadable(tracking_uri, error) from error

    @privately()
    def register(self, publication: Publication) -> ModelRef:
        """Log a run and a model with the package and its serving form, then register it; the same manifest gives the version that exists.

        Raises:
            RegistryError: ``VERSION_ALTERED``, or ``FORM_DIFFERS`` where the serving form is not the network: nothing is registered then.
        """
        digest = sha256_file(publication.folder / MANIFEST)
        verify_folder(publication.folder, digest)
        self._ensure_model(publication.name)
        for version in self._versions_of(publication.name):
            if version.tags.get(_DIGEST_TAG) == digest:
                return _model_ref(publication.name, int(version.version), version.tags)
        form = None if publication.form is None else publication.form()
        tags = {
            **publication.tags,
            _DIGEST_TAG: digest,
            "medkd.role": publication.role.value,
            "medkd.weights_digest": publication.weights_digest,
            **({} if form is None else {_SERVING_TAG: form.digest}),
        }
        self._close_stale(digest)
        run_id = self._start_run(publication, tags)
        model = self._client.create_logged_model(
            self._experiment, name=publication.name, source_run_id=run_id, tags=tags, params=dict(publication.params), model_type="medkd"
        )
        with tempfile.TemporaryDirectory(prefix="medkd-version-") as scratch:
            folder = Path(scratch) / "model"
            listed = lay_out(folder, publication.folder, form, Belonging(publication.name, digest, model.model_id, run_id))
            self._client.log_model_artifacts(model.model_id, str(folder))
        self._log_figures(publication, run_id, model.model_id, {} if form is None else form.parity)
        self._client.finalize_logged_model(model.model_id, "READY")
        self._client.set_terminated(run_id)
        tags |= {_MODEL_TAG: model.model_id, _FILES_TAG: json.dumps(listed)}
        source = f"models:/{model.model_id}"
        with _everywhere(self._client.tracking_uri):
            version = self._client.create_model_version(
                publication.name, source, run_id, tags, description=publication.description or None, model_id=model.model_id
            )
        return _model_ref(publication.name, int(version.version), tags)

    @privately()
    def fetch(self, uri: str) -> tuple[ModelRef, Path]:
        """Download a version and verify every byte against the digests in its tags. The copy lives as long as this object.

        Raises:
            RegistryError: ``MODEL_URI``, ``VERSION_UNKNOWN`` or ``VERSION_ALTERED``.
        """
        version = self._version(uri)
        reference = _model_ref(version.name, int(version.version), version.tags)
        copy = self._downloads / f"{version.name}-{version.version}"
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        listed = json.loads(version.tags.get(_FILES_TAG, "{}"))
        try:
            if _MODEL_TAG in version.tags:
                wanted = [PACKAGE, *([SERVING] if _SERVING_TAG in version.tags else []), *listed]
                for place in wanted:
                    self._download(version.tags[_MODEL_TAG], place, copy / place)
                folder = copy / PACKAGE
            else:  # registered before versions were MLflow models
                folder = Path(self._client.download_artifacts(str(version.run_id), _RUN_PATH, dst_path=str(copy)))
        except Exception as error:  # whatever the artefacts' storage says of files that are gone
            why = " ".join(str(error).split())[:160]
            raise RegistryError(
                "VERSION_ALTERED", f"expected the files of {uri}, they cannot be fetched: {why}; register it again"
            ) from error
        verify_folder(folder, version.tags.get(_DIGEST_TAG, ""))
        if _SERVING_TAG in version.tags:
            verify_folder(copy / SERVING, version.tags[_SERVING_TAG])
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
    def aliases(self, name: str) -> dict[str, int]:
        """Return the version that each alias of a name stands at."""
        try:
            # Asked of the model: what a search of versions gives has no aliases (MLflow 16734).
            return {alias: int(version) for alias, version in sorted(self._client.get_registered_model(name).aliases.items())}
        except MlflowException as error:
            raise unknown_version(f"models:/{name}/1", self._known()) from error

    @privately()
    def set_alias(self, name: str, alias: str, version: int | None) -> None:
        """Let an alias stand at a version, or at none."""
        if version is None:
            self._client.delete_registered_model_alias(name, alias)
        else:
            self._client.set_registered_model_alias(name, alias, str(version))

    @privately()
    def versions(self, name: str) -> tuple[ModelRef, ...]:
        """Return all versions of a name, oldest first."""
        known = self._versions_of(name)
        return tuple(sorted((_model_ref(name, int(one.version), one.tags) for one in known), key=lambda one: one.version))

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
    def attach(self, model: ModelRef, files: Mapping[str, Path], tags: Mapping[str, str]) -> None:
        """Log artefacts into the run of a version and set tags on the version."""
        version = self._client.get_model_version(model.name, str(model.version))
        for place, path in files.items():
            if _MODEL_TAG in version.tags:
                self._client.log_model_artifact(version.tags[_MODEL_TAG], str(path), place)
            else:
                self._client.log_artifact(version.run_id, str(path), place)
        for key, value in tags.items():
            self._client.set_model_version_tag(model.name, str(model.version), key, value)

    @privately()
    def attached(self, model: ModelRef, name: str) -> Path | None:
        """Download an artefact beside a version by ``PLACE/FILE``; None where there is none."""
        version = self._client.get_model_version(model.name, str(model.version))
        place = name.rpartition("/")[0]
        logged = version.tags.get(_MODEL_TAG)
        listed = (
            self._client.list_artifacts(str(version.run_id), place)
            if logged is None
            else self._client.list_logged_model_artifacts(logged, place)
        )
        if name not in {one.path for one in listed}:
            return None
        copy = self._downloads / f"{model.name}-{model.version}-beside" / name
        copy.unlink(missing_ok=True)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if logged is None:
            self._client.download_artifacts(str(version.run_id), name, dst_path=str(copy.parents[name.count("/")]))
        else:
            self._download(logged, name, copy)
        return copy

    @privately()
    def tags(self, model: ModelRef) -> dict[str, str]:
        """Return the tags of a version."""
        return dict(self._client.get_model_version(model.name, str(model.version)).tags)

    @privately()
    def metrics(self, model: ModelRef) -> dict[str, float]:
        """Return the final figures that were registered with a version."""
        version = self._client.get_model_version(model.name, str(model.version))
        if _MODEL_TAG in version.tags:
            return {one.key: float(one.value) for one in self._client.get_logged_model(version.tags[_MODEL_TAG]).metrics or ()}
        return dict(self._client.get_run(str(version.run_id)).data.metrics)

    @privately()
    def name_tags(self, name: str) -> dict[str, str]:
        """Return the tags of a name; none of a name that is not registered."""
        try:
            return dict(self._client.get_registered_model(name).tags)
        except MlflowException:
            return {}

    @privately()
    def set_name_tag(self, name: str, key: str, value: str | None) -> None:
        """Set a tag of a name, or remove it."""
        if value is None:
            self._client.delete_registered_model_tag(name, key)
        else:
            self._client.set_registered_model_tag(name, key, value)

    def promotion_lock(self, name: str) -> AbstractContextManager[RequireHeld]:
        """Be the only one who moves aliases of a name (:mod:`medkd.registry.promotion_lock` says how far that holds on a server)."""
        uri = str(self._client.tracking_uri)
        if uri.startswith("sqlite:///"):
            path = Path(uri.removeprefix("sqlite:///"))
            return file_lock(path.with_name(f".medkd-{path.name}.promotion.lock"))
        return tag_lock(lambda: self.name_tags(name).get(_LOCK_TAG), lambda text: self.set_name_tag(name, _LOCK_TAG, text))

    @privately()
    def log_experiment(self, digest: str, parent: LoggedRun, arms: Sequence[LoggedRun]) -> None:
        """Log an experiment and its arms as nested runs; one that is there, finished, is left alone, one that was cut short is closed."""
        tag = "medkd.scoreboard"
        for run in self._client.search_runs([self._experiment], filter_string=f"tags.`{tag}` = '{digest}'"):
            if run.info.status == "FINISHED":
                return
            self._client.set_terminated(run.info.run_id, status="KILLED")
        top = self._client.create_run(self._experiment, run_name=parent.name, tags={tag: digest, "medkd.kind": "experiment"})
        for arm in arms:
            tags = {"mlflow.parentRunId": top.info.run_id, "medkd.kind": "arm"}
            self._write_run(arm, self._client.create_run(self._experiment, run_name=arm.name, tags=tags).info.run_id)
        self._write_run(parent, top.info.run_id)

    def _write_run(self, run: LoggedRun, run_id: str) -> None:
        now = int(time.time() * 1000)
        curves = [
            Metric(key, float(value), now, int(line["epoch"])) for line in run.history for key, value in line.items() if key != "epoch"
        ]
        final = [Metric(key, float(value), now, 0) for key, value in run.metrics.items()]
        params = [Param(key, value[:500]) for key, value in run.params.items()]
        for begin in range(0, len(curves) + len(final), 900):  # a server takes a thousand metrics at a time
            self._client.log_batch(run_id, metrics=[*curves, *final][begin : begin + 900])
        self._client.log_batch(run_id, params=params)
        for path in run.files:
            self._client.log_artifact(run_id, str(path))
        self._client.set_terminated(run_id)

    def _ensure_model(self, name: str) -> None:
        try:
            self._client.get_registered_model(name)
        except MlflowException:
            self._client.create_registered_model(name, description="Research use only. Not a medical device.")

    def _close_stale(self, digest: str) -> None:
        """Mark runs of this package that never ended as killed: whoever made them died before registering."""
        wanted = f"attributes.status = 'RUNNING' and tags.`{_DIGEST_TAG}` = '{digest}'"
        for run in self._client.search_runs([self._experiment], filter_string=wanted):
            self._client.set_terminated(run.info.run_id, status="KILLED")

    def _start_run(self, publication: Publication, tags: Mapping[str, str]) -> str:
        run = self._client.create_run(self._experiment, run_name=f"{publication.name}-{publication.seed}", tags=dict(tags))
        params = [Param(key, value[:500]) for key, value in publication.params.items()]
        self._client.log_batch(run.info.run_id, params=params, tags=[RunTag("medkd.kind", "model")])
        return str(run.info.run_id)

    def _log_figures(self, publication: Publication, run_id: str, model_id: str, parity: Mapping[str, float]) -> None:
        """Log curves to the run, and final figures to the run and the model."""
        now = int(time.time() * 1000)
        history = [
            Metric(key, float(value), now, int(line["epoch"]))
            for line in publication.history
            for key, value in line.items()
            if key != "epoch"
        ]
        final = [Metric(key, float(value), now, 0, model_id=model_id) for key, value in {**publication.metrics, **parity}.items()]
        self._client.log_batch(run_id, metrics=[*history, *final])


def _model_ref(name: str, version: int, tags: Mapping[str, str]) -> ModelRef:
    missing = [tag for tag in (_DIGEST_TAG, "medkd.role", "medkd.weights_digest") if tag not in tags]
    if missing:
        raise RegistryError(
            "VERSION_INCOMPLETE", f"expected the tag {missing[0]} on {name} version {version}, it was not registered by medkd"
        )
    return ModelRef(
        name=name,
        version=version,
        manifest_digest=tags[_DIGEST_TAG],
        role=Role(tags["medkd.role"]),
        weights_digest=tags["medkd.weights_digest"],
        teacher=Lineage.model_validate(tags["medkd.teacher"]) if "medkd.teacher" in tags else None,
    )
