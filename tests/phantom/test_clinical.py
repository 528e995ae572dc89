from __future__ import annotations

import numpy as np
from sklearn.metrics import roc_auc_score

from medkd.phantom.clinical import COLUMNS, MISSING_SHARE, clinical_rows
from medkd.phantom.render import draw_cases

CASES = draw_cases(400, 3)
ROWS = clinical_rows(CASES, COLUMNS)


def test_two_columns_carry_part_of_the_truth_and_one_nothing():
    def auc(column):
        known = [(int(label), row[column]) for label, row in zip(CASES.label, ROWS, strict=True) if row[column] is not None]
        return roc_auc_score(*map(list, zip(*known, strict=True)))

    assert abs(auc("age") - 0.5) < 0.07
    assert 0.8 < auc("tumour_marker") < 0.93
    assert 0.18 < auc("lymphocytes") < 0.38


def test_some_values_were_not_measured():
    for column in COLUMNS:
        share = np.mean([row[column] is None for row in ROWS])
        assert abs(share - MISSING_SHARE[column]) < 0.05


def test_a_row_is_its_cases_own():
    assert clinical_rows(CASES[[7, 3]], ("lymphocytes",)) == [{"lymphocytes": ROWS[row]["lymphocytes"]} for row in (7, 3)]
