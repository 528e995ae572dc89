"""The planted set in small: every required action is taken, and the scorer is no rubber stamp."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pydicom
import pytest
from pydicom import Dataset

from tests.benchmarks.deidentification import de_identified
from tests.benchmarks.planted_set import write_set
from tests.benchmarks.required_actions import Action, score

#: The share of the best of ten teams on MIDI-B's test set.
BEST = 0.9993


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    files, required = write_set(folder / "in", patients=4, seed=11)
    return folder, files, required


def copied(planted, tmp_path, change):
    """Write every file after a change to it, and return the score."""
    _, files, required = planted
    written = {}
    for name, path in files.items():
        dataset = pydicom.dcmread(path)
        change(dataset)
        written[name] = tmp_path / name
        dataset.save_as(written[name], enforce_file_format=True)
    return score(required, written, files)


def test_of_a_planted_set_every_required_action_is_taken(planted):
    folder, files, required = planted
    assert {one.action for one in required} == set(Action)
    assert len({name[:2] for name in files}) == 8  # seven modalities and structure sets
    found = score(required, de_identified(folder / "in", files, folder / "out"), files)
    assert found.share >= BEST, Counter((one.action, one.place, str(one.value)) for one in found.wrong).most_common(20)
    assert found.right[Action.TEXT_REMOVED] == found.required[Action.TEXT_REMOVED]


def test_the_set_is_the_same_for_the_same_seed(planted, tmp_path):
    _, files, required = planted
    again, same = write_set(tmp_path / "in", patients=4, seed=11)
    assert same == required
    assert [path.read_bytes() for path in again.values()] == [path.read_bytes() for path in files.values()]


def test_files_that_were_only_copied_keep_everything_and_hide_nothing(planted, tmp_path):
    found = copied(planted, tmp_path, lambda _: None)
    kept = {Action.TAG_RETAINED, Action.TEXT_RETAINED, Action.TEXT_NOTNULL, Action.PIXELS_RETAINED, Action.UID_CONSISTENT}
    assert {action for action in Action if found.right[action]} == kept
    assert all(found.right[action] == found.required[action] for action in kept)


def test_files_that_were_emptied_hide_everything_and_keep_nothing(planted, tmp_path):
    def empty(dataset: Dataset) -> None:
        for element in list(dataset):
            del dataset[element.tag]
        dataset.file_meta.MediaStorageSOPClassUID, dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3", "1.2.3"
        dataset.file_meta.SourceApplicationEntityTitle = ""

    found = copied(planted, tmp_path, empty)
    assert {action for action in Action if found.right[action]} == {Action.TEXT_REMOVED}
    assert found.right[Action.TEXT_REMOVED] == found.required[Action.TEXT_REMOVED]


def test_a_file_that_is_withheld_has_taken_no_action(planted):
    _, files, required = planted
    assert score(required, {}, files).right.total() == 0


def test_uids_that_become_one_are_not_consistent(planted, tmp_path):
    def merge(dataset: Dataset) -> None:
        dataset.StudyInstanceUID = "2.25.1"

    found = copied(planted, tmp_path, merge)
    assert not any(one.place == ("StudyInstanceUID",) for one in found.wrong if one.action is Action.UID_CHANGED)
    wrong = [one for one in found.wrong if one.action is Action.UID_CONSISTENT]
    assert {one.place[-1] for one in wrong if len(one.place) == 1} == {"StudyInstanceUID"}


@pytest.mark.parametrize(("days", "right"), [((900, 900), True), ((900, 901), False)])
def test_dates_of_one_patient_move_by_one_amount(planted, tmp_path, days, right):
    places = iter(range(10**6))

    def move(dataset: Dataset) -> None:
        for element in dataset.iterall():
            if element.VR in ("DA", "DT") and element.value and element.keyword != "PatientBirthDate":
                text = str(element.value)
                by = timedelta(days=days[next(places) % 2])
                element.value = (pydicom.valuerep.DA(text[:8]) - by).strftime("%Y%m%d") + text[8:]

    found = copied(planted, tmp_path, move)
    assert (found.right[Action.DATE_SHIFTED] == found.required[Action.DATE_SHIFTED]) is right


def test_a_picture_that_is_blank_as_a_whole_retains_no_pixels(planted, tmp_path):
    def blank(dataset: Dataset) -> None:
        if "PixelData" in dataset:
            dataset.PixelData = bytes(len(dataset.PixelData))

    found = copied(planted, tmp_path, blank)
    assert found.right[Action.PIXELS_HIDDEN] == found.required[Action.PIXELS_HIDDEN] > 0
    assert found.right[Action.PIXELS_RETAINED] == 0
