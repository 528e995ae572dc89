"""What Prefect has of the last days: runs by state, why some failed, what is due next."""

from __future__ import annotations

from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from flows.run_log import clock
from flows.tables import table

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

#: Flow runs that Prefect's API gives at a time, and how many are listed.
_PAGE, _LISTED = 200, 30


@dataclass(frozen=True)
class RunLine:
    """A flow run: its name, its state, what the state says, when it was to start (ISO 8601), and the seconds it took."""

    name: str
    state: str
    said: str
    start: str
    seconds: float


@dataclass(frozen=True)
class Status:
    """Flow runs, the newest first, and how many there are in each state."""

    runs: tuple[RunLine, ...]
    counts: dict[str, int]

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {"runs": [asdict(one) for one in self.runs], "counts": self.counts}


def read_status(url: str | None, days: int) -> Status:
    """Return the runs of so many days, and those that are due.

    Args:
        url: of Prefect's API; None is what the settings name.
        days: how far back.
    """
    from prefect.client.orchestration import SyncPrefectClient, get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterExpectedStartTime
    from prefect.client.schemas.sorting import FlowRunSort

    since = FlowRunFilter(expected_start_time=FlowRunFilterExpectedStartTime(after_=datetime.now(UTC) - timedelta(days=days)))
    opened: AbstractContextManager[SyncPrefectClient] = get_client(sync_client=True) if url is None else SyncPrefectClient(url)
    lines: list[RunLine] = []
    with opened as client:
        names: dict[Any, str] = {}
        while True:
            page = client.read_flow_runs(flow_run_filter=since, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=_PAGE, offset=len(lines))
            for run in page:
                if run.flow_id not in names:
                    names[run.flow_id] = client.read_flow(run.flow_id).name
                # Ours say flow and recipes; Prefect's own names of deployed runs (two words drawn by chance) say nothing.
                own = run.name if run.name.startswith(names[run.flow_id]) else names[run.flow_id]
                start = run.start_time or run.expected_start_time
                lines.append(
                    RunLine(
                        own,
                        run.state_name or "unknown",
                        (run.state.message if run.state and run.state.message else "") or "",
                        "" if start is None else start.astimezone(UTC).isoformat(timespec="seconds"),
                        run.total_run_time.total_seconds() if run.total_run_time else 0.0,
                    )
                )
            if len(page) < _PAGE:
                break
    return Status(tuple(lines), dict(Counter(one.state for one in lines)))


def status_text(found: Status) -> str:
    """Return it for people: counts, then the newest runs, none wider than a terminal."""
    if not found.runs:
        return "nothing ran"
    counts = ", ".join(f"{count} {state.lower()}" for state, count in sorted(found.counts.items()))
    done = [one for one in found.runs if one.state != "Scheduled"]
    due = {one.name: one for one in found.runs if one.state == "Scheduled"}  # the newest first: what stays is the next of each
    shown = [*done[:_LISTED], *due.values()]
    columns = {
        "state": [one.state for one in shown],
        "time": [clock(one.seconds) for one in shown],
        "run": [_cut(one.name, 26) for one in shown],
        "said": [_cut(one.said if one.state != "Scheduled" else "", 36) for one in shown],
    }
    more = f"\nand {len(done) - _LISTED} more; --json has all" if len(done) > _LISTED else ""
    return f"{counts}\n\n{table('start, UTC', [one.start[:16].replace('T', ' ') for one in shown], columns)}{more}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
