"""An engine put in charge, and what is cleared away when it is over."""

from __future__ import annotations

import os

import pytest

from data_contracts import MissingDependencyError, StoreError
from flows.engine import current_engine
from flows.start import start_engine
from tests.ground_truth import CANARY, open_to_others, places_of


def fail(path: str) -> int:
    raise StoreError("STORE_MISSING", f"expected bytes at {path}, found none")


def test_a_failure_of_the_log_names_the_kind_and_the_code_only(tmp_path):
    with pytest.raises(StoreError), start_engine("none", tmp_path / "run", workers=0):
        fail(CANARY)
    assert "ended by StoreError STORE_MISSING" in (tmp_path / "run" / "run.log").read_text()
    assert places_of(CANARY, tmp_path / "run") == []


def test_an_engine_is_in_charge_for_a_while_and_what_is_made_meanwhile_is_its_owners(tmp_path):
    before = os.umask(0o022)
    try:
        with start_engine("none", tmp_path / "run", workers=0) as engine:
            assert current_engine() is engine
            assert (engine.name, engine.workers) == ("none", None)
            (tmp_path / "run" / "made").touch()
    finally:
        umask_after = os.umask(before)
    assert umask_after == 0o022
    assert current_engine() is not engine
    assert open_to_others(tmp_path / "run") == []


@pytest.mark.parametrize("wanted", ["two", "-1", "1025", "1" * 30, "²"])
def test_a_number_of_processes_that_is_none_is_refused(tmp_path, monkeypatch, wanted):
    monkeypatch.setenv("MEDKD_WORKERS", wanted)
    with pytest.raises(MissingDependencyError, match="from 0 to 1024 in MEDKD_WORKERS") as caught, start_engine("none", tmp_path / "run"):
        pass
    assert caught.value.code == "WORKERS_INVALID"


def test_no_process_is_started_where_none_is_wanted(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDKD_WORKERS", "0")
    with start_engine("none", tmp_path / "run") as engine:
        assert engine.workers is None


def test_where_prefect_is_not_installed_it_is_said_what_to_choose(tmp_path, monkeypatch):
    monkeypatch.setattr("flows.start.importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match="--engine none") as caught, start_engine("prefect", tmp_path / "run", workers=0):
        pass
    assert caught.value.code == "PREFECT_MISSING"
    with start_engine("none", tmp_path / "run", workers=0):
        pass
