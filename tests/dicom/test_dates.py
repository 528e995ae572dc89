"""Dates move by an amount of their patient, and intervals survive."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medkd.dicom.confidentiality.dates import DateShift


@settings(max_examples=80, deadline=None)
@given(
    st.datetimes(datetime(1930, 1, 1), datetime(2090, 1, 1)), st.datetimes(datetime(1930, 1, 1), datetime(2090, 1, 1)), st.text(max_size=8)
)
def test_intervals_of_one_patient_survive_the_shift(first, second, patient):
    shift = DateShift(b"k", patient)

    def moved(moment):
        date, time = shift.pair(moment.strftime("%Y%m%d"), moment.strftime("%H%M%S.%f"))
        return datetime.strptime(date + time, "%Y%m%d%H%M%S.%f")

    assert moved(first) - moved(second) == first - second
    assert 365 <= (first - moved(first)).days + 1 <= 3651
    assert shift.datetime(first.strftime("%Y%m%d%H%M%S.%f")) == moved(first).strftime("%Y%m%d%H%M%S.%f")


def test_patients_move_by_amounts_of_their_own_and_secrets_too():
    moved = {DateShift(secret, patient).date("20200229") for secret in (b"a", b"b") for patient in ("1", "2", "3")}
    assert len(moved) == 6


@pytest.mark.parametrize("value", ["2020", "20201301", "20200230", "today", "99999999"])
def test_what_is_no_date_is_dropped(value):
    assert DateShift(b"k", "p").date(value) is None


@pytest.mark.parametrize(("value", "length"), [("101112", 6), ("1011", 6), ("10", 6), ("101112.123456", 13), ("10:11:12", 6)])
def test_times_keep_their_form(value, length):
    moved = DateShift(b"k", "p").time(value)
    assert len(moved) == length
    assert moved[:6] != value.replace(":", "").ljust(6, "0")[:6]
