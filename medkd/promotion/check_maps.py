"""Checks of the maps: evidence on the lesion, agreement with the teacher, faithfulness, dependence on the weights."""

from __future__ import annotations

from data_contracts import Estimate, ExplanationBundle, PromotionCheck, Role
from medkd.catalogue import MEASURES
from medkd.explanation.baselines import BASELINES
from medkd.promotion.check_task import compare_figures
from medkd.promotion.checks import Check, PromotionSetting, not_applicable, outcome_of, shown

AGREEMENT = "agreement"


def check_evidence(setting: PromotionSetting) -> Check:
    """Yield whether as much of the class maps lies on the lesion as in what the version is compared with."""
    rule = setting.policy.evidence
    yield from compare_figures(setting, "evidence", rule.figures, setting.margin(rule.margin, rule.teacher_margin), rule.floor)


def check_agreement(setting: PromotionSetting) -> Check:
    """Yield whether a student's class maps agree with its teacher's, and as much as a champion's of the same teacher."""
    rule, subject, reference = setting.policy.agreement, setting.subject.model, setting.reference
    if subject.role is not Role.STUDENT or setting.subject.checkpoint.teacher_digest is None:
        yield not_applicable("agreement", AGREEMENT, f"{subject.name} {subject.version} learned from no teacher")
        return
    of_same = (
        setting.role == "champion"
        and reference is not None
        and reference.checkpoint.teacher_digest == setting.subject.checkpoint.teacher_digest
    )
    compared = setting if of_same else PromotionSetting(setting.policy, setting.subject, absent="there is no champion of the same teacher")
    yield from compare_figures(compared, "agreement", (AGREEMENT,), rule.margin, rule.floor)


def check_faithfulness(setting: PromotionSetting) -> Check:
    """Yield, per faithfulness measure, whether the first trusted explainer is better than every map that knows nothing of the network."""
    rule, bundle = setting.policy.faithfulness, setting.subject.bundle
    explainer = None if bundle is None else first_trusted(bundle)
    if bundle is None or explainer is None:
        reason = _unexplained(setting) if bundle is None else "no explainer passed its tests on the version"
        yield setting.not_measured("faithfulness", "faithfulness", reason)
        return
    measures = rule.measures or tuple(name for name in _measures_of(bundle, explainer) if _is_faithfulness(name))
    if not measures:
        yield setting.not_measured("faithfulness", "faithfulness", "its explanations were not measured by any faithfulness measure")
    for measure in measures:
        yield _beats_baselines(setting, bundle, explainer, measure)


def _unexplained(setting: PromotionSetting) -> str:
    return (
        f"no explanations of test cases lie beside the version: medkd explain-model RECIPE --model {setting.subject.model.uri} makes them"
    )


def _beats_baselines(setting: PromotionSetting, bundle: ExplanationBundle, explainer: str, measure: str) -> PromotionCheck:
    """Compare with the best baseline: the bound of the explainer's interval that speaks against it, since the cases are few."""
    own = bundle.figures.get(f"{explainer}/{measure}")
    baselines = {name: bundle.figures[f"{name}/{measure}"].mean for name in BASELINES if f"{name}/{measure}" in bundle.figures}
    if own is None or not baselines:
        what = f"{explainer} has no {measure}" if own is None else f"no baseline has {measure}"
        return setting.not_measured("faithfulness", measure, what)
    sign = 1.0 if MEASURES.entry(measure.partition(":")[0]).fact("HIGHER_IS_BETTER") else -1.0
    best = max(baselines, key=lambda name: sign * baselines[name])
    gain, least = _gain(own, baselines[best], sign), setting.policy.faithfulness.min_gain
    return PromotionCheck(
        theme="faithfulness",
        name=measure,
        outcome=outcome_of(gain.low > least),
        value=own.mean,
        reference=baselines[best],
        figure=gain,
        threshold=least,
        reason=(
            f"{measure} of {explainer} {own.mean:.3f} against {baselines[best]:.3f} of {best}, the best map that knows nothing of the network: "
            f"better by {shown(gain, signed=True)}, more than {least:g} is asked"
        ),
    )


def _gain(own: Estimate, other: float, sign: float) -> Estimate:
    """Return by how much a figure is better than a fixed one, with the figure's own interval."""
    bounds = sorted(sign * (bound - other) for bound in (own.low, own.high))
    return Estimate(mean=sign * (own.mean - other), low=bounds[0], high=bounds[1], n=own.n, missing=own.missing, unit=own.unit)


def check_randomisation(setting: PromotionSetting) -> Check:
    """Yield whether enough explainers depend on the weights of the version."""
    bundle, least = setting.subject.bundle, setting.policy.randomisation.min_explainers
    if bundle is None:
        yield setting.not_measured("randomisation", "randomisation", _unexplained(setting))
        return
    tested = {one.explainer: check for one in bundle.sanity_reports for check in one.checks if check.name == "randomisation"}
    known = {name: check for name, check in tested.items() if check.passed is not None}
    if not known:
        yield setting.not_measured("randomisation", "randomisation", "no explainer was tested with weights drawn anew")
        return
    passed = [name for name, check in known.items() if check.passed]
    said = ", ".join(f"{name} {check.value:.2f} (at most {check.limit:g})" for name, check in known.items())
    yield PromotionCheck(
        theme="randomisation",
        name="randomisation",
        outcome=outcome_of(len(passed) >= least),
        value=len(passed),
        threshold=least,
        reason=f"{len(passed)} of {len(known)} explainers depend on the weights, {least} asked; similarity with weights drawn anew: {said}",
    )


def first_trusted(bundle: ExplanationBundle) -> str | None:
    """Return the explainer that a report shows first: the first one that passed its tests; None where none did."""
    return next((one.explainer for one in bundle.sanity_reports if one.trusted), None)


def _measures_of(bundle: ExplanationBundle, explainer: str) -> list[str]:
    return sorted(name.removeprefix(f"{explainer}/") for name in bundle.figures if name.startswith(f"{explainer}/"))


def _is_faithfulness(name: str) -> bool:
    known = name.partition(":")[0]
    return known in MEASURES.names() and MEASURES.entry(known).fact("KIND") == "faithfulness"
