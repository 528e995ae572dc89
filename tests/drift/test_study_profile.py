from __future__ import annotations

from medkd.drift.study_profile import study_profile
from medkd.explanation.explain_study import StudyImages
from tests.drift.phantom_drift import make_studies


def test_a_profile_has_all_families_and_no_key(student):
    loaded, explained, study = student
    found = study_profile(loaded, StudyImages(study.values, study.volume), explained)
    assert found.images["spacing_slice_mm"] == 4.0
    assert found.predictions["lesions"] == 1.0
    assert "input_times_gradient/mass_beyond_20_mm" in found.attribution
    assert found.tags == {"modality": "CT", "unit": "HU"}
    assert study.volume.series_key not in found.model_dump_json()


def test_the_same_study_gives_the_same_profile_and_another_one_another(student):
    loaded, explained, study = student
    first, again = (study_profile(loaded, StudyImages(study.values, study.volume), explained) for _ in range(2))
    assert first == again
    other = make_studies(1, 99)[0]
    assert study_profile(loaded, StudyImages(other.values, other.volume), explained).images != first.images
