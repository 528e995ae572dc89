"""Versions and leftovers removed from a local MLflow for good: the version, its logged model, its run, and their files.

Of a version MLflow keeps the number, so that none gets it again. It is but a row that points to a logged model and a run: deleting it
leaves both, and ``mlflow gc`` removes what was marked as deleted and nothing else (MLflow 17240). The rows go before the files, and what
has no row any more is found again: a removal that was killed is finished by the next.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mlflow.entities import LoggedModel, Run, ViewType
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from data_contracts import ModelRef
from medkd.registry.mlflow_model import MODEL_TAG


@dataclass(frozen=True)
class Leftover:
    """What a registration or a removal that was killed left behind.

    Attributes:
        kind: what it is.
        name: its id in MLflow, or the name of its folder.
        bytes: of its files.
    """

    kind: Literal["logged model", "run", "artefact folder"]
    name: str
    bytes: int


class MlflowHousekeeping:
    """What can be removed from a local registry.

    Args:
        client: of the registry.
        experiments: ids of those whose artefacts lie in the folder; nothing of another is touched.
        root: folder of its artefacts.
    """

    def __init__(self, client: MlflowClient, experiments: list[str], root: Path) -> None:
        self._client, self._experiments, self._root = client, experiments, root

    def size_of(self, model: ModelRef) -> int:
        """Return the bytes of a version's files."""
        return sum(_size(folder) for folder in self._folders(self._client.get_model_version(model.name, str(model.version))))

    def remove_version(self, model: ModelRef) -> None:
        """Remove a version, its logged model, its run and their files."""
        version = self._client.get_model_version(model.name, str(model.version))
        self._client.delete_model_version(model.name, str(model.version))
        if MODEL_TAG in version.tags:
            self._remove_logged_model(version.tags[MODEL_TAG])
        if str(version.run_id) not in {str(one.run_id) for one in self._versions()}:
            self._remove_run(str(version.run_id))

    def leftovers(self, before_ms: int) -> tuple[Leftover, ...]:
        """Return logged models and runs of versions that no version refers to, and folders that no row refers to.

        Args:
            before_ms: what was made later, milliseconds since 1970, may be a registration that goes on.
        """
        versions = list(self._versions())
        models, runs = list(self._logged_models()), list(self._runs())
        used = {one.tags.get(MODEL_TAG, "") for one in versions}, {str(one.run_id) for one in versions}
        found = [
            Leftover("logged model", str(one.model_id), _size(self._root / "models" / str(one.model_id)))
            for one in models
            if one.model_id not in used[0] and one.creation_timestamp < before_ms
        ]
        found += [
            Leftover("run", run.info.run_id, _size(self._root / run.info.run_id))
            for run in runs
            if _is_of_version(run) and run.info.run_id not in used[1] and run.info.start_time < before_ms
        ]
        known = {f"models/{one.model_id}" for one in models} | {run.info.run_id for run in runs}
        folders = [*self._root.glob("models/m-*"), *self._root.glob("*")]
        for folder in folders:
            name = folder.relative_to(self._root).as_posix()
            if re.fullmatch(r"models/m-[0-9a-f]{32}|[0-9a-f]{32}", name) and name not in known:
                found.append(Leftover("artefact folder", name, _size(folder)))
        return tuple(found)

    def remove_leftover(self, leftover: Leftover) -> None:
        """Remove what was left behind."""
        if leftover.kind == "logged model":
            self._remove_logged_model(leftover.name)
        elif leftover.kind == "run":
            self._remove_run(leftover.name)
        else:
            shutil.rmtree(self._root / leftover.name, ignore_errors=True)

    def _remove_logged_model(self, model_id: str) -> None:
        with contextlib.suppress(MlflowException):  # marked by a removal that was killed, or removed by it
            self._client.delete_logged_model(model_id)
        with contextlib.suppress(MlflowException):
            self._store._hard_delete_logged_model(model_id)
        shutil.rmtree(self._root / "models" / model_id, ignore_errors=True)

    def _remove_run(self, run_id: str) -> None:
        with contextlib.suppress(MlflowException):
            self._client.delete_run(run_id)
        with contextlib.suppress(MlflowException):
            self._store._hard_delete_run(run_id)
        shutil.rmtree(self._root / run_id, ignore_errors=True)

    @property
    def _store(self) -> Any:
        """Return what ``mlflow gc`` works on; the command itself would also remove whatever else anybody has marked as deleted."""
        return self._client._tracking_client.store

    def _folders(self, version: ModelVersion) -> list[Path]:
        return [self._root / "models" / version.tags.get(MODEL_TAG, "-"), self._root / str(version.run_id)]

    def _versions(self) -> Iterator[ModelVersion]:
        token = None
        while True:
            page = self._client.search_model_versions(max_results=1000, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _logged_models(self) -> Iterator[LoggedModel]:
        token = None
        while True:
            page = self._client.search_logged_models(self._experiments, page_token=token)
            yield from page
            token = page.token
            if not token:
                break
        for model_id in self._store._get_deleted_logged_models():
            model = self._store.get_logged_model(model_id, allow_deleted=True)
            if str(model.experiment_id) in self._experiments:
                yield model

    def _runs(self) -> Iterator[Run]:
        token = None
        while True:
            page = self._client.search_runs(self._experiments, run_view_type=ViewType.ALL, page_token=token)
            yield from page
            token = page.token
            if not token:
                return


def _is_of_version(run: Run) -> bool:
    """Return whether a run was made for a version: experiments and benchmarks have runs of their own, which are results."""
    return "medkd.manifest_digest" in run.data.tags


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
