from __future__ import annotations

import json

import pytest

from data_contracts import DataError, SourceError
from medkd.cohorts.dataset_list import Pair, read_dataset


@pytest.fixture
def read(tmp_path):
    """Return what reads a list that is written first, with images of nnU-Net where some are named."""

    def written(listed, *images):
        (tmp_path / "imagesTr").mkdir(exist_ok=True)
        for name in images:
            (tmp_path / "imagesTr" / name).touch()
        (tmp_path / "dataset.json").write_text(listed if isinstance(listed, str) else json.dumps(listed))
        return read_dataset(tmp_path, "dataset.json")

    return written


def test_a_decathlon_names_pairs_and_what_values_mean(read):
    training = [{"image": f"./imagesTr/{case}.nii.gz", "label": f"./labelsTr/{case}.nii.gz"} for case in ("b", "a")]
    found = read({"training": training, "labels": {"0": "background", "1": "Anterior"}})
    assert found.pairs[0] == Pair("a", "imagesTr/a.nii.gz", "labelsTr/a.nii.gz")
    assert [pair.case for pair in found.pairs] == ["a", "b"]
    assert found.labels == {0: "background", 1: "Anterior"}


def test_nnunet_names_files_by_case_and_channel_and_labels_the_other_way_round(read):
    found = read({"channel_names": {"0": "CT"}, "file_ending": ".nii.gz", "labels": {"background": 0, "liver": "1"}}, "x_0000.nii.gz")
    assert found.pairs == (Pair("x", "imagesTr/x_0000.nii.gz", "labelsTr/x.nii.gz"),)
    assert found.labels == {0: "background", 1: "liver"}


def test_several_images_of_a_case_are_named(read):
    two = {"channel_names": {"1": "ADC", "0": "T2"}, "file_ending": ".nii.gz"}
    found = read(two, "x_0000.nii.gz", "x_0001.nii.gz", "y_1_0001.nii.gz")
    assert (found.channels, found.stacked) == (("T2", "ADC"), False)
    # An image that is not there is missed when its case is read.
    assert found.pairs == (
        Pair("x", "imagesTr/x_0000.nii.gz", "labelsTr/x.nii.gz", ("imagesTr/x_0001.nii.gz",)),
        Pair("y_1", "imagesTr/y_1_0000.nii.gz", "labelsTr/y_1.nii.gz", ("imagesTr/y_1_0001.nii.gz",)),
    )
    listed = read({**two, "dataset": {"c": {"images": ["a.nii", "b.nii"], "label": "l.nii"}}})
    assert listed.pairs == (Pair("c", "a.nii", "l.nii", ("b.nii",)),)
    stacked = read({"modality": {"0": "T2", "1": "ADC"}, "training": [PAIR]})
    assert (stacked.channels, stacked.stacked, stacked.pairs) == (("T2", "ADC"), True, (Pair("a", "a.nii", "b.nii"),))
    assert read({"modality": {"0": "T2"}, "training": [PAIR]}).channels == ()


def test_nnunet_may_list_cases_that_lie_elsewhere(read):
    found = read({"channel_names": ["MR"], "dataset": {"c1": {"images": ["mr\\1.nii"], "label": "seg/1.nii"}}})
    assert found.pairs == (Pair("c1", "mr/1.nii", "seg/1.nii"),)
    assert found.labels == {}


NNUNET = {"channel_names": {"0": "CT"}, "file_ending": ".nii.gz"}
PAIR = {"image": "a.nii", "label": "b.nii"}


@pytest.mark.parametrize(
    ("listed", "code", "said"),
    [
        ("{", "DATASET_UNREADABLE", "expected JSON"),
        ([1], "DATASET_UNREADABLE", "expected a mapping in dataset.json, got list"),
        ({"name": "x"}, "DATASET_UNREADABLE", "it has 'name'"),
        ({"training": []}, "DATASET_UNREADABLE", "under 'training'"),
        ({"training": [PAIR, {"image": "a.nii"}]}, "DATASET_UNREADABLE", "in item 1 of 'training'"),
        ({"training": [{**PAIR, "image": "../a.nii"}]}, "DATASET_UNREADABLE", "leads out of it"),
        ({**NNUNET, "channel_names": {"0": "T1", "1": "T1"}}, "DATASET_CHANNELS", "another name of each channel"),
        ({**NNUNET, "channel_names": {"T1": 0}}, "DATASET_CHANNELS", "the number and another name"),
        ({**NNUNET, "channel_names": {"0": "T1", "1": "T2"}}, "DATASET_UNREADABLE", r"CASE_0000.nii.gz to CASE_0001.nii.gz"),
        ({"training": [PAIR], "modality": []}, "DATASET_CHANNELS", "got '\\[\\]'"),
        ({**NNUNET, "file_ending": ".mha"}, "DATASET_UNREADABLE", "got '.mha'; save the volumes as NIfTI"),
        (NNUNET, "DATASET_UNREADABLE", "found none"),
        ({**NNUNET, "dataset": {"c": {"images": ["a", "b"], "label": "l"}}}, "DATASET_UNREADABLE", "one file in 'images'"),
        ({**NNUNET, "dataset": {}}, "DATASET_UNREADABLE", "expected cases under 'dataset'"),
        ({"training": [PAIR], "labels": ["a"]}, "DATASET_UNREADABLE", "under 'labels' in dataset.json, got list"),
        ({"training": [PAIR], "labels": {"whole": [1, 2]}}, "DATASET_UNREADABLE", "is a region of"),
        ({"training": [PAIR], "labels": {"a": True}}, "DATASET_UNREADABLE", "a value and a name of each label"),
        ({"training": [PAIR], "labels": {"1": "a", "b": 1}}, "DATASET_UNREADABLE", "1 is 'a' and 'b'"),
    ],
)
def test_what_is_no_list_is_said(read, listed, code, said):
    with pytest.raises(DataError, match=said) as caught:
        read(listed)
    assert caught.value.code == code


def test_a_list_that_is_nested_without_end_is_none(read):
    with pytest.raises(DataError, match="expected JSON"):
        read("[" * 100_000)


def test_a_file_without_a_channel_is_refused(read):
    with pytest.raises(DataError, match=r"as nnU-Net names one channel, found 'x\.nii\.gz'"):
        read(NNUNET, "x.nii.gz", "y_0000.nii.gz")
    with pytest.raises(DataError, match=r"as nnU-Net names one channel, found 'x\.nii\.gz', 'z_0001\.nii\.gz'"):
        read(NNUNET, "z_0001.nii.gz")


def test_a_list_and_a_folder_that_are_not_there_are_said(tmp_path):
    with pytest.raises(SourceError) as caught:
        read_dataset(tmp_path, "dataset.json")
    assert caught.value.code == "SOURCE_MISSING"
    (tmp_path / "dataset.json").write_text(json.dumps(NNUNET))
    with pytest.raises(SourceError, match=r"expected a folder imagesTr beside dataset\.json"):
        read_dataset(tmp_path, "dataset.json")
