from __future__ import annotations

import pytest


@pytest.mark.parametrize("command", [("deploy",), ("status",)])
def test_without_a_server_they_say_how_to_name_one(here, monkeypatch, command):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    status, _, errors = here(*command)
    assert status == 2
    assert errors.strip().splitlines()[-1].startswith("PREFECT_UNNAMED: expected PREFECT_API_URL")


@pytest.mark.parametrize("command", [("status", "--run"), ("ui", "--run")])
def test_a_folder_that_is_no_run_is_said(here, tmp_path, command):
    status, _, errors = here(*command, tmp_path / "nowhere")
    assert status == 2
    assert errors.strip().splitlines()[-1].startswith("RUN_MISSING: expected a run")


@pytest.mark.xdist_group("demo")
def test_a_finished_run_tells_what_ran_in_it(smoke, here):
    status, said, errors = here("status", "--run", smoke.folder)
    assert status == 0, errors
    assert said.splitlines()[0].endswith("1 completed")
    assert "pipeline phantom-classif" in said
