"""Check of a version that was made of another by compression: it is no slower, no worse and no blinder than its bounds allow."""

from __future__ import annotations

from data_contracts import CompressionReport, FormFigures, PromotionCheck
from medkd.promotion.checks import Check, PromotionSetting, not_applicable, outcome_of


def check_compression(setting: PromotionSetting) -> Check:
    """Yield whether the form that a version was measured as is within the bounds of its compression; of other versions nothing is asked."""
    subject = setting.subject
    if not subject.origin:
        yield not_applicable("compression", "compression", f"{subject.model.name} {subject.model.version} was made of no other version")
        return
    report = subject.compression
    lacking = _lacking(report, subject.origin, subject.form)
    form = None if report is None else next((one for one in report.forms if one.name == subject.form), None)
    if lacking or report is None or form is None:
        yield setting.not_measured("compression", "compression", lacking)
        return
    yield _judged(report, form)


def _lacking(report: CompressionReport | None, origin: str, form: str) -> str:
    """Return why a record says nothing of a version; nothing where it does."""
    if report is None:
        return f"no record of its compression lies beside it, which was made of {origin.partition('@')[0]}"
    if str(report.source) != origin:
        return (
            f"the record is of the compression of {report.source.name}/{report.source.version}, it was made of {origin.partition('@')[0]}"
        )
    names = [one.name for one in report.forms]
    if form not in names:
        return f"its form {form!r} is not among those that were measured ({', '.join(names)})"
    found = next(one for one in report.forms if one.name == form)
    unmeasured = [name for name in ("task_difference", "speed") if getattr(found, name) is None]
    return f"the record lacks {', '.join(unmeasured)} of its form {form!r}" if unmeasured else ""


def _judged(report: CompressionReport, form: FormFigures) -> PromotionCheck:
    why = "; ".join(f"{refusal.code}: {refusal.why}" for refusal in form.refusals)
    speed = 0.0 if form.speed is None else form.speed.mean
    return PromotionCheck(
        theme="compression",
        name=form.name,
        outcome=outcome_of(not form.refusals),
        value=form.task.mean,
        figure=form.task_difference,
        reason=why
        or (
            f"within all bounds of the compression {report.name}: {speed:.2f} times as fast as {report.source.name}/{report.source.version} asked by "
            f"torch on {report.processor}"
        ),
    )
