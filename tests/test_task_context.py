from __future__ import annotations

import dataclasses

import pytest

from medkd.task_context import COMMON, TWO_CLASSES, TaskContext


def test_a_teacher_answers_itself_unless_it_is_said_otherwise():
    assert not TaskContext("classification", 2).from_store


def test_circumstances_cannot_be_changed_while_terms_are_asked():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TaskContext("classification", 2).classes = 3


def test_a_listing_tries_both_tasks_two_classes_and_a_store():
    assert {one.task for one in COMMON.values()} == {"classification", "segmentation"}
    assert [one.classes for one in COMMON.values() if not one.from_store] == [2]
    assert any(one.from_store and one.task == "segmentation" for one in COMMON.values())
    assert "binary_kd" in TWO_CLASSES
