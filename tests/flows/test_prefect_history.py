"""Old runs in the records of an embedded Prefect."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import uuid4

import pytest

from flows.prefect_history import PrefectHistory, prefect_history


@pytest.mark.extended
def test_old_runs_of_prefect_go_by_its_api(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    from prefect import flow
    from prefect.client.orchestration import SyncPrefectClient

    with prefect_history(tmp_path) as history:
        assert history is None
    (tmp_path / "prefect").mkdir(exist_ok=True)  # Prefect makes its home where this is what imports it first
    (tmp_path / "prefect" / "prefect.db").touch()
    with prefect_history(tmp_path) as history:
        with SyncPrefectClient(history.url) as client:
            names = {client.create_flow_run(flow(name=name)(lambda: None)).name for name in ("first", "second")}
        assert history.older_than(1) == ()
        found = history.older_than(0)
        assert {run.name for run in found} == names
        for run in (*found, found[0]):
            history.remove(run)
        assert history.older_than(0) == ()


class Records:
    """Stands for Prefect's API: gives so many flow runs, a page at a time, and forgets those that are removed."""

    def __init__(self, count):
        self.runs = [SimpleNamespace(id=uuid4(), name=str(number), expected_start_time=datetime.now(UTC)) for number in range(count)]
        self.pages = []

    def __call__(self, url):
        assert url == "http://prefect/api"
        return nullcontext(self)

    def read_flow_runs(self, *, flow_run_filter, sort, limit, offset):
        self.pages.append((flow_run_filter.expected_start_time.before_, sort.value, offset))
        return self.runs[offset : offset + limit]

    def delete_flow_run(self, run_id):
        from prefect.exceptions import ObjectNotFound

        left = [run for run in self.runs if run.id != run_id]
        if len(left) == len(self.runs):
            raise ObjectNotFound(http_exc=LookupError())
        self.runs = left


def test_every_page_of_old_runs_is_read_and_one_that_is_gone_is_no_mistake(monkeypatch):
    from prefect.client import orchestration

    records, history = Records(450), PrefectHistory("http://prefect/api")
    monkeypatch.setattr(orchestration, "SyncPrefectClient", records)
    found = history.older_than(30)
    assert [run.name for run in found] == [str(number) for number in range(450)]
    assert [offset for _, _, offset in records.pages] == [0, 200, 400]
    before, order, _ = records.pages[0]
    assert (order, round((datetime.now(UTC) - before).total_seconds() / 86400)) == ("EXPECTED_START_TIME_ASC", 30)
    for run in (found[0], found[0], found[449]):
        history.remove(run)
    assert [run.name for run in records.runs] == [str(number) for number in range(1, 449)]
