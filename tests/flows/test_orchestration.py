"""Flows and tasks as objects of Prefect, and what holds for all of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import prefect
import pytest
from prefect.states import Failed

from data_contracts import RegistryError, StoreError
from flows.confidential_call import WorkFailed
from flows.orchestration import expect, flow, may_pass_next_time, submit_all, task
from tests.flows.recording import recorded

ROOT = Path(__file__).parents[2]


def add(left: int, right: int = 1) -> int:
    """Add."""
    return left + right


@flow
def adding(left: int) -> list[int]:
    """Add one."""
    expect({"add": 2.0})
    return submit_all(task(add), [(left,), (left, 5)], title="add", names=["one", "five"])


def test_they_have_a_flow_and_a_task_of_prefect_and_the_plain_function():
    assert isinstance(adding.prefect, prefect.Flow)
    assert isinstance(task(add).prefect, prefect.Task)
    assert task(add).fn is add
    assert task(add)(1) == task(add).fn(1) == 2
    assert (adding.name, adding.description, adding.fn.__name__) == ("adding", "Add one.", "adding")
    assert (task(add, name="plus").name, task(add, name="plus").prefect.name) == ("plus", "plus")


def test_what_prefect_offers_is_theirs():
    assert adding.with_options(name="other").name == "other"
    assert task(add).with_options(retries=7).retries == 7
    with pytest.raises(AttributeError):
        adding.no_such_thing  # noqa: B018 - asked for on purpose
    with pytest.raises(AttributeError):
        task(add).no_such_thing  # noqa: B018


def test_without_prefect_in_charge_it_is_not_even_imported():
    code = "import sys, flows.pipeline, flows.run_study, flows.start; print('prefect' in sys.modules)"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"


def test_a_call_goes_to_the_engine_in_charge():
    with recorded(add=lambda left, right=1: left + right) as engine:
        assert adding(3) == [4, 8]
    assert engine.groups == [("add", "add", [(3,), (3, 5)], ["one", "five"])]
    assert engine.expected == {"add": 2.0}


def test_prefect_is_told_which_parameters_were_given_and_none_of_their_values():
    assert adding.prefect.serialize_parameters({"left": 3, "right": None}) == {"left": "not recorded", "right": None}


@pytest.mark.parametrize(
    ("error", "again"),
    [(RegistryError("REGISTRY_UNREACHABLE", "no answer"), True), (StoreError("STORE_MISSING", "none"), False), (ConnectionError(), True)],
)
def test_what_may_be_over_is_tried_again_and_what_we_refuse_is_not(error, again):
    assert may_pass_next_time(task(add), None, Failed(data=WorkFailed.of(error))) is again
    assert (task(add).prefect.retries, task(add).prefect.retry_condition_fn) == (2, may_pass_next_time)


def test_a_failure_whose_error_is_lost_is_not_tried_again():
    assert not may_pass_next_time(task(add), None, Failed(data=WorkFailed("of another process")))
