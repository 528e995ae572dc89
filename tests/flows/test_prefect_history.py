"""Old runs in the records of an embedded Prefect."""

from __future__ import annotations


def test_old_runs_of_prefect_go_by_its_api(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    from prefect import flow
    from prefect.client.orchestration import SyncPrefectClient

    from flows.prefect_history import prefect_history

    with prefect_history(tmp_path) as history:
        assert history is None
    (tmp_path / "prefect").mkdir()
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
