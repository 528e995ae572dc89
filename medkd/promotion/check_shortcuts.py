"""Check of what a version follows, by the newest shortcut audit that is registered beside it."""

from __future__ import annotations

from data_contracts import ArtefactEffect, AuditReport, PromotionCheck, ShortcutsPolicy, ShortcutVerdict
from medkd.audit.effects import MIN_PATIENTS
from medkd.promotion.checks import Check, PromotionSetting, not_applicable, outcome_of, shown


def check_shortcuts(setting: PromotionSetting) -> Check:
    """Yield whether a version follows an artefact that the policy does not allow; one that was not audited is not measured."""
    policy, subject = setting.policy.shortcuts, setting.subject
    if not policy.kinds:
        yield not_applicable("shortcuts", "shortcuts", "the policy names no kind of artefact")
        return
    lacking = _lacking(subject.audit, subject.model.weights_digest)
    asked = [] if subject.audit is None else [one for one in subject.audit.artefacts if one.kind in policy.kinds]
    if lacking or subject.audit is None or not asked:
        yield setting.not_measured("shortcuts", "shortcut audit", lacking or f"its audit asked about no {' or '.join(policy.kinds)}")
        return
    yield _judged(subject.audit, asked, policy)


def _lacking(audit: AuditReport | None, weights_digest: str) -> str:
    """Return why an audit says nothing of a version; nothing where it does."""
    if audit is None:
        return "the version has no shortcut audit (`medkd audit URI --data FOLDER` makes one)"
    if audit.weights_digest != weights_digest:
        return f"its shortcut audit is of the weights {audit.weights_digest[:12]}, its own are {weights_digest[:12]}"
    return ""


def _judged(audit: AuditReport, asked: list[ArtefactEffect], policy: ShortcutsPolicy) -> PromotionCheck:
    followed = [one for one in asked if one.verdict is ShortcutVerdict.FOLLOWS]
    beyond = [one for one in asked if one.verdict is ShortcutVerdict.UNDETERMINED and _beyond(one, audit.bound)]
    refused = [one for one in (*followed, *(beyond if policy.beyond_bound == "refuse" else ())) if one.name not in policy.allowed]
    worst = max(refused or followed or asked, key=lambda one: abs(one.effect.mean))
    named = [one.name for one in audit.with_verdict(ShortcutVerdict.FOLLOWS) if one not in refused]
    more = f"; {', '.join(named)} followed and allowed" if named else ""
    return PromotionCheck(
        theme="shortcuts",
        name="shortcut audit",
        outcome=outcome_of(not refused),
        value=worst.effect.mean,
        figure=worst.effect,
        threshold=audit.bound,
        reason=f"{_said(refused, len(asked))} on {audit.folder} ({audit.n} patients); largest effect {worst.name}: {worst.reason}{more}"
        + _warning([one for one in beyond if one not in refused], audit.bound),
    )


def _beyond(artefact: ArtefactEffect, bound: float) -> bool:
    """Return whether the answers move one way by more than the bound, whatever the control says; too few patients show no such thing."""
    return artefact.n >= MIN_PATIENTS and (artefact.effect.low > bound or artefact.effect.high < -bound)


def _said(refused: list[ArtefactEffect], asked: int) -> str:
    follows = [one.name for one in refused if one.verdict is ShortcutVerdict.FOLLOWS]
    moved = [one.name for one in refused if one.name not in follows]
    parts = [f"follows {', '.join(follows)}"] if follows else []
    if moved:
        parts.append(f"is moved one way beyond the bound by {', '.join(moved)}, which the policy refuses (shortcuts.beyond_bound)")
    return " and ".join(parts) or f"follows none of {asked} artefacts that refuse"


def _warning(beyond: list[ArtefactEffect], bound: float) -> str:
    """Return what is no refusal and must not be missed: a large mark moves the answers one way, and noise of its energy moves them as far."""
    if not beyond:
        return ""
    effects = ", ".join(f"{one.name} {shown(one.effect, signed=True)}" for one in beyond)
    return f"; warning: wholly beyond {bound:g} and undetermined (by the control, or after the correction) is the effect of {effects}"
