"""Runs in MLflow: an experiment a recipe, a run of the whole and one of each training below it, found again and never made twice.

Whatever is sent may be sent again: a request whose answer was lost has been carried out. Runs are found by tags, parameters that are there
are left out, and metrics carry the time of their epoch, by which MLflow's store knows one that it has.
"""

from __future__ import annotations

import functools
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import requests
from mlflow.entities import Dataset as MlflowDataset
from mlflow.entities import DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from data_contracts import RegistryError
from medkd.registry.interface import LoggedRun
from medkd.registry.recipe_run import RECIPE_RUN, RUN_FOLDER, TRAINING, Dataset, RecipeRun, TrackedTraining
from medkd.registry.server import shown
from medkd.storage.metrics_log import EPOCH, TIME
from medkd.storage.process_mark import PROCESS, has_ended, process_mark

P = ParamSpec("P")
R = TypeVar("R")
#: MLflow's tag for experiments of model training. Its page of 3.17 goes by the reader's last choice instead, at first that of traces
#: (``tests/registry/test_mlflow_page.py``).
_KIND = {"mlflow.experimentKind": "custom_model_development"}
_FIGURES = "medkd.figures"
#: What a server takes at a time.
_MOST_METRICS, _MOST_PARAMS, _LONGEST_PARAM, _LONGEST_TAG = 900, 100, 500, 5000
#: Codes of MLflow that say nothing of what was asked: the server, its database or the way there failed.
_FAILED = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "DEADLINE_EXCEEDED", "REQUEST_LIMIT_EXCEEDED"}


class _OfAnUri(Protocol):
    @property
    def uri(self) -> str: ...


Self = TypeVar("Self", bound=_OfAnUri)


