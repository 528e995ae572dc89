"""Flow: runs whose process is gone are said to be over, in Prefect and in MLflow, and deployments go on with them.

A process that was killed, or a machine that lost power, says no goodbye: its runs would be running for ever, and a deployment that has one run
at a time would wait for ever. Our runs carry the mark of their process (``medkd.process``). What another machine does is left to that machine's own reconciliation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.work import log_to_run
from medkd.registry.publish import open_registry
from medkd.storage.process_mark import PROCESS, has_ended
from medkd.storage.workspace import Workspace

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

#: Flow runs that Prefect's API gives at a time.
_PAGE = 200


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

    crashed, restarted = [], []
    with get_client(sync_client=True) as client:
        for run in list(_running()):
            if not is_orphan(run):
                continue
            # Forced: a run is moved from any state, and gives back the slot that it held.
            client.set_flow_run_state(run.id, Crashed(message="its process is gone"), force=True)
            crashed.append(run.name)
            if again and run.deployment_id is not None:
                client.create_flow_run_from_deployment(run.deployment_id, tags=["begun again"])
                restarted.append(run.name)
    return tuple(crashed), tuple(restarted)


def _running() -> list[FlowRun]:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
    from prefect.client.schemas.objects import StateType

    wanted = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.CANCELLING])))
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
