"""Every version in MLflow with its tags, figures and aliases, asked page by page and not version by version."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from medkd.registry.mlflow_contents import ATTACHED
from medkd.registry.mlflow_model import MODEL_TAG

#: Experiments that one search of logged models names.
_MOST_EXPERIMENTS = 50


def all_versions(client: MlflowClient) -> list[ModelVersion]:
    """Return every version of every name."""
    return list(_pages(lambda token: client.search_model_versions(max_results=1000, page_token=token)))


def aliases_by_version(client: MlflowClient, names: set[str]) -> dict[tuple[str, int], tuple[str, ...]]:
    """Return the aliases that stand at each version; asked of the models, since a search of versions gives none (MLflow 16734)."""
    found: dict[tuple[str, int], tuple[str, ...]] = {}
    for name in sorted(names):
        for alias, version in sorted(client.get_registered_model(name).aliases.items()):
            found[name, int(version)] = (*found.get((name, int(version)), ()), alias)
    return found


def figures_by_model(client: MlflowClient) -> dict[str, dict[str, float]]:
    """Return the final figures of each logged model, by its id."""
    experiments = [one.experiment_id for one in _pages(lambda token: client.search_experiments(page_token=token))]
    found: dict[str, dict[str, float]] = {}
    for begin in range(0, len(experiments), _MOST_EXPERIMENTS):
        some = experiments[begin : begin + _MOST_EXPERIMENTS]
        for model in _pages(lambda token, some=some: client.search_logged_models(some, page_token=token)):  # type: ignore[misc]
            found[model.model_id] = {one.key: float(one.value) for one in model.metrics or ()}
    return found


def figures_of(client: MlflowClient, version: ModelVersion, known: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return the final figures of a version: of its logged model, or of its run where it was registered before versions had one."""
    if MODEL_TAG in version.tags:
        return dict(known.get(version.tags[MODEL_TAG], {}))
    return dict(client.get_run(str(version.run_id)).data.metrics)


def plain_tags(version: ModelVersion) -> dict[str, str]:
    """Return the tags of a version less those that keep digests of attached files."""
    return {key: value for key, value in sorted(version.tags.items()) if not key.startswith(ATTACHED)}


def _pages(ask: Callable[[str | None], Any]) -> Iterator[Any]:
    token: str | None = None
    while True:
        page = ask(token)
        yield from page
        token = page.token
        if not token:
            return
