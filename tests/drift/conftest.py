"""One small student, not trained for long, and one explained study: what tests of profiles need where figures do not matter."""

from __future__ import annotations

import pytest

from tests.drift.phantom_drift import explained_by, make_studies, trained_student


@pytest.fixture(scope="session")
def student():
    """Return the student, and the explanation (record, arrays) of a study that it finds one lesion in."""
    loaded = trained_student(marked_share=0.0, cases=24, epochs=3)
    for study in make_studies(12, 3):
        made = explained_by(loaded, study)
        if len(made.record.explained) == 1:
            return loaded, (made.record, made.arrays), study
    raise AssertionError("expected a study with one finding")
