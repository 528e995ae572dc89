from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from medkd.storage.objects import open_objects
from medkd.storage.starts import note_start, repeated_stages
from medkd.storage.workspace import Workspace


@pytest.fixture(params=["alone", "shared"])
def machines(request, tmp_path):
    (tmp_path / "shared").mkdir()
    open_objects.cache_clear()
    uri = str(tmp_path / "shared") if request.param == "shared" else None
    first = Workspace(tmp_path / "first", "", store_uri=uri)
    yield first, replace(first.for_others(), root=tmp_path / ("second" if uri else "first"))
    open_objects.cache_clear()


def test_a_stage_that_starts_again_is_said_wherever_it_was_started_before(machines, caplog):
    first, second = machines
    with caplog.at_level(logging.WARNING):
        note_start(first, "train_teacher-abc")
        note_start(first, "evaluate-abc")
        assert (repeated_stages(first), caplog.text) == ({}, "")
        note_start(second, "train_teacher-abc")
        note_start(second, "train_teacher-def")
    assert "train_teacher was started before and left no result: it runs again" in caplog.text
    assert repeated_stages(first) == repeated_stages(second) == {"train_teacher": 1}
    note_start(first, "train_teacher-abc")
    note_start(first, "train_teacher-def")
    assert repeated_stages(second) == {"train_teacher": 3}


def test_another_run_is_another_count(machines, tmp_path):
    note_start(machines[0], "evaluate-abc")
    other = Workspace(tmp_path / "other", "", store_uri=machines[0].store_uri)
    note_start(other, "evaluate-abc")
    assert repeated_stages(other) == {}
