"""The lock of promotions: a file beside a local database, a lease in a tag of a server."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest

from data_contracts import RegistryError
from medkd.registry import promotion_lock
from medkd.registry.promotion_lock import file_lock, tag_lock


class Tag:
    """A text that all see, as a server keeps it."""

    def __init__(self):
        self.text = None

    def read(self):
        return self.text

    def write(self, text):
        self.text = text


@pytest.fixture
def quick(monkeypatch):
    for name, seconds in (("SETTLE_S", 0.05), ("LEASE_S", 0.4), ("WAIT_S", 20.0)):
        monkeypatch.setattr(promotion_lock, name, seconds)


def test_of_many_at_once_each_is_alone(quick):
    tag, inside, most = Tag(), [], []

    def work():
        with tag_lock(tag.read, tag.write) as require_held:
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.02)
            require_held()
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 6
    assert tag.text is None


def test_the_lease_of_a_dead_holder_is_taken_over_and_a_living_one_kept(quick):
    tag = Tag()
    tag.write("somebody#0")
    started = time.monotonic()
    with tag_lock(tag.read, tag.write) as require_held:
        assert time.monotonic() - started > 0.4
        require_held()
    assert tag.text is None


def test_a_write_that_comes_late_gives_nobody_the_lease_that_another_one_has(quick, monkeypatch):
    """One has read that nobody holds it and writes a second later: meanwhile the other one has read its own token back."""
    monkeypatch.setattr(promotion_lock, "SETTLE_S", 0.3)
    tag, inside, both, slow_once = Tag(), [], [], [1.0]

    def late(text):
        if text is not None and slow_once:
            time.sleep(slow_once.pop())
        tag.write(text)

    def hold(name, write):
        with contextlib.suppress(RegistryError), tag_lock(tag.read, write) as require_held:
            for _ in range(200):
                require_held()
                inside.append(name)
                both.append(frozenset(inside))
                time.sleep(0.005)
                inside.remove(name)

    threads = [threading.Thread(target=hold, args=("late", late)), threading.Thread(target=hold, args=("first", tag.write))]
    for thread in threads:
        thread.start()
        time.sleep(0.02)
    for thread in threads:
        thread.join()
    assert set(both) == {frozenset({"first"}), frozenset({"late"})}


def test_a_server_that_is_too_slow_for_the_lease_is_said(quick, monkeypatch):
    monkeypatch.setattr(promotion_lock, "WAIT_S", 0.5)
    tag = Tag()

    def slow(text):
        time.sleep(0.1)
        tag.write(text)

    with pytest.raises(RegistryError, match=r"took longer than 0\.05 s to read and write a tag") as caught, tag_lock(tag.read, slow):
        pass
    assert (caught.value.code, tag.text) == ("PROMOTION_BUSY", None)


def test_a_holder_that_lost_its_lease_is_told_and_leaves_the_other_one(quick):
    tag = Tag()

    def lose():
        with tag_lock(tag.read, tag.write) as require_held:
            tag.write("another#0")
            require_held()

    with pytest.raises(RegistryError) as caught:
        lose()
    assert (caught.value.code, tag.text) == ("PROMOTION_LOCK_LOST", "another#0")


def test_who_waits_too_long_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(promotion_lock, "WAIT_S", 0.2)
    tag = Tag()
    tag.write("somebody#0")
    with file_lock(tmp_path / "lock"):
        for lock in (lambda: file_lock(tmp_path / "lock"), lambda: tag_lock(tag.read, tag.write)):
            with pytest.raises(RegistryError) as caught, lock():
                pass
            assert caught.value.code == "PROMOTION_BUSY"
