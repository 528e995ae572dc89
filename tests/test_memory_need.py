from __future__ import annotations

import mmap

import pytest

from data_contracts import MissingDependencyError
from medkd import memory_need
from medkd.memory_need import PeakMemory, available_bytes, peak_bytes, require_memory, shown


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Return a setter of what the system says: free kB, and the limit and use of a container."""

    def set_to(free=None, limit=None, used=None):
        info = tmp_path / "meminfo"
        info.write_text("MemTotal: 9 kB\n" + (f"MemAvailable:   {free} kB\n" if free is not None else ""))
        for name, value in (("max", limit), ("current", used)):
            if value is not None:
                (tmp_path / name).write_text(f"{value}\n")
        monkeypatch.setattr(memory_need, "_MEMINFO", info)
        monkeypatch.setattr(memory_need, "_LIMITS", ((tmp_path / "max", tmp_path / "current"),))

    return set_to


@pytest.mark.parametrize(
    ("said", "free"),
    [
        ({"free": 8}, 8192),
        ({"free": 8, "limit": 5000, "used": 1000}, 4000),
        ({"free": 2, "limit": 5000, "used": 1000}, 2048),
        ({"free": 8, "limit": "max", "used": 1000}, 8192),
        ({"limit": 5000, "used": 1000}, 4000),
        ({}, None),
    ],
)
def test_what_is_free_is_the_least_that_machine_and_container_leave(machine, said, free):
    machine(**said)
    assert available_bytes() == free


def test_work_that_does_not_fit_is_refused_with_both_figures(machine):
    machine(free=2048)
    require_memory(2 * 2**20, "the cases")
    with pytest.raises(MissingDependencyError, match="hold the cases in memory, it takes at least 3 MiB and 2 MiB are free") as caught:
        require_memory(3 * 2**20, "the cases")
    assert caught.value.code == "MEMORY_TOO_SMALL"


def test_where_the_system_does_not_say_everything_is_tried(machine):
    machine()
    assert available_bytes() is None
    require_memory(2**60, "everything")


@pytest.mark.parametrize(("size", "said"), [(0, "0 MiB"), (2**30 - 1, "1,024 MiB"), (2**30, "1.0 GiB"), (3 * 2**40, "3,072.0 GiB")])
def test_bytes_are_said_in_the_unit_that_people_buy_them_in(size, said):
    assert shown(size) == said


def test_the_peak_of_a_while_is_that_of_the_while():
    if not memory_need._CLEAR.exists():
        pytest.skip("the system keeps one peak for the whole life of a process")
    outer = PeakMemory()
    with mmap.mmap(-1, 200 * 2**20) as held:  # goes back to the system at once, whatever the process does with what it frees
        held.write(b"x" * (200 * 2**20))
        outer_peak = outer.read()
    inner = PeakMemory()
    assert outer_peak - inner.read() > 150 * 2**20
    # A peak that another began anew is not forgotten by those who were at it.
    assert outer.read() > outer_peak - 4 * 2**20  # the system counts in lots
    assert peak_bytes() < outer_peak


def test_without_a_status_the_process_asks_another_way(tmp_path, monkeypatch):
    monkeypatch.setattr(memory_need, "_STATUS", tmp_path / "status")
    monkeypatch.setattr(memory_need, "_CLEAR", tmp_path / "none" / "clear_refs")
    assert PeakMemory().read() > 2**20
