"""Two versions on the same cases: figures and differences that can be counted by hand."""

from __future__ import annotations

import numpy as np

from medkd.promotion.paired import AUC, PairedCases, paired_figure


def test_an_auc_is_made_of_probabilities_and_labels():
    """Pairs (positive, negative): of .9 .4 against .5 .1 three of four are in order; the other version has all four."""
    cases = PairedCases(np.array([0.9, 0.4, 0.5, 0.1]), np.array([0.9, 0.8, 0.5, 0.1]), np.array([1, 1, 0, 0]), ("a", "b", "c", "d"))
    found = paired_figure(AUC, cases)
    assert (found.own.mean, found.other, found.difference.mean) == (0.75, 1.0, -0.25)
    assert paired_figure(AUC, cases.select([0, 1])) is None
