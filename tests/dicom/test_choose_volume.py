"""A volume is chosen by its key where there are several, and never guessed."""

from __future__ import annotations

import pytest

from data_contracts import DataError, IngestReport, SeriesRule, StoreManifest
from medkd.dicom.choose_volume import choose_images, choose_volume
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


T1, T2 = (
    volume(name).model_copy(update={"modality": modality, "study_key": "s", "frame_of_reference_key": "f"})
    for name, modality in (("four", "MR"), ("five", "CT"))
)
RULES = {"second": SeriesRule(modality="CT"), "first": SeriesRule(modality="MR")}


def test_each_image_of_a_model_has_its_volume_in_the_order_of_the_rules():
    assert choose_images(manifest(T1, T2), NOTHING, None, lambda: RULES) == (T2, T1)
    assert choose_images(manifest(T1, T2), NOTHING, None, lambda: dict(reversed(RULES.items()))) == (T1, T2)


def test_of_several_studies_the_key_of_the_first_image_says_which_is_meant():
    again = [one.model_copy(update={"study_key": "other", "series_key": f"{one.series_key}x"}) for one in (T1, T2)]
    held = manifest(T1, T2, *again)
    assert choose_images(held, NOTHING, again[1].series_key, lambda: RULES) == (again[1], again[0])
    for series in (None, T1.series_key):  # the second image's key names no study
        with pytest.raises(DataError, match=r"second: CT; first: MR\), [02] are; choose with --series") as caught:
            choose_images(held, NOTHING, series, lambda: RULES)
        assert caught.value.code == "WHICH_SERIES"
        assert all(one.series_key in str(caught.value) for one in (T2, again[1]))


def test_an_image_that_is_not_there_is_named():
    ct = T1.model_copy(update={"modality": "CT", "series_key": "another"})
    with pytest.raises(DataError, match="expected one volume as second, its rule finds 2") as caught:
        choose_images(manifest(T2, ct), NOTHING, None, lambda: RULES)
    assert caught.value.code == "CHANNEL_AMBIGUOUS"


def test_where_no_volume_is_an_image_all_are_listed():
    others = [one.model_copy(update={"modality": "PT"}) for one in (T1, T2)]
    with pytest.raises(DataError, match=r"sees \(second: CT; first: MR\), the source holds none of them") as caught:
        choose_images(manifest(*others), NOTHING, None, lambda: RULES)
    assert caught.value.code == "CHANNEL_MISSING"
    assert all(one.series_key in str(caught.value) for one in others)


def test_a_model_of_one_image_is_asked_about_one_volume():
    assert choose_images(manifest(T1, T2), NOTHING, None, lambda: {"image": SeriesRule(modality="CT")}) == (T2,)
    assert choose_images(manifest(T1, T2), NOTHING, T1.series_key, dict) == (T1,)
    alone = T2.model_copy(update={"frame_of_reference_key": None})  # which only images that share one need
    assert choose_images(manifest(T1, alone), NOTHING, None, lambda: {"image": SeriesRule(modality="CT")}) == (alone,)
    assert choose_images(manifest(T1), NOTHING, None, lambda: pytest.fail("asked")) == (T1,)
