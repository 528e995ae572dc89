"""Check against controls: a gain that the same arm shows with explanations of nobody is not due to explanations."""

from __future__ import annotations

from data_contracts import PromotionCheck
from medkd.promotion.checks import Check, PromotionSetting, not_applicable, outcome_of, shown
from medkd.promotion.paired import has_figure, incomparable, paired_cases, paired_figure
from medkd.promotion.version_records import VersionRecords

#: Between the name of an arm and that of its control (:class:`data_contracts.ArmVariant`).
CONTROL = "__"


def check_controls(setting: PromotionSetting) -> Check:
    """Yield, for each control arm that is registered, whether the version is better at the task on the same cases."""
    if not setting.controls:
        yield not_applicable(
            "controls", "controls", f"no control arm {setting.subject.model.name}{CONTROL}… is registered, so no gain is claimed over one"
        )
    for name, control in sorted(setting.controls.items()):
        yield _beats(setting, name, control)


def _beats(setting: PromotionSetting, name: str, control: VersionRecords) -> PromotionCheck:
    results, least = setting.subject.results, setting.policy.controls.min_gain
    figure = None if results is None else next((one for one in setting.policy.task.figures if has_figure(results, one)), None)
    if results is None or figure is None:
        return setting.not_measured("controls", name, "the version kept no per-case results of the task")
    reason = incomparable(results, control.results)
    found = None if reason else paired_figure(figure, paired_cases(figure, results, control.results))
    if found is None or found.difference is None:
        return setting.not_measured("controls", name, reason or f"{figure} is undefined for both versions")
    return PromotionCheck(
        theme="controls",
        name=name,
        outcome=outcome_of(found.difference.low > least),
        value=found.own.mean,
        reference=found.other,
        figure=found.difference,
        threshold=least,
        reason=(
            f"{figure} {found.own.mean:.3f} against {found.other:.3f} of {control.model.uri}: difference {shown(found.difference, signed=True)} "
            f"over {found.difference.n} patients, more than {least:g} asked"
        ),
    )
