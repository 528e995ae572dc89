"""Flows and tasks as objects of Prefect, and what holds for all of them."""

from __future__ import annotations

import prefect
import pytest
from prefect.states import Failed

from data_contracts import RegistryError, StoreError
from flows.confidential_call import WorkFailed
from flows.label import Label
from flows.orchestration import expect, flow, may_pass_next_time, submit_all, task
from tests.flows.recording import recorded


def add(left: int, right: int = 1) -> int:
    """Add."""
    return left + right


@flow
def adding(left: int) -> list[int]:
    """Add one."""
    expect({"add": 2.0})
    return submit_all(task(add), [(left,), (left, 5)], title="add", labels=["one", Label("five", ("arm:five",))])


def test_they_are_prefects_and_keep_the_plain_function():
    assert isinstance(adding, prefect.Flow)
    assert isinstance(task(add), prefect.Task)
    assert task(add).fn is add
    assert task(add).fn(1) == 2
    assert (adding.name, adding.description, adding.fn.__name__) == ("adding", "Add one.", "adding")
    assert task(add, name="plus").name == "plus"


def test_a_call_goes_to_the_engine_in_charge():
    with recorded(add=lambda left, right=1: left + right) as engine:
        assert adding(3) == [4, 8]
    assert engine.groups == [("add", "add", [(3,), (3, 5)], ["one", "five"])]
    assert engine.tags == [(), ("arm:five",)]
    assert engine.expected == {"add": 2.0}


def test_prefect_is_told_which_parameters_were_given_and_none_of_their_values():
    assert adding.serialize_parameters({"left": 3, "right": None}) == {"left": "not recorded", "right": None}


@pytest.mark.parametrize(
    ("error", "again"),
    [(RegistryError("REGISTRY_UNREACHABLE", "no answer"), True), (StoreError("STORE_MISSING", "none"), False), (ConnectionError(), True)],
)
def test_what_may_be_over_is_tried_again_and_what_we_refuse_is_not(error, again):
    assert may_pass_next_time(task(add), None, Failed(data=WorkFailed.of(error))) is again
    assert (task(add).retries, task(add).retry_condition_fn) == (2, may_pass_next_time)


def test_a_failure_whose_error_is_lost_is_not_tried_again():
    assert not may_pass_next_time(task(add), None, Failed(data=WorkFailed("of another process")))
