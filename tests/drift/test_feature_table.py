from __future__ import annotations

import math

from data_contracts import FeatureFamily, StudyProfile
from medkd.drift.feature_table import feature_tables


def study(noise, dice, tags=None, **attribution):
    return StudyProfile(images={"noise": noise, "slices": 12.0}, predictions={"dice": dice}, attribution=attribution, tags=tags or {})


def test_columns_are_features_that_differ_and_tags_of_0_and_1():
    rows = [
        study(0.1, None, {"modality": "CT"}, shell=0.2),
        study(0.3, 0.5, {"modality": "MR"}),
        study(0.2, 0.5, {"modality": "CT"}, shell=0.1),
    ]
    tables = feature_tables(rows)
    images = tables[FeatureFamily.IMAGES]
    assert images.names == ("noise", "modality CT", "modality MR")  # the number of slices is the same in all
    assert images.values.tolist() == [[0.1, 1.0, 0.0], [0.3, 0.0, 1.0], [0.2, 1.0, 0.0]]
    assert tables[FeatureFamily.PREDICTIONS].values[:, 0].tolist() == [-math.inf, 0.5, 0.5]
    assert tables[FeatureFamily.ATTRIBUTION].values[:, 0].tolist() == [0.2, -math.inf, 0.1]


def test_rare_tags_are_no_columns_and_a_family_may_have_none():
    rows = [study(float(place), 0.5, {"acquisition": f"row {place}"}) for place in range(60)]
    tables = feature_tables(rows)
    assert tables[FeatureFamily.IMAGES].names == ("noise",)
    assert tables[FeatureFamily.PREDICTIONS].values.shape == (60, 0)
