"""A report from the explanations of one study: nothing is asked of a model, and no map is made."""

from __future__ import annotations

import numpy as np

from data_contracts import Calibration, DataError, ReviewReport, StudyExplanation
from medkd.review.caveats import compute_caveats
from medkd.review.shown import StudyArrays

#: Grey scale of a study whose networks see standardised values.
PERCENTILES = (1.0, 99.0)


def compose_report(
    explanations: tuple[StudyExplanation, ...], arrays: StudyArrays, calibrations: tuple[Calibration, ...] = ()
) -> ReviewReport:
    """Return the report of a study. No finding is an answer.

    Args:
        explanations: of the study, one by each asked model.
        arrays: theirs.
        calibrations: of versions; those of the asked ones become part of the report.

    Raises:
        DataError: ``EXPLANATIONS_APART`` when they are of several volumes.
    """
    volumes = {one.volume.digest() for one in explanations}
    if len(volumes) != 1:
        raise DataError("EXPLANATIONS_APART", f"expected explanations of one volume, got those of {len(volumes)}")
    window = next((one.window for one in explanations if one.window is not None), None)
    if window is None:
        low, high = (float(value) for value in np.percentile(arrays.volume, PERCENTILES))
        window = (low, max(high, low + 1.0))
    asked = {one.model.weights_digest for one in explanations}
    kept = tuple(one for one in calibrations if one.weights_digest in asked)
    return ReviewReport(explanations=explanations, window=window, caveats=compute_caveats(explanations), calibrations=kept)
