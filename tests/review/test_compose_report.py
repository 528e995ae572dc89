from __future__ import annotations

import numpy as np
import pytest

from data_contracts import DataError
from medkd.review.compose_report import compose_report


def test_the_grey_scale_is_what_the_network_sees(report, arrays):
    one = report.explanations[0].model_copy(update={"window": (-100.0, 200.0)})
    composed = compose_report((one,), arrays)
    assert composed.window == (-100.0, 200.0)
    assert composed.explanations == (one,)
    assert composed.caveats


def test_where_the_network_sees_standardised_values_it_is_what_the_study_holds(report, arrays):
    one = report.explanations[0].model_copy(update={"window": None})
    low, high = compose_report((one,), arrays).window
    values = np.sort(arrays.volume, axis=None)
    assert low == pytest.approx(float(values[len(values) // 100]), abs=2)
    assert high == pytest.approx(float(values[-len(values) // 100]), abs=5)
    flat = compose_report((one,), type(arrays)(arrays.volume * 0, arrays.explained))
    assert flat.window == (0.0, 1.0)


def test_the_first_window_of_several_models_counts(report, arrays, of_a_panel):
    first, second = of_a_panel[0].explanations
    given = (first.model_copy(update={"window": None}), second.model_copy(update={"window": (0.0, 7.0)}))
    assert compose_report(given, arrays).window == (0.0, 7.0)


def test_explanations_of_two_volumes_are_no_report(report, arrays):
    one = report.explanations[0]
    other = one.model_copy(update={"volume": one.volume.model_copy(update={"series_key": "s2"})})
    with pytest.raises(DataError, match="got those of 2") as caught:
        compose_report((one, other), arrays)
    assert caught.value.code == "EXPLANATIONS_APART"
