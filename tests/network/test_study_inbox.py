"""Studies are handed over whole, and what was acknowledged is there after whatever happens."""

from __future__ import annotations

import os
import time

import pytest

from medkd.network.status import StoreStatus
from medkd.network.study_inbox import InboxLimits, StudyInbox
from medkd.network.whole_dataset import meta_of
from tests.network.peers import write_study

QUICK = InboxLimits(quiet_s=0.0, min_free_bytes=0)


def store(association, path, *, cut=0, instance=None):
    """Store a file by an association, as the receiver does; return what is answered."""
    from pydicom import dcmread

    payload = path.read_bytes()
    begin, syntax = meta_of(payload)
    header = dcmread(path, stop_before_pixels=True)
    instance = instance or header.SOPInstanceUID
    part = association.begin(header.SOPClassUID, instance, syntax)
    if isinstance(part, StoreStatus):
        return part
    part.write(payload[begin : len(payload) - cut])
    return association.finish(part, header.SOPClassUID, instance)


def names(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


@pytest.fixture
def study(tmp_path):
    return write_study(tmp_path / "sent", 4, "1.2.3")


def received(inbox, paths, *, peer="CT1", well=True):
    association = inbox.association(peer)
    answers = [store(association, path) for path in paths]
    association.end(well=well)
    return answers


def test_a_study_is_handed_over_when_its_association_ended_well(tmp_path, study):
    inbox = StudyInbox(tmp_path / "inbox", QUICK)
    association = inbox.association("CT1")
    assert [store(association, path) for path in study] == [StoreStatus.SUCCESS] * 4
    assert inbox.release() == []
    assert names(inbox.folder) == []
    association.end(well=True)
    assert inbox.release() == [inbox.folder / "1.2.3"]
    assert len(names(inbox.folder / "1.2.3")) == 4
    assert inbox.waiting() == []


def test_a_study_waits_for_quiet(tmp_path, study):
    inbox = StudyInbox(tmp_path / "inbox", InboxLimits(quiet_s=0.5, min_free_bytes=0))
    received(inbox, study)
    assert inbox.release() == []
    time.sleep(0.6)
    assert len(inbox.release()) == 1


def test_a_broken_association_leaves_a_study_that_is_not_whole_until_the_peer_comes_again(tmp_path, study):
    inbox = StudyInbox(tmp_path / "inbox", QUICK)
    received(inbox, study[:2], well=False)
    assert inbox.release() == []
    assert [(one.objects, one.broken) for one in inbox.waiting()] == [(2, True)]
    received(inbox, study[2:], peer="SOMEBODY")  # another peer says nothing of what the first one had
    assert inbox.release() == []
    received(inbox, study)
    assert inbox.release() == [inbox.folder / "1.2.3"]
    assert len(names(inbox.folder / "1.2.3")) == 4


def test_a_study_of_which_something_was_refused_is_not_whole(tmp_path, study):
    inbox = StudyInbox(tmp_path / "inbox", QUICK)
    association = inbox.association("CT1")
    store(association, study[0])
    assert store(association, study[1], cut=100) is StoreStatus.CANNOT_UNDERSTAND
    association.end(well=True)
    assert inbox.release() == []
    again = inbox.association("CT1")
    assert store(again, study[1], cut=100) is StoreStatus.CANNOT_UNDERSTAND
    assert store(again, study[1]) is StoreStatus.SUCCESS  # the same association may mend it
    again.end(well=True)
    assert len(names(inbox.release()[0])) == 2


def test_the_same_object_again_is_one_object(tmp_path, study):
    inbox = StudyInbox(tmp_path / "inbox", QUICK)
    received(inbox, [*study, *study])
    assert len(inbox.collected("1.2.3")) == 4
    inbox.release()
    before = {path.name: path.stat().st_mtime_ns for path in (inbox.folder / "1.2.3").iterdir()}
    assert received(inbox, study) == [StoreStatus.SUCCESS] * 4
    assert inbox.release() == []
    assert {path.name: path.stat().st_mtime_ns for path in (inbox.folder / "1.2.3").iterdir()} == before


def test_another_object_of_the_same_name_is_kept_beside_it(tmp_path, study):
    from pydicom import dcmread

    inbox = StudyInbox(tmp_path / "inbox", QUICK)
    received(inbox, study)
    other = dcmread(study[0])
    other.RescaleIntercept = 0
    other.save_as(tmp_path / "other.dcm")
    for _ in range(2):
        assert received(inbox, [tmp_path / "other.dcm"]) == [StoreStatus.SUCCESS]
    assert len(names(inbox.release()[0])) == 5


def test_what_comes_late_is_added(tmp_path, study):
    inbox = StudyInbox(tmp_path / "inbox", QUICK)
    received(inbox, study[:3])
    inbox.release()
    received(inbox, study[3:])
    assert inbox.release() == [inbox.folder / "1.2.3"]
    assert len(names(inbox.folder / "1.2.3")) == 4


def test_a_process_that_was_killed_leaves_what_it_acknowledged(tmp_path, study):
    before = StudyInbox(tmp_path / "inbox", QUICK)
    association = before.association("CT1")
    store(association, study[0])
    part = association.begin("1.2", "1.2.9", "1.2.840.10008.1.2")
    part.write(b"half")
    part.close(sync=False)
    after = StudyInbox(tmp_path / "inbox", QUICK)
    assert list(after.parts.iterdir()) == []
    assert [(one.objects, one.broken) for one in after.waiting()] == [(1, True)]
    assert after.release() == []
    received(after, study)
    assert len(names(after.release()[0])) == 4


def test_a_full_disk_refuses_before_anything_is_written(tmp_path, study):
    inbox = StudyInbox(tmp_path / "inbox", InboxLimits(quiet_s=0.0, min_free_bytes=1 << 60))
    association = inbox.association("CT1")
    assert store(association, study[0]) is StoreStatus.OUT_OF_RESOURCES
    assert list(inbox.parts.iterdir()) == []


@pytest.mark.parametrize("instance", ["", "../../x", "1.2/3", "1" * 65, "x"])
def test_identifiers_that_are_no_names_of_files(tmp_path, study, instance):
    inbox = StudyInbox(tmp_path / "inbox", QUICK)
    assert inbox.association("CT1").begin("1.2", instance, "1.2.840.10008.1.2") is StoreStatus.INVALID_INSTANCE


def test_an_object_that_is_not_the_announced_one(tmp_path, study):
    inbox = StudyInbox(tmp_path / "inbox", QUICK)
    association = inbox.association("CT1")
    assert store(association, study[0], instance="1.2.3.4") is StoreStatus.DATA_SET_DIFFERS
    assert inbox.waiting() == []


def test_nobody_else_may_read_it(tmp_path, study):
    before = os.umask(0)
    try:
        inbox = StudyInbox(tmp_path / "inbox", QUICK)
        received(inbox, study)
        inbox.release()
    finally:
        os.umask(before)
    assert {oct(path.stat().st_mode & 0o777) for path in inbox.folder.rglob("*") if path.is_file()} == {"0o600"}
    assert {oct(path.stat().st_mode & 0o777) for path in inbox.folder.rglob("*") if path.is_dir()} == {"0o700"}
