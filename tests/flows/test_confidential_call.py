"""What an orchestrator is told of an error, and what whoever started the work gets."""

from __future__ import annotations

import inspect
import pickle

import pytest

from data_contracts import MissingDependencyError, StoreError
from flows.confidential_call import ERROR, Outcome, WorkFailed, confidential, fail_in_private, named
from tests.ground_truth import CANARY, open_to_others


def fail(path: str) -> int:
    raise StoreError("STORE_MISSING", f"expected bytes at {path}, found none")


def failure_of(function, *arguments):
    with pytest.raises(WorkFailed) as caught:
        confidential(function)(*arguments)
    return caught.value


def test_the_function_stays_to_be_had_with_its_name_and_signature():
    made = confidential(fail)
    assert (made.__name__, inspect.unwrap(made), list(inspect.signature(made).parameters)) == ("fail", fail, ["path"])
    assert confidential(lambda left, *, right: left + right)("a", right="b") == "ab"


def test_what_is_written_down_is_the_code_and_the_error_goes_with_it_also_to_another_process():
    failed = failure_of(fail, CANARY)
    assert str(failed) == "StoreError STORE_MISSING"
    assert CANARY not in repr(failed)
    assert failed.__context__ is None
    again = pickle.loads(pickle.dumps(failed))
    assert str(again) == "StoreError STORE_MISSING"
    assert isinstance(again.error, StoreError)
    assert CANARY in str(again.error)


def test_what_was_named_already_is_named_once():
    assert str(failure_of(confidential(fail), CANARY)) == "StoreError STORE_MISSING"


def test_interrupts_are_handed_on():
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        confidential(interrupted)()


def test_the_sentence_of_an_error_that_nobody_waits_for_lies_in_quarantine(tmp_path):
    with pytest.raises(WorkFailed, match="StoreError STORE_MISSING") as caught:
        fail_in_private(StoreError("STORE_MISSING", f"expected bytes at {CANARY}, found none"), tmp_path)
    assert CANARY not in str(caught.value)
    assert CANARY in (tmp_path / ERROR).read_text()
    assert open_to_others(tmp_path / "quarantine") == []


def test_of_a_fault_the_trace_is_kept_and_its_sentence_is_not_said(tmp_path):
    def fault():
        raise ValueError(CANARY)

    with pytest.raises(WorkFailed) as caught:
        fail_in_private(failure_of(fault), tmp_path)
    assert str(caught.value) == f"ValueError (its sentence is in {ERROR} of the run)"
    assert "Traceback" in (tmp_path / ERROR).read_text()


def test_an_error_is_named_by_kind_and_code():
    assert named(StoreError("STORE_MISSING", CANARY)) == "StoreError STORE_MISSING"
    assert named(ValueError(CANARY)) == "ValueError"


def test_what_came_of_a_call_is_kept_and_a_call_that_was_never_made_is_said():
    done, failed = Outcome(), Outcome()
    assert done.of(lambda: 7) is None
    assert done.get() == 7
    assert failed.of(lambda: fail(CANARY)) == "StoreError STORE_MISSING"
    with pytest.raises(StoreError, match=CANARY):
        failed.get()
    with pytest.raises(MissingDependencyError) as caught:
        Outcome().get()
    assert caught.value.code == "PREFECT_RUN"
