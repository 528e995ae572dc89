from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import CheckpointSeries, GapFineTuningRun, read_record

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def series():
    return read_record((GOLDEN / "checkpoint_series_2.json").read_bytes(), CheckpointSeries)


def test_a_student_of_an_earlier_epoch_has_its_weights_and_its_share_of_the_time(series):
    (point,) = series.snapshots
    early = series.at(point.epoch)
    assert (early.weights, early.weights_digest) == (point.weights, point.weights.sha256)
    assert early.epochs == 2
    assert early.train_seconds == pytest.approx(series.last.train_seconds * 2 / 4)
    assert early.recipe_digest == series.last.recipe_digest


def test_an_epoch_that_was_not_kept_cannot_be_had(series):
    with pytest.raises(ValueError, match="not enough values"):
        series.at(3)


def test_a_series_without_a_student_and_rounds_without_a_first_are_refused(series):
    with pytest.raises(ValueError, match="snapshots"):
        CheckpointSeries(last=series.last, snapshots=())
    with pytest.raises(ValueError, match="rounds"):
        GapFineTuningRun(rounds=(), weighted=True, stopped="", chosen=0)
