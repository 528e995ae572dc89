"""Checks of what a student lost against its teacher, by the loss statement that is registered with it."""

from __future__ import annotations

from collections.abc import Iterator

from data_contracts import LossAxis, LossItem, LossStatement, PromotionCheck, Role
from medkd.promotion.checks import Check, PromotionSetting, not_applicable, outcome_of, shown

#: Axes that a policy has a limit for, with what a table calls them.
_AXES = {
    "cases": LossAxis.CASES,
    "small lesions": LossAxis.SMALL_LESIONS,
    "subgroup": LossAxis.SUBGROUP,
    "calibration": LossAxis.CALIBRATION,
    "agreement of reasons": LossAxis.AGREEMENT_OF_REASONS,
}


def check_losses(setting: PromotionSetting) -> Check:
    """Yield, for each axis that the policy limits, whether the largest sure loss is within the limit."""
    subject = setting.subject
    limits = {name: limit for name in _AXES if (limit := getattr(setting.policy.losses, _AXES[name].value)) is not None}
    if subject.model.role is not Role.STUDENT or subject.checkpoint.teacher_digest is None:
        yield not_applicable("losses", "losses", f"{subject.model.name} {subject.model.version} learned from no teacher")
    elif not limits:
        yield not_applicable("losses", "losses", "the policy limits no loss")
    elif (lacking := _lacking(subject.losses, subject.checkpoint.teacher_digest)) or subject.losses is None:
        yield setting.not_measured("losses", "loss statement", lacking)
    else:
        yield from _limited(subject.losses, limits)


def _lacking(statement: LossStatement | None, teacher_digest: str) -> str:
    """Return why a statement says nothing of a student and its teacher; nothing where it does."""
    if statement is None:
        return "the version has no loss statement"
    if statement.teacher_digest != teacher_digest:
        return f"its loss statement is against the weights {statement.teacher_digest[:12]}, it learned from {teacher_digest[:12]}"
    if not statement.figures:
        reason = next((one.reason for one in statement.not_measured), "no figure could be made")
        return f"its loss statement compares nothing: {reason}"
    return ""


def _limited(statement: LossStatement, limits: dict[str, float]) -> Iterator[PromotionCheck]:
    for name, limit in limits.items():
        items = [one for one in (*statement.losses, *statement.unchanged, *statement.gains) if one.axis is _AXES[name]]
        if items:
            yield _within(name, items, limit)
        else:
            reason = next((one.reason for one in statement.not_measured if one.axis is _AXES[name]), "the statement has no such figure")
            yield not_applicable("losses", name, reason)


def _within(name: str, items: list[LossItem], limit: float) -> PromotionCheck:
    sure = [one for one in items if one.sure and one.loss.mean > 0]
    # Without a sure loss the largest one is shown all the same: what was looked at, and how far it is from being sure.
    worst = max(sure or items, key=lambda one: one.loss.mean)
    said = f"{worst.what}: {worst.student:.3f} against the teacher's {worst.teacher:.3f}, worse by {shown(worst.loss, signed=True)}"
    certainty = "surely, " if sure else "not surely, "
    return PromotionCheck(
        theme="losses",
        name=name,
        outcome=outcome_of(not sure or worst.loss.mean <= limit),
        value=worst.student,
        reference=worst.teacher,
        figure=worst.loss,
        threshold=limit,
        reason=f"{said} over {worst.loss.n} patients ({certainty}by all {len(items)} figures of this kind); a sure loss of {limit:g} is allowed",
    )
