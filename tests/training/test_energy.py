from __future__ import annotations

import pytest

from data_contracts import MissingDependencyError
from medkd.training.energy import CORE_VARIABLE, GPU_VARIABLE, WATTS_PER_CORE, WATTS_PER_GPU, Watts, assumed_watts, energy


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    for variable in (CORE_VARIABLE, GPU_VARIABLE):
        monkeypatch.delenv(variable, raising=False)


def test_an_hour_of_a_core_takes_its_watts_in_watt_hours_and_says_so():
    assert energy(Watts(12, 250), cpu_seconds=3600, gpu_seconds=0, gpu_joules=None) == (12, "assuming 12 W per busy core")


def test_a_gpu_that_is_held_counts_by_its_watts_and_one_that_counts_itself_by_that():
    found, words = energy(Watts(10, 250), cpu_seconds=360, gpu_seconds=1800, gpu_joules=None)
    assert found == pytest.approx(1 + 125)
    assert words == "assuming 10 W per busy core and 250 W per GPU that is held"
    found, words = energy(Watts(10, 250), cpu_seconds=360, gpu_seconds=1800, gpu_joules=7200)
    assert found == pytest.approx(1 + 2)
    assert "counter" in words


def test_variables_go_before_what_is_assumed(monkeypatch):
    assert assumed_watts() == Watts(WATTS_PER_CORE, WATTS_PER_GPU)
    monkeypatch.setenv(CORE_VARIABLE, "4.5")
    monkeypatch.setenv(GPU_VARIABLE, "0")
    assert assumed_watts() == Watts(4.5, 0)


@pytest.mark.parametrize("given", ["much", "-1", "nan", "inf", ""])
def test_what_is_no_number_of_watts_is_refused(monkeypatch, given):
    monkeypatch.setenv(GPU_VARIABLE, given)
    with pytest.raises(MissingDependencyError, match=GPU_VARIABLE) as caught:
        assumed_watts()
    assert caught.value.code == "WATTS_INVALID"
