from __future__ import annotations

import os
import stat
import time

import pytest

from flows.inbox import UNFINISHED, Inbox

LATER = time.time() + 3600


@pytest.fixture
def inbox(tmp_path):
    (tmp_path / "in" / "study" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "study" / "deep" / "1.dcm").write_bytes(b"one")
    (tmp_path / "in" / "b.zip").write_bytes(b"zip")
    (tmp_path / "in" / "empty").mkdir()
    (tmp_path / "in" / ".hidden").write_bytes(b"x")
    return Inbox(tmp_path / "in", tmp_path / "quarantine" / "inbox.json", 60.0)


def names(inbox, now=LATER):
    return [one.path.name for one in inbox.arrivals(now)]


def test_an_entry_is_complete_when_it_has_not_changed_for_a_while(inbox):
    assert names(inbox, time.time()) == []
    assert names(inbox) == ["b.zip", "study"]


@pytest.mark.parametrize("ending", UNFINISHED)
def test_what_is_still_being_written_waits(inbox, tmp_path, ending):
    (tmp_path / "in" / "study" / f"2.dcm{ending}").write_bytes(b"")
    assert names(inbox) == ["b.zip"]


def test_what_was_taken_is_not_taken_again_unless_it_changes(inbox, tmp_path):
    for one in inbox.arrivals(LATER):
        inbox.take(one)
    assert names(inbox) == []
    (tmp_path / "in" / "study" / "2.dcm").write_bytes(b"two")
    assert names(inbox) == ["study"]
    inbox.take(inbox.arrivals(LATER)[0])
    os.utime(tmp_path / "in" / "b.zip", (1, 1))
    assert names(inbox) == ["b.zip"]


def test_a_file_copied_with_an_old_time_still_waits(inbox, tmp_path):
    """``cp -p`` gives a file the time of its original: when it came here its inode says."""
    (tmp_path / "in" / "study" / "2.dcm").write_bytes(b"two")
    os.utime(tmp_path / "in" / "study" / "2.dcm", (1, 1))
    assert names(inbox, time.time()) == []


@pytest.mark.parametrize("text", ["", "[]", "{", "\x00"])
def test_a_ledger_that_is_none_makes_everything_new(inbox, tmp_path, text):
    inbox.take(inbox.arrivals(LATER)[0])
    ledger = tmp_path / "quarantine" / "inbox.json"
    assert stat.S_IMODE(ledger.stat().st_mode) == 0o600
    ledger.write_text(text)
    assert names(inbox) == ["b.zip", "study"]
