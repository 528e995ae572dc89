"""Check of the probabilities: what they say is what happens, on patients that they were not calibrated on."""

from __future__ import annotations

from data_contracts import PromotionCheck
from medkd.promotion.checks import Check, PromotionSetting, outcome_of, shown


def check_calibration(setting: PromotionSetting) -> Check:
    """Yield whether the expected calibration error is small enough, held out by patients."""
    calibration, largest = setting.subject.calibration, setting.policy.calibration.max_ece
    found = None if calibration is None else calibration.ece_after
    if calibration is None or found is None:
        reason = "the version has no calibration" if calibration is None else calibration.reason or "its calibration could not be measured"
        yield setting.not_measured("calibration", "expected calibration error", reason)
        return
    before = "" if calibration.ece_before is None else f", {calibration.ece_before.mean:.3f} before it was calibrated"
    # The figure itself, not its upper bound: resampling adds to an error that cannot be negative, most of all in small cohorts.
    yield PromotionCheck(
        theme="calibration",
        name="expected calibration error",
        outcome=outcome_of(found.mean <= largest),
        value=found.mean,
        reference=None if calibration.ece_before is None else calibration.ece_before.mean,
        figure=found,
        threshold=largest,
        reason=f"expected calibration error {shown(found)} over {found.n} validation patients{before}, at most {largest:g} asked",
    )
