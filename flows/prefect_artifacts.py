"""What the page of a flow run shows beside its log: progress, verdicts, figures, registered versions. No path and no name of a file."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from data_contracts import DriftReport, Estimate, GateVerdict
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import Workspace


class Progress:
    """The share of a flow run that is done, as an artefact of it.

    Args:
        expected: groups of calls and about how long each takes; nothing is shown of a flow that expects nothing.
    """

    def __init__(self, expected: Mapping[str, float]) -> None:
        self._left = dict(expected)
        self._all = sum(expected.values())
        self._artifact: UUID | None = None

    def finished(self, title: str) -> None:
        """Note that a group of calls is over."""
        if title not in self._left or not self._all:
            return
        del self._left[title]
        from prefect.artifacts import create_progress_artifact, update_progress_artifact

        share = 100.0 * (1 - sum(self._left.values()) / self._all)
        if self._artifact is None:
            made: Any = create_progress_artifact(progress=share, key="progress", description="share of the expected time")
            self._artifact = made
        else:
            update_progress_artifact(self._artifact, progress=share)


def show_gate(recipe: str, verdict: GateVerdict) -> None:
    """Show what the gate says of a teacher."""
    if not _is_recorded():
        return
    from prefect.artifacts import create_markdown_artifact

    said = "passed" if verdict.passed else "failed"
    lines = [
        f"- {'holds' if one.holds else 'fails'}: {one.requirement}, "
        f"{one.why if one.measured is None else f'measured {one.measured:.4g}'}, bound {one.bound:.4g}"
        for one in verdict.findings
    ]
    lines += [f"- not measured: {name}, {why}" for name, why in verdict.not_measured.items()]
    create_markdown_artifact(
        key=f"teacher-gate-{key_of(recipe)}",
        markdown="\n".join((f"# The teacher of {recipe} {said} its gate", "", *lines)),
        description=f"{recipe}: {said}",
    )


def show_scorecards(results: Sequence[RecipeResult]) -> None:
    """Show the figures of every arm of every recipe: mean and interval."""
    if not _is_recorded():
        return
    from prefect.artifacts import create_table_artifact

    for result in results:
        rows = [
            {"of": card.subject, "figure": name, **_figure(estimate)}
            for card in result.scorecards
            for name, estimate in card.figures.items()
        ]
        create_table_artifact(key=f"scorecards-{key_of(result.recipe.name)}", table=rows, description=f"scorecards of {result.recipe.name}")


def show_registered(workspace: Workspace, results: Sequence[RecipeResult]) -> None:
    """Show which versions were registered; with a tracking server, by links to their pages."""
    if not _is_recorded():
        return
    from prefect.artifacts import create_link_artifact, create_table_artifact

    for result in results:
        if result.registered is None:
            continue
        models = result.registered.models
        rows = [{"model": f"models:/{model.name}/{model.version}", "role": model.role.value} for model in models]
        create_table_artifact(key=f"registered-{key_of(result.recipe.name)}", table=rows, description=f"versions of {result.recipe.name}")
        tracking_uri = workspace.tracking_uri
        if tracking_uri.startswith(("http://", "https://")):
            for name in dict.fromkeys(model.name for model in models):
                link = f"{tracking_uri.rstrip('/')}/#/models/{name}"
                create_link_artifact(key=f"mlflow-{key_of(name)}", link=link, link_text=name, description=f"{name} in MLflow")


def show_drift(report: DriftReport) -> None:
    """Show what drift was found of a model: sentences, and a row per window."""
    if not _is_recorded():
        return
    from prefect.artifacts import create_markdown_artifact, create_table_artifact

    from medkd.drift.drift_text import drift_markdown, drift_rows

    key = key_of(report.model.removeprefix("models:/"))
    create_markdown_artifact(key=f"drift-{key}", markdown=drift_markdown(report), description=f"drift of {report.model}")
    create_table_artifact(key=f"drift-windows-{key}", table=drift_rows(report), description=f"windows of {report.model}")


def key_of(name: str) -> str:
    """Return a name as Prefect wants the key of an artefact: lower-case letters, digits and dashes."""
    return "-".join(filter(None, "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower()).split("-")))


def _figure(estimate: Estimate) -> dict[str, float | int]:
    return {"mean": round(estimate.mean, 4), "low": round(estimate.low, 4), "high": round(estimate.high, 4), "n": estimate.n}


def _is_recorded() -> bool:
    """Say whether this is a part of a flow run."""
    if "prefect" not in sys.modules:
        return False
    from prefect.runtime import flow_run

    return flow_run.id is not None