def reached(method: Callable[Concatenate[Self, P], R]) -> Callable[Concatenate[Self, P], R]:
    """Turn what a tracking server that is gone, slow or broken makes of a call into one sentence.

    Raises:
        RegistryError: ``REGISTRY_UNREACHABLE`` of a server, ``REGISTRY_UNREADABLE`` of a database.
    """

    @functools.wraps(method)
    def call(self: Self, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(self, *args, **kwargs)
        except (MlflowException, SQLAlchemyError, requests.RequestException) as error:
            if isinstance(error, MlflowException) and error.error_code not in _FAILED:
                raise
            raise _failed(self.uri, error) from error

    return call  # type: ignore[return-value]  # mypy names the first argument of a wrapped method


def _failed(uri: str, error: Exception) -> RegistryError:
    why = " ".join(str(error).split())[:200] or type(error).__name__
    if uri.startswith(("http://", "https://")):
        return RegistryError(
            "REGISTRY_UNREACHABLE",
            f"expected the tracking server at {shown(uri)} to answer, a call of it failed ({why}); start it and repeat the command: what is "
            "finished is kept",
        )
    return RegistryError(
        "REGISTRY_UNREADABLE", f"expected an MLflow registry at {shown(uri)}, it cannot be used ({why}); repeat the command"
    )


class MlflowRuns:
    """The experiments and runs of one tracking server or database.

    Args:
        client: of the server.
        artifacts: URI of the artefacts of new experiments; None leaves their place to the server.
    """

    def __init__(self, client: MlflowClient, artifacts: str | None) -> None:
        self._client, self._artifacts = client, artifacts
        self._experiments: dict[str, str] = {}

    @property
    def uri(self) -> str:
        """Return the tracking URI."""
        return str(self._client.tracking_uri)

    @reached
    def experiment(self, name: str) -> str:
        """Return the id of an experiment, which is made where there is none."""
        if name not in self._experiments:
            found = self._client.get_experiment_by_name(name)
            self._experiments[name] = found.experiment_id if found else self._create_experiment(name)
        return self._experiments[name]

    def _create_experiment(self, name: str) -> str:
        try:
            return str(self._client.create_experiment(name, artifact_location=self._artifacts, tags=_KIND))
        except MlflowException:
            # Made by another process a moment ago, or by a request whose answer was lost.
            found = self._client.get_experiment_by_name(name)
            if found is None:
                raise
            return str(found.experiment_id)

    @reached
    def recipe(self, run: RecipeRun) -> str:
        """Return the id of the run of a recipe, which goes on if it was cut short; runs of its folder that nobody goes on with are closed."""
        experiment = self.experiment(run.recipe)
        found = self._find(experiment, {RECIPE_RUN: run.key, "medkd.kind": "recipe"})
        if found:
            self._go_on(found[0])
            return str(found[0].info.run_id)
        for other in self._find(experiment, {RUN_FOLDER: run.tags[RUN_FOLDER]}, running=True):
            if other.data.tags.get(RECIPE_RUN) != run.key:
                self._client.set_terminated(other.info.run_id, status="KILLED")
        made = self._make(experiment, run.recipe, run.tags, {RECIPE_RUN: run.key, "medkd.kind": "recipe"})
        self._log_params(made, run.params)
        return str(made.info.run_id)

    @reached
    def training(self, training: TrackedTraining, *, unless: tuple[str, str] | None = None) -> str:
        """Return the id of the run of a training, below that of its recipe; one that was cut short goes on.

        Args:
            training: which.
            unless: tag and value: a run that has the tag with another value is of another version and left alone.
        """
        experiment, key = self.experiment(training.of.recipe), training.key()
        there = self._find(experiment, {TRAINING: key})
        own = [run for run in there if unless is None or run.data.tags.get(unless[0], unless[1]) == unless[1]]
        if own:
            run = own[0]
            self._go_on(run)
        else:
            tags = {**training.tags, TRAINING: key, "mlflow.parentRunId": self.recipe(training.of)}
            run = self._make(experiment, training.name, tags, {TRAINING: key}, others=there)
        self._log_params(run, training.params)
        if training.datasets and not (run.inputs and run.inputs.dataset_inputs):
            self._client.log_inputs(run.info.run_id, datasets=[_dataset_input(one) for one in training.datasets])
        return str(run.info.run_id)

    def _make(self, experiment: str, name: str, tags: Mapping[str, str], key: Mapping[str, str], others: Sequence[Run] = ()) -> Run:
        """Make a run that is found by ``key``; where several make it at once, or an answer was lost, the oldest is everybody's.

        ``others`` have the same key and are not meant.
        """
        made = self._client.create_run(experiment, run_name=name, tags={**tags, PROCESS: process_mark()})
        not_meant = {run.info.run_id for run in others}
        new = [run for run in self._find(experiment, key) if run.info.run_id not in not_meant]
        oldest: Run = min(new, key=lambda run: (run.info.start_time, run.info.run_id), default=made)
        if oldest.info.run_id != made.info.run_id:
            self._client.delete_run(made.info.run_id)
        return oldest

    def _find(self, experiment: str, tags: Mapping[str, str], *, running: bool = False) -> list[Run]:
        """Return the runs with some tags, oldest first."""
        wanted = [f"tags.`{key}` = '{value}'" for key, value in tags.items()] + ["attributes.status = 'RUNNING'"] * running
        return list(self._client.search_runs([experiment], filter_string=" and ".join(wanted), order_by=["attributes.start_time ASC"]))

    def _go_on(self, run: Run) -> None:
        # One that is over takes metrics too, and nobody would end it again.
        if run.info.status not in ("RUNNING", "FINISHED"):
            self._client.update_run(run.info.run_id, status="RUNNING")
        self._client.set_tag(run.info.run_id, PROCESS, process_mark())

    @reached
    def end_orphans(self) -> tuple[str, ...]:
        """End the runs whose process is gone (from this machine), as killed, and return their names."""
        ended = []
        for experiment in self._client.search_experiments():
            for run in self._client.search_runs([experiment.experiment_id], filter_string="attributes.status = 'RUNNING'"):
                if has_ended(run.data.tags.get(PROCESS, "")):
                    self._client.set_terminated(run.info.run_id, status="KILLED")
                    ended.append(str(run.info.run_name))
        return tuple(ended)

    def _log_params(self, run: Run, params: Mapping[str, str]) -> None:
        new = [Param(key, value[:_LONGEST_PARAM]) for key, value in params.items() if key not in run.data.params]
        for begin in range(0, len(new), _MOST_PARAMS):
            self._client.log_batch(run.info.run_id, params=new[begin : begin + _MOST_PARAMS])

    @reached
    def log_history(self, run_id: str, history: Iterable[Mapping[str, float]]) -> None:
        """Log lines of a journal, each at the step and the time of its epoch; what is there already stays as it is."""
        since = 0 if all(TIME in line for line in history) else self._client.get_run(run_id).info.start_time
        self._log(run_id, curves(history, since))

    @reached
    def complete_history(self, run_id: str, history: Sequence[Mapping[str, float]]) -> None:
        """Log the lines of a journal whose epochs a run does not have."""
        named = next((name for line in history[:1] for name in line if name not in (EPOCH, TIME)), None)
        if named is None:
            return
        there = {metric.step for metric in self._client.get_metric_history(run_id, named)}
        missing = [line for line in history if int(line[EPOCH]) not in there]
        if missing:
            self.log_history(run_id, missing)

    @reached
    def log_final(self, run_id: str, metrics: Mapping[str, float], *, model_id: str | None = None, at: float | None = None) -> None:
        """Log final figures; ``at`` is when they were made (seconds since 1970), which a repetition must say alike."""
        moment = int(1000 * at) if at is not None else self._client.get_run(run_id).info.start_time
        self._log(run_id, [Metric(key, float(value), moment, 0, model_id=model_id) for key, value in metrics.items()])

    def _log(self, run_id: str, metrics: Sequence[Metric]) -> None:
        for begin in range(0, len(metrics), _MOST_METRICS):
            self._client.log_batch(run_id, metrics=metrics[begin : begin + _MOST_METRICS])

    @reached
    def finish_recipe(self, run: RecipeRun, summary: LoggedRun, note: str) -> None:
        """Put figures and files of all arms into the run of a recipe, and end it and whatever of it still runs."""
        experiment = self.experiment(run.recipe)
        said = hashlib.sha256(json.dumps([sorted(summary.metrics.items()), note]).encode()).hexdigest()
        found = self._find(experiment, {RECIPE_RUN: run.key, "medkd.kind": "recipe"})
        if not found or found[0].data.tags.get(_FIGURES) != said:
            run_id = self.recipe(run)
            self.log_final(run_id, summary.metrics, at=time.time())
            for path in summary.files:
                self._client.log_artifact(run_id, str(path))
            self._client.set_experiment_tag(experiment, "mlflow.note.content", note[:_LONGEST_TAG])
            # Last: where it stands everything before it is there.
            self._client.set_tag(run_id, _FIGURES, said)
            self._client.set_terminated(run_id)
        elif found[0].info.status == "RUNNING":
            self._client.set_terminated(found[0].info.run_id)
        self._end_rest(run, "KILLED")

    @reached
    def abandon_recipe(self, run: RecipeRun, status: str) -> None:
        """End what of a recipe's run still runs, without having come to its end."""
        if self._client.get_experiment_by_name(run.recipe) is not None:
            self._end_rest(run, status)

    def _end_rest(self, run: RecipeRun, status: str) -> None:
        for left in self._find(self.experiment(run.recipe), {RECIPE_RUN: run.key}, running=True):
            self._client.set_terminated(left.info.run_id, status=status)

    def begin(self, experiment: str, name: str, tags: Mapping[str, str], params: Mapping[str, str]) -> str:
        """Make a run that stands alone and return its id; runs of the same tags that never ended are closed."""
        where = self.experiment(experiment)
        for left in self._find(where, tags, running=True):
            self._client.set_terminated(left.info.run_id, status="KILLED")
        made = self._client.create_run(where, run_name=name, tags={**tags, PROCESS: process_mark()})
        self._log_params(made, params)
        return str(made.info.run_id)

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run."""
        self._client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])

    def write(self, run: LoggedRun, run_id: str) -> None:
        """Fill a run that was made and end it."""
        now = time.time()
        self._log(run_id, curves(run.history, int(1000 * now)))
        self.log_final(run_id, run.metrics, at=now)
        self._log_params(self._client.get_run(run_id), run.params)
        for path in run.files:
            self._client.log_artifact(run_id, str(path))
        self._client.set_terminated(run_id)


def curves(history: Iterable[Mapping[str, float]], moment: int) -> list[Metric]:
    """Return lines of a journal as metrics; ``moment`` (milliseconds since 1970) is that of lines which do not say theirs."""
    return list(_curves(history, moment))


def _curves(history: Iterable[Mapping[str, float]], moment: int) -> Iterator[Metric]:
    for line in history:
        at = int(1000 * line[TIME]) if TIME in line else moment
        for key, value in line.items():
            if key not in (EPOCH, TIME):
                yield Metric(key, float(value), at, int(line[EPOCH]))


def _dataset_input(dataset: Dataset) -> DatasetInput:
    source: dict[str, Any] = {"cohort": dataset.digest}
    entity = MlflowDataset(dataset.name, dataset.digest, source_type="medkd", source=json.dumps(source))
    return DatasetInput(entity, tags=[InputTag("mlflow.data.context", dataset.context)])
