"""How a version gets into MLflow: its run, its logged model with the files, and the registered version; the same manifest only once."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from data_contracts import Lineage, ModelRef, RegistryError, Role
from medkd.registry.interface import FURTHER_TEACHERS_TAG, Publication
from medkd.registry.mlflow_model import MODEL_TAG, Belonging, lay_out
from medkd.registry.mlflow_runs import MlflowRuns
from medkd.storage.manifest import MANIFEST, verify_folder
from medkd.storage.store import sha256_file

#: Tags with the digests of a version's manifest and of its serving form.
DIGEST_TAG, SERVING_TAG = "medkd.manifest_digest", "medkd.serving_digest"
#: sha256 of MLflow's own files of a version, as JSON: they are in neither manifest.
FILES_TAG = "medkd.mlflow_files"
_URI_LOCK = threading.Lock()


@contextlib.contextmanager
def _tracking_uri_of_process(uri: str) -> Iterator[None]:
    """Make a tracking URI that of the whole process for a moment: MLflow's database store looks a logged model up there and not where it is.

    (``sqlalchemy_store.create_model_version``, MLflow 3.17: "Propagate tracking URI to file sqlalchemy directly".)
    """
    with _URI_LOCK:
        before = os.environ.get("MLFLOW_TRACKING_URI")
        mlflow.set_tracking_uri(uri)
        try:
            yield
        finally:
            mlflow.set_tracking_uri(before)  # type: ignore[arg-type]  # None, which unsets it, is left out of its annotation
            if before is None:
                os.environ.pop("MLFLOW_TRACKING_URI", None)


class MlflowRegistration:
    """Registers versions.

    Args:
        client: of the registry.
        runs: of the same URI.
    """

    def __init__(self, client: MlflowClient, runs: MlflowRuns) -> None:
        self._client, self._runs = client, runs

    def register(self, publication: Publication) -> ModelRef:
        """Log a run and a model with the package and its serving form, then register it; the same manifest gives the version that exists.

        Raises:
            RegistryError: ``VERSION_ALTERED``, or ``FORM_DIFFERS`` where the serving form is not the network: nothing is registered then.
        """
        digest = sha256_file(publication.folder / MANIFEST)
        verify_folder(publication.folder, digest)
        self._ensure_model(publication.name)
        there = self._of_manifest(publication.name, digest)
        if there:
            return self._settled(publication.name, there)
        form = None if publication.form is None else publication.form()
        tags = {
            **publication.tags,
            DIGEST_TAG: digest,
            "medkd.role": publication.role.value,
            "medkd.weights_digest": publication.weights_digest,
            **({} if form is None else {SERVING_TAG: form.digest}),
        }
        run_id = self._begin_run(publication, tags)
        model_id = self._log_model(publication, tags, run_id)
        with tempfile.TemporaryDirectory(prefix="medkd-version-") as scratch:
            folder = Path(scratch) / "model"
            listed = lay_out(folder, publication.folder, form, Belonging(publication.name, digest, model_id, run_id))
            self._client.log_model_artifacts(model_id, str(folder))
        self._runs.complete_history(run_id, publication.history)
        figures = {**publication.metrics, **({} if form is None else form.parity)}
        self._runs.log_final(run_id, figures, model_id=model_id, at=publication.measured_at)
        self._client.finalize_logged_model(model_id, "READY")
        self._client.set_terminated(run_id)
        tags |= {MODEL_TAG: model_id, FILES_TAG: json.dumps(listed)}
        source = f"models:/{model_id}"
        with _tracking_uri_of_process(self._client.tracking_uri):
            self._client.create_model_version(
                publication.name, source, run_id, tags, description=publication.description or None, model_id=model_id
            )
        return self._settled(publication.name, self._of_manifest(publication.name, digest))

    def _of_manifest(self, name: str, digest: str) -> list[ModelVersion]:
        """Return the versions of a name with a manifest, oldest first."""
        quoted = name.replace("'", "''")
        found = self._client.search_model_versions(f"name = '{quoted}' and tags.`{DIGEST_TAG}` = '{digest}'")
        return sorted(found, key=lambda one: int(one.version))

    def _settled(self, name: str, versions: Sequence[ModelVersion]) -> ModelRef:
        """Return the oldest of the versions of one manifest, its run over, and remove the others.

        There are others where an answer was lost and the request sent again, or where two register at once: of both the oldest stays.
        """
        for other in versions[1:]:
            self._client.delete_model_version(name, other.version)
        kept = versions[0]
        if self._client.get_run(str(kept.run_id)).info.status == "RUNNING":
            self._client.set_terminated(str(kept.run_id))
        return model_ref(name, int(kept.version), kept.tags)

    def _begin_run(self, publication: Publication, tags: Mapping[str, str]) -> str:
        """Return the run of a publication: that of its training, or one of its own."""
        if publication.training is None:
            name, unfinished = f"{publication.name}-{publication.seed}", {DIGEST_TAG: tags[DIGEST_TAG]}
            run_id = self._runs.begin(publication.experiment, name, unfinished, publication.params)
        else:
            run_id = self._runs.training(publication.training, unless=(DIGEST_TAG, tags[DIGEST_TAG]))
        self._runs.set_tags(run_id, {**tags, "medkd.kind": "model"})
        return run_id

    def _log_model(self, publication: Publication, tags: Mapping[str, str], run_id: str) -> str:
        """Make the logged model of a run and return its id; one that a registration which was cut short left is removed."""
        experiment = self._client.get_run(run_id).info.experiment_id
        for left in self._client.search_logged_models([experiment], filter_string=f"source_run_id = '{run_id}'"):
            self._client.delete_logged_model(left.model_id)
        model = self._client.create_logged_model(
            experiment, name=publication.name, source_run_id=run_id, tags=dict(tags), params=dict(publication.params), model_type="medkd"
        )
        return str(model.model_id)

    def _ensure_model(self, name: str) -> None:
        try:
            self._client.get_registered_model(name)
        except MlflowException:
            with contextlib.suppress(MlflowException):  # made by another a moment ago; if it was not, the next call says why
                self._client.create_registered_model(name, description="Research use only. Not a medical device.")


def model_ref(name: str, version: int, tags: Mapping[str, str]) -> ModelRef:
    """Return the reference of a version from its tags.

    Raises:
        RegistryError: ``VERSION_INCOMPLETE`` for a version that medkd did not register.
    """
    missing = [tag for tag in (DIGEST_TAG, "medkd.role", "medkd.weights_digest") if tag not in tags]
    if missing:
        raise RegistryError(
            "VERSION_INCOMPLETE", f"expected the tag {missing[0]} on {name} version {version}, it was not registered by medkd"
        )
    return ModelRef(
        name=name,
        version=version,
        manifest_digest=tags[DIGEST_TAG],
        role=Role(tags["medkd.role"]),
        weights_digest=tags["medkd.weights_digest"],
        teacher=Lineage.model_validate(tags["medkd.teacher"]) if "medkd.teacher" in tags else None,
        further_teachers=tuple(Lineage.model_validate(one) for one in tags.get(FURTHER_TEACHERS_TAG, "").split()),
    )
