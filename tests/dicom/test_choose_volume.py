"""A volume is chosen by its key where there are several, and never guessed."""

from __future__ import annotations

import pytest

from data_contracts import DataError, IngestReport, SeriesRule, StoreManifest
from medkd.dicom.choose_volume import choose_volume
from tests.dicom.invented import volume

ONE, TWO = volume("one"), volume("two")
NOTHING = IngestReport(files=(), series=())


def manifest(*volumes):
    return StoreManifest(volumes=tuple(sorted(volumes, key=lambda one: one.series_key)))


def test_the_only_volume_is_meant():
    assert choose_volume(manifest(ONE), NOTHING, None) == ONE


def test_of_several_the_named_one_is_meant():
    assert choose_volume(manifest(ONE, TWO), NOTHING, TWO.series_key) == TWO


@pytest.mark.parametrize("series", [None, "s0000000000000000"])
def test_of_several_none_is_guessed_and_all_are_listed(series):
    with pytest.raises(DataError, match="--series") as caught:
        choose_volume(manifest(ONE, TWO), NOTHING, series)
    assert caught.value.code == "WHICH_SERIES"
    assert all(one.series_key in str(caught.value) for one in (ONE, TWO))


def test_a_study_without_a_volume_says_so():
    with pytest.raises(DataError) as caught:
        choose_volume(manifest(), NOTHING, None)
    assert caught.value.code == "NO_VOLUME"


def test_of_several_the_one_is_meant_that_the_model_is_for():
    mr, ct = volume("three").model_copy(update={"modality": "MR"}), TWO.model_copy(update={"modality": "CT"})
    held = manifest(mr, ct)
    assert choose_volume(held, NOTHING, None, lambda: SeriesRule(modality="MR")) == mr
    assert choose_volume(held, NOTHING, ct.series_key, lambda: SeriesRule(modality="MR")) == ct
    for rule, count in ((SeriesRule(modality="PT"), 0), (SeriesRule(), 2)):
        with pytest.raises(
            DataError, match=rf"one series that the model is for \({rule.text()}\) in the source, {count} of 2 are"
        ) as caught:
            choose_volume(held, NOTHING, None, lambda rule=rule: rule)
        assert caught.value.code == "WHICH_SERIES"
        assert all(one.series_key in str(caught.value) for one in (mr, ct))


def test_a_model_is_not_asked_where_there_is_nothing_to_choose():
    assert choose_volume(manifest(ONE), NOTHING, None, lambda: pytest.fail("asked")) == ONE
