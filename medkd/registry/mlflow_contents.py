"""What stands beside a version in MLflow: tags, text, figures and curves of its run, and the files that were attached with their digests."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.tracking import MlflowClient

from data_contracts import ModelRef
from medkd.registry.interface import VersionContents
from medkd.registry.mlflow_model import PACKAGE, SERVING
from medkd.storage.store import sha256_file

#: Begin of the tags that keep the sha256 of attached files.
ATTACHED = "medkd.files."
#: What MLflow itself writes when a version is loaded, and where versions lay in their run before they were MLflow models.
_NOT_ATTACHED = ("registered_model_meta", "model/")


def digest_tags(known: Mapping[str, str], files: Mapping[str, Sequence[Path]]) -> dict[str, str]:
    """Return the tags that keep the sha256 of files that are attached, by place; MLflow keeps no checksums.

    Pictures of one place share a tag; an archive has its own, since several processes may attach archives to one place at once.
    """
    tags: dict[str, str] = {}
    for place, paths in files.items():
        shared = {path.name: sha256_file(path) for path in paths if path.suffix != ".zip"}
        tags |= {f"{ATTACHED}{place}/{path.name}": sha256_file(path) for path in paths if path.suffix == ".zip"}
        if shared:
            key = f"{ATTACHED}{place}"
            tags[key] = json.dumps({**json.loads(known.get(key, "{}")), **shared}, sort_keys=True)
    return tags


def read_contents(
    client: MlflowClient, version: ModelVersion, artefacts: ArtifactRepository, model: ModelRef, listed: Mapping[str, str]
) -> VersionContents:
    """Return what stands beside a version.

    Args:
        client: of the registry.
        version: as MLflow gives it.
        artefacts: of the version.
        model: the same version as a record.
        listed: MLflow's own files of the version.
    """
    run = client.get_run(str(version.run_id)).data
    metrics, lines = _figures(client, str(version.run_id), sorted(run.metrics))
    own = (*listed, f"{PACKAGE}/", f"{SERVING}/", *_NOT_ATTACHED)
    there = {path: "" for path in _files(artefacts) if not path.startswith(own)}
    return VersionContents(
        model=model,
        tags={key: value for key, value in sorted(version.tags.items()) if not key.startswith(ATTACHED)},
        description=version.description or "",
        params=dict(sorted(run.params.items())),
        metrics=metrics,
        history=tuple({"epoch": float(epoch), **line} for epoch, line in sorted(lines.items())),
        attached=dict(sorted({**there, **_recorded(version.tags)}.items())),
        created_ms=int(version.creation_timestamp or 0),
    )


def _figures(client: MlflowClient, run_id: str, names: list[str]) -> tuple[dict[str, float], dict[int, dict[str, float]]]:
    """Return the final figures, which are logged at step 0, and the curves by epoch; what is not finite was no figure."""
    metrics: dict[str, float] = {}
    lines: dict[int, dict[str, float]] = {}
    for name in names:
        for point in client.get_metric_history(run_id, name):
            if math.isfinite(point.value):
                (lines.setdefault(point.step, {}) if point.step else metrics)[name] = point.value
    return metrics, lines


def _files(artefacts: ArtifactRepository, place: str | None = None) -> Iterator[str]:
    for found in artefacts.list_artifacts(place):
        if found.is_dir:
            yield from _files(artefacts, found.path)
        else:
            yield found.path


def _recorded(tags: Mapping[str, str]) -> dict[str, str]:
    recorded: dict[str, str] = {}
    for key, value in tags.items():
        if key.startswith(ATTACHED):
            place = key.removeprefix(ATTACHED)
            recorded |= (
                {f"{place}/{name}": digest for name, digest in json.loads(value).items()} if value.startswith("{") else {place: value}
            )
    return recorded
