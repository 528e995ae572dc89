"""The deployed flows of ``prefect.yaml``. Each says in a few words what it did; one with nothing to do says so within a second or two."""

from __future__ import annotations

import os
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect.events import emit_event

from data_contracts import RetentionPolicy
from flows.deployed import STUDIES, deployed, folder_of_studies, require_local
from flows.environment import data_root
from flows.plan import workers_for
from flows.policy import read_policy
from flows.site import Site
from flows.start import start_engine
from medkd.feedback.log import FeedbackLog
from medkd.storage.workspace import Workspace, local_workspace

#: Event of Prefect that a series was accepted: what the deployment of the champion is triggered by.
ACCEPTED = "medkd.series.accepted"


def _workspace(out: str, tracking_uri: str | None) -> Workspace:
    embedded = local_workspace(Path(out).resolve(), data_root=data_root())
    return embedded if tracking_uri is None else Workspace(embedded.root, tracking_uri, data_root=embedded.data_root)


def _ingest_watch(out: str = "runs/site", settle_s: float = 120.0, policy: str | None = None) -> str:
    """Ingest what arrived in ``MEDKD_STUDIES`` and has not changed for a while."""
    inbox, site = folder_of_studies(), Site.claimed(Path(out).resolve())
    if not site.inbox(inbox, settle_s).arrivals():
        return "nothing new"
    from flows.ingest_watch import ingest_watch

    with site.alone(), start_engine("prefect", site.root / "ingest-watch", workers=0):
        taken = ingest_watch(site, inbox, settle_s, read_policy(policy))
    for key in taken.accepted:
        emit_event(ACCEPTED, resource={"prefect.resource.id": f"medkd.series.{key}"})
    refused = f", {len(taken.refused)} refused ({', '.join(sorted(set(taken.refused)))})" if taken.refused else ""
    return f"{taken.arrivals} entries, {len(taken.accepted)} new series{refused}"


def _run_champion(models: list[str], out: str = "runs/site", tracking_uri: str | None = None, most: int = 0) -> str:
    """Ask champions about every series that is not on the worklist yet."""
    site, workspace = Site.claimed(Path(out).resolve()), _workspace(out, tracking_uri)
    from flows.run_champion import run_champion

    with site.alone(), start_engine("prefect", site.root / "run-champion", workers=0):
        entries = run_champion(site, workspace.tracking_uri, tuple(models), most)
    refused = sum(one.outcome == "refused" for one in entries)
    return f"{len(entries) - refused} reported, {refused} refused" if entries else "nothing to read"


def _return_results(out: str = "runs/site", to: str | None = None) -> str:
    """Publish what was reported as DICOM of the original studies; with ``to``, send it to that archive."""
    site = Site.claimed(Path(out).resolve())
    if not any(one.page is not None and (one.results is None or (to and one.returned_to != to)) for one in site.worklist().entries):
        return "nothing to return"
    from flows.return_results import return_results

    with site.alone(), start_engine("prefect", site.root / "return-results", workers=0):
        done = return_results(site, to)
    refused = f", {len(done.refused)} refused ({', '.join(sorted({one.code for one in done.refused}))})" if done.refused else ""
    return f"{done.written} sets of results{f', {done.sent} sent' if to else ''}{refused}"


def _nightly_distill(
    recipes: list[str],
    out: str = "runs/nightly",
    studies: str | None = None,
    tracking_uri: str | None = None,
    overrides: dict[str, Any] | None = None,
    policy: str | None = None,
    candidate: bool = False,
) -> str:
    """Take recipes from data to registered models when something changed; with ``studies``, report the test patients too."""
    require_local({"studies": studies})
    from flows.nightly_distill import NightlyRun, distill_when_changed

    named = studies or os.environ.get(STUDIES)
    wanted = NightlyRun(
        tuple(Path(name) for name in recipes),
        Path(out).resolve(),
        None if named is None else Path(named),
        tracking_uri,
        overrides,
        policy,
        candidate,
    )
    summary = distill_when_changed(wanted)
    if summary is None:
        return "nothing changed"
    return f"{len(summary['models'])} versions, {summary['explanations']} explanations, {len(summary['reports'])} reports"


