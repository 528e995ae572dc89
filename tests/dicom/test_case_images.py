"""Which volumes of a study are the images of one case; the whole way from files is in tests/cohorts/test_dicom_series.py."""

from __future__ import annotations

import pytest

from data_contracts import DataError, SeriesRule, StoreManifest
from medkd.dicom.case_images import images_of_cases, images_of_store, require_images_of_store
from tests.dicom.invented import volume

RULES = {"mr": SeriesRule(modality="MR"), "ct": SeriesRule(modality="CT")}


def held(name, modality, study="s", place="f", patient="p"):
    keys = {"modality": modality, "study_key": study, "frame_of_reference_key": place, "patient_key": patient, "series_key": name}
    return volume(name).model_copy(update=keys)


def test_a_study_with_one_volume_for_each_rule_is_a_case_in_the_order_of_the_rules():
    mr, ct = held("a", "MR"), held("b", "CT")
    cases, refused = images_of_cases((ct, mr), {}, RULES)
    assert ([case.volumes for case in cases], refused) == ([(mr, ct)], {})
    assert cases[0].first == mr


def test_studies_and_patients_are_not_mixed():
    volumes = (held("a", "MR"), held("b", "CT", study="t"), held("c", "MR", study="t", patient="q"), held("d", "CT", patient="q"))
    cases, refused = images_of_cases(volumes, {}, RULES)
    assert cases == []
    assert {key: why.code for key, why in refused.items()} == dict.fromkeys("abcd", "CHANNEL_MISSING")


def test_each_frame_of_reference_of_a_study_may_hold_a_case():
    volumes = (held("a", "MR"), held("b", "CT"), held("c", "MR", place="g"), held("d", "CT", place="g"))
    cases, _ = images_of_cases(volumes, {}, RULES)
    assert [[one.series_key for one in case.volumes] for case in cases] == [["a", "b"], ["c", "d"]]


@pytest.mark.parametrize(
    ("volumes", "code", "said"),
    [
        ((held("a", "MR"), held("b", "CT", place="g")), "CHANNEL_FRAME", "register it and write it in theirs"),
        ((held("a", "MR", place=None), held("b", "CT", place=None)), "CHANNEL_FRAME", "the series state none"),
        ((held("a", "MR"), held("b", "CT"), held("c", "CT")), "CHANNEL_AMBIGUOUS", "expected one volume as ct, its rule finds 2"),
        ((held("a", "MR"),), "CHANNEL_MISSING", "expected a volume as ct"),
    ],
)
def test_what_is_no_case_says_why(volumes, code, said):
    cases, refused = images_of_cases(volumes, {}, RULES)
    assert cases == []
    assert refused["a"].code == code
    assert said in refused["a"].what


def test_two_rules_that_find_one_volume_are_no_case():
    cases, refused = images_of_cases((held("a", "MR"),), {}, {"mr": RULES["mr"], "any": SeriesRule()})
    assert cases == []
    assert refused["a"].code == "CHANNEL_AMBIGUOUS"
    assert "mr and any find the same" in refused["a"].what


def test_a_study_with_none_of_the_images_is_nobodys_concern():
    assert images_of_cases((held("a", "PT"),), {}, RULES) == ([], {})


def test_a_model_of_one_image_is_asked_about_every_volume_of_a_store_whatever_its_rule():
    volumes = (held("a", "MR"), held("b", "CT"), held("c", "MR", study="t"))
    for rules in ({}, {"ct": RULES["ct"]}):
        cases, refused = images_of_store(StoreManifest(volumes=volumes), rules)
        assert ([case.volumes for case in cases], refused) == ([(one,) for one in volumes], {})


def test_a_model_of_several_images_is_asked_about_the_studies_that_have_them():
    volumes = (held("a", "MR"), held("b", "CT"), held("c", "MR", study="t"))
    cases, refused = images_of_store(StoreManifest(volumes=volumes), RULES)
    assert [case.volumes for case in cases] == [volumes[:2]]
    assert {key: why.code for key, why in refused.items()} == {"c": "CHANNEL_MISSING"}


def test_a_store_without_any_of_several_images_is_refused_in_words():
    with pytest.raises(DataError, match=r"expected a study with the images that the model sees .*, none of 1 volumes") as caught:
        require_images_of_store(StoreManifest(volumes=(held("a", "US"),)), RULES)
    assert images_of_store(StoreManifest(volumes=(held("a", "US"),)), RULES) == ([], {})
    assert caught.value.code == "CHANNEL_MISSING"
