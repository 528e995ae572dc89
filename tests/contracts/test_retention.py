"""What a retention policy may say."""

from __future__ import annotations

import pytest

from data_contracts import RetentionPolicy


def test_without_a_word_a_month_stays_and_no_result_that_can_be_used_again_goes():
    policy = RetentionPolicy()
    assert (policy.keep_days, policy.keep_newest, policy.keep_reported) == (30, 1, True)
    assert (policy.stage_days, policy.prefect_days) == (None, 30)


@pytest.mark.parametrize(
    "changes", [{"keep_newest": 0}, {"keep_days": -1}, {"stage_days": -1}, {"prefect_days": -1}, {"keep_days": 0.5}, {"keep_forever": True}]
)
def test_the_newest_version_always_stays_and_days_are_whole_and_not_negative(changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        RetentionPolicy(**changes)
