"""Old runs in the records of a run folder's own Prefect, found and removed by Prefect's API; its tables are its own business."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from flows.environment import prepare_environment
from flows.prefect_database import DATABASE, prepare_prefect

#: Flow runs that Prefect's API gives at a time.
_PAGE = 200


class OldFlowRun(NamedTuple):
    """A flow run: its id in Prefect, its name, and when it was to start."""

    run_id: UUID
    name: str
    started: datetime


class PrefectHistory:
    """The flow runs of an embedded Prefect that are older than what is kept.

    Args:
        url: of its API.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def older_than(self, days: int) -> tuple[OldFlowRun, ...]:
        """Return the flow runs that were to start more than so many days ago, the oldest first."""
        from prefect.client.orchestration import SyncPrefectClient
        from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterExpectedStartTime
        from prefect.client.schemas.sorting import FlowRunSort

        before = FlowRunFilter(expected_start_time=FlowRunFilterExpectedStartTime(before_=datetime.now(UTC) - timedelta(days=days)))
        found: list[OldFlowRun] = []
        with SyncPrefectClient(self.url) as client:
            while True:
                page = client.read_flow_runs(
                    flow_run_filter=before, sort=FlowRunSort.EXPECTED_START_TIME_ASC, limit=_PAGE, offset=len(found)
                )
                found += [OldFlowRun(run.id, run.name, run.expected_start_time or datetime.now(UTC)) for run in page]
                if len(page) < _PAGE:
                    return tuple(found)

    def remove(self, run: OldFlowRun) -> None:
        """Remove a flow run and its task runs; one that is gone already is no mistake."""
        from prefect.client.orchestration import SyncPrefectClient
        from prefect.exceptions import ObjectNotFound

        with SyncPrefectClient(self.url) as client:
            try:
                client.delete_flow_run(run.run_id)
            except ObjectNotFound:
                return


@contextmanager
def prefect_history(run: Path) -> Iterator[PrefectHistory | None]:
    """Open the records of a run's own Prefect for a while: its server runs meanwhile. None where a run has none.

    Args:
        run: folder of the run; nothing else may work in it.
    """
    home = run / "prefect"
    if not (home / DATABASE).is_file():
        yield None
        return
    prepare_environment()
    prepare_prefect(home)
    from flows.prefect_server import EmbeddedServer

    server = EmbeddedServer(home)
    try:
        server.wait()
        yield PrefectHistory(server.url)
    finally:
        server.stop()
