"""Flow: runs whose process is gone are said to be over, in Prefect and in MLflow, and deployments go on with them.

A process that was killed, or a machine that lost power, says no goodbye: its runs would be running for ever, and a deployment that has one run
at a time would wait for ever. Our runs carry the mark of their process (``medkd.process``). What another machine does is left to that machine's own reconciliation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from flows.work import log_to_run
from medkd.registry.publish import open_registry
from medkd.storage.process_mark import PROCESS, has_ended
from medkd.storage.workspace import Workspace

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.schemas.objects import FlowRun

#: Flow runs that Prefect's API gives at a time.
_PAGE = 200
#: States of runs that somebody is at, and of runs that are over (``prefect.client.schemas.objects.StateType``).
_AT_WORK, _OVER = ("RUNNING", "PENDING", "CANCELLING"), ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
#: A crash that is older is not begun again; nor is a deployment whose last runs, so many, all crashed: somebody has to look.
RECENT, MOST_TRIES = timedelta(days=1), 3


@dataclass(frozen=True)
class Reconciled:
    """What was found dead.

    Attributes:
        flow_runs: names of Prefect's runs, crashed from now on.
        restarted: names of the deployed ones among them that were begun again.
        tracked_runs: names of MLflow's runs, killed from now on.
    """

    flow_runs: tuple[str, ...] = ()
    restarted: tuple[str, ...] = ()
    tracked_runs: tuple[str, ...] = ()


def reconcile_runs(workspace: Workspace, *, again: bool = True) -> Reconciled:
    """Say of runs whose process is gone that they are over; with ``again``, runs of deployments are begun again."""
    tracked = open_registry(workspace).end_orphans()
    crashed, restarted = _reconcile_prefect(again)
    done = Reconciled(crashed, restarted, tracked)
    log_to_run("%d runs of Prefect and %d of MLflow were of processes that are gone", len(crashed), len(tracked))
    return done


def _reconcile_prefect(again: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    from prefect.client.orchestration import get_client
    from prefect.states import Crashed

    crashed = []
    with get_client(sync_client=True) as client:
        for run in _runs_in(*_AT_WORK):
            if is_orphan(run):
                # Forced: a run is moved from any state, and gives back the slot that it held.
                client.set_flow_run_state(run.id, Crashed(message="its process is gone"), force=True)
                crashed.append(run.name)
        restarted = to_restart(_runs_in(*_AT_WORK, *_OVER, since=datetime.now(UTC) - RECENT)) if again else []
        for run in restarted:
            # By the deployment's own parameters: what a run had of its own is not written down.
            if run.deployment_id is not None:
                client.create_flow_run_from_deployment(run.deployment_id, tags=["restarted"])
    return tuple(crashed), tuple(run.name for run in restarted)


def to_restart(runs: Sequence[FlowRun]) -> list[FlowRun]:
    """Return the runs of deployments to begin again: the newest of each, where it crashed and not all of the last ones did.

    A process worker says itself that a process of its own crashed, but begins nothing again.

    Args:
        runs: of the last days, in any order; those that wait for their time are left out.
    """
    by_deployment: dict[UUID, list[FlowRun]] = {}
    for run in sorted(runs, key=lambda one: one.start_time or one.expected_start_time or datetime.min.replace(tzinfo=UTC), reverse=True):
        if run.deployment_id is not None:
            by_deployment.setdefault(run.deployment_id, []).append(run)
    newest = [own[0] for own in by_deployment.values() if not _all_crashed(own[:MOST_TRIES])]
    return [run for run in newest if _has_crashed(run)]


def _all_crashed(runs: Sequence[FlowRun]) -> bool:
    return len(runs) == MOST_TRIES and all(map(_has_crashed, runs))


def _has_crashed(run: FlowRun) -> bool:
    return run.state_type is not None and run.state_type.value == "CRASHED"


def _runs_in(*states: str, since: datetime | None = None) -> list[FlowRun]:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterExpectedStartTime, FlowRunFilterState, FlowRunFilterStateType
    from prefect.client.schemas.objects import StateType

    wanted = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType(name) for name in states])),
        expected_start_time=None if since is None else FlowRunFilterExpectedStartTime(after_=since),
    )
    found: list[FlowRun] = []
    with get_client(sync_client=True) as client:
        while True:
            page = client.read_flow_runs(flow_run_filter=wanted, limit=_PAGE, offset=len(found))
            found += page
            if len(page) < _PAGE:
                return found


def is_orphan(run: FlowRun) -> bool:
    """Return whether the process of a flow run is gone; a run of another machine, or of somebody else's, is no orphan."""
    marks = [tag.removeprefix(f"{PROCESS}:") for tag in run.tags if tag.startswith(f"{PROCESS}:")]
    return bool(marks) and has_ended(marks[-1]) is True