def _redistill(
    recipe: str,
    feedback: str = "runs/site/feedback",
    out: str = "runs/nightly",
    arm: str | None = None,
    tracking_uri: str | None = None,
    overrides: dict[str, Any] | None = None,
) -> str:
    """Distil a student again when readers said something new of the last one; it is proposed only where the gate passes."""
    from medkd.feedback.register_student import followed_logs
    from medkd.training.recipes import read_recipe

    workspace, wanted = _workspace(out, tracking_uri), read_recipe(Path(recipe), overrides)
    head = FeedbackLog(Path(feedback)).last
    if head is None:
        return "no feedback"
    if head in followed_logs(workspace):
        return "nothing new"
    from flows.redistill import Readings, read_directives, redistill

    directives = read_directives(wanted, Readings(Path(feedback), workspace.root))
    with start_engine("prefect", workspace.root, workers=workers_for((wanted,))):
        result = redistill(workspace, wanted, directives, arm)
    return (
        f"refused by {', '.join(result.refused_by)}"
        if result.candidate is None
        else f"candidate {result.candidate.name}/{result.candidate.version}"
    )


def _explain_candidate(
    recipes: list[str], out: str = "runs/nightly", tracking_uri: str | None = None, overrides: dict[str, Any] | None = None
) -> str:
    """Explain the candidates of recipes on their test cases."""
    from flows.explain_candidate import candidates_of, explain_candidates
    from medkd.registry.publish import open_registry
    from medkd.training.recipes import read_recipe

    workspace = _workspace(out, tracking_uri)
    chosen = tuple(read_recipe(Path(name), overrides) for name in recipes)
    if not any(candidates_of(open_registry(workspace), recipe) for recipe in chosen):
        return "no candidate"
    with start_engine("prefect", workspace.root, workers=0):
        bundles = explain_candidates(workspace, chosen)
    return f"{len(bundles)} candidates explained"


def _weekly_review_sample(out: str = "runs/site", count: int = 10) -> str:
    """Draw some of the week's reports for a second reading."""
    from flows.review_sample import write_sample

    written = write_sample(Site.claimed(Path(out).resolve()), datetime.now(UTC), count)
    return "nothing was reported this week" if written is None else f"{written[1]} reports in {written[0].parent.name}"


def _drift(
    models: list[str], out: str = "runs/site", tracking_uri: str | None = None, alarm_rate: float = 0.01, window_studies: int = 20
) -> str:
    """Compare what the worklist got lately with the references of the models, without labels."""
    site, workspace = Site.claimed(Path(out).resolve()), _workspace(out, tracking_uri)
    if not site.worklist().entries:
        return "nothing was reported yet"
    from flows.drift import drift
    from medkd.drift.compare_window import settings_for

    with start_engine("prefect", site.root / "drift-runs", workers=0):
        found = drift(site, workspace.tracking_uri, tuple(models), settings_for(alarm_rate, window_studies))
    return "; ".join(one.said for one in found)


def _reconcile(out: str = "runs/site", tracking_uri: str | None = None, again: bool = True) -> str:
    """Say of runs whose process is gone that they are over, and begin deployed ones again."""
    from flows.reconcile import reconcile_runs

    done = reconcile_runs(_workspace(out, tracking_uri), again=again)
    return f"{len(done.flow_runs)} flow runs crashed, {len(done.restarted)} begun again, {len(done.tracked_runs)} tracked runs killed"


def _gc(out: str = "runs/nightly", policy: dict[str, Any] | None = None, remove: bool = False) -> str:
    """Say what nothing needs any more; with ``remove``, remove it."""
    from data_contracts.private import privately
    from medkd.lineage.clean_run import clean_run, judge_run
    from medkd.registry.mlflow_registry import MlflowRegistry
    from medkd.storage.run_lock import alone_in

    workspace, wanted = _workspace(out, None), RetentionPolicy.model_validate(policy or {})
    with ExitStack() as stack:
        stack.enter_context(privately())
        stack.enter_context(alone_in(workspace.root))
        registry = MlflowRegistry(workspace.tracking_uri, artifacts=workspace.root / "mlartifacts")
        judged = judge_run(workspace.root, registry, wanted)
        removed = clean_run(judged) if remove else ()
    going = [one for one in judged if not one.stays]
    return f"{len(removed)} removed" if remove else f"{len(going)} would go"


ingest_watch, run_champion, nightly_distill = deployed(_ingest_watch), deployed(_run_champion), deployed(_nightly_distill)
explain_candidate, weekly_review_sample = deployed(_explain_candidate), deployed(_weekly_review_sample)
redistill = deployed(_redistill)
drift, reconcile, gc, return_results = deployed(_drift), deployed(_reconcile), deployed(_gc), deployed(_return_results)
