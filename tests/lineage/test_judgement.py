"""What stays, and how old things are."""

from __future__ import annotations

import os

import pytest

from medkd.lineage.judgement import Judgement, days_old, days_since

DAY = 86400


def test_what_has_no_removal_stays():
    assert Judgement("version", "r-kd/1", "alias champion").stays
    assert not Judgement("version", "r-kd/1", "nothing needs it", remove=lambda: None).stays


def test_a_folder_is_as_old_as_its_youngest_file(tmp_path):
    for name, at in (("old", 10 * DAY), ("below/young", 40 * DAY)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (at, at))
    assert days_old(tmp_path / "old", 50 * DAY) == pytest.approx(40)
    assert days_old(tmp_path, 50 * DAY) == pytest.approx(10)


def test_an_empty_folder_is_of_this_moment(tmp_path):
    assert days_old(tmp_path, 50 * DAY) == 0


def test_registrations_are_timed_in_milliseconds():
    assert days_since(1000 * 20 * DAY, 50 * DAY) == pytest.approx(30)
