"""Work that an orchestrator runs without being told what with, what came of it, or why it failed."""

from __future__ import annotations

import pytest

from data_contracts import StoreError
from flows.confidential_call import ERROR, ConfidentialCall, WorkFailed, named
from tests.ground_truth import CANARY, open_to_others


def fail(path: str) -> int:
    raise StoreError("STORE_MISSING", f"expected bytes at {path}, found none")


def test_the_sentence_of_an_untold_error_lies_in_quarantine(tmp_path):
    with pytest.raises(WorkFailed, match="StoreError STORE_MISSING") as caught:
        ConfidentialCall(fail, (CANARY,), error_in=tmp_path).finish()
    assert CANARY not in str(caught.value)
    assert CANARY in (tmp_path / ERROR).read_text()
    assert open_to_others(tmp_path / "quarantine") == []


def test_whoever_waits_gets_the_result_and_the_orchestrator_none():
    seen = []
    work = ConfidentialCall(lambda left, *, right: left + right, ("a",), {"right": "b"})
    assert work.by(lambda: seen.append(work.body())) == "ab"
    assert seen == [None]


def test_whoever_waits_gets_the_error_itself_and_the_orchestrator_its_code_only():
    seen = []
    work = ConfidentialCall(fail, (CANARY,))

    def orchestrator():
        try:
            work.body()
        except WorkFailed as error:
            seen.append(str(error))
            raise

    with pytest.raises(StoreError, match=CANARY) as caught:
        work.by(orchestrator)
    assert caught.value.code == "STORE_MISSING"
    assert seen == ["StoreError STORE_MISSING"]


def test_a_failure_that_the_work_never_had_stays_the_orchestrators():
    def orchestrator():
        raise WorkFailed("of another process")

    with pytest.raises(WorkFailed, match="of another process"):
        ConfidentialCall(fail, (CANARY,)).by(orchestrator)


def test_interrupts_are_handed_on():
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ConfidentialCall(interrupted).finish()


def test_of_a_fault_the_trace_is_kept_and_its_sentence_is_not_said(tmp_path):
    def fault():
        raise ValueError(CANARY)

    with pytest.raises(WorkFailed) as caught:
        ConfidentialCall(fault, error_in=tmp_path).finish()
    assert str(caught.value) == f"ValueError (its sentence is in {ERROR} of the run)"
    assert "Traceback" in (tmp_path / ERROR).read_text()


def test_an_error_is_named_by_kind_and_code():
    assert named(StoreError("STORE_MISSING", CANARY)) == "StoreError STORE_MISSING"
    assert named(ValueError(CANARY)) == "ValueError"
