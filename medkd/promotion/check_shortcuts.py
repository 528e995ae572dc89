"""Check of what a version follows, by the newest shortcut audit that is registered beside it."""

from __future__ import annotations

from data_contracts import ArtefactEffect, AuditReport, PromotionCheck, ShortcutVerdict
from medkd.promotion.checks import Check, PromotionSetting, not_applicable, outcome_of


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
    yield _judged(subject.audit, asked, policy.allowed)


def _lacking(audit: AuditReport | None, weights_digest: str) -> str:
    """Return why an audit says nothing of a version; nothing where it does."""
    if audit is None:
        return "the version has no shortcut audit (`medkd audit URI --data FOLDER` makes one)"
    if audit.weights_digest != weights_digest:
        return f"its shortcut audit is of the weights {audit.weights_digest[:12]}, its own are {weights_digest[:12]}"
    return ""


def _judged(audit: AuditReport, asked: list[ArtefactEffect], allowed: tuple[str, ...]) -> PromotionCheck:
    followed = [one for one in asked if one.verdict is ShortcutVerdict.FOLLOWS]
    refused = [one for one in followed if one.name not in allowed]
    worst = max(refused or followed or asked, key=lambda one: abs(one.effect.mean))
    named = [one.name for one in audit.with_verdict(ShortcutVerdict.FOLLOWS) if one not in refused]
    more = f"; {', '.join(named)} followed and allowed" if named else ""
    said = f"follows {', '.join(one.name for one in refused)}" if refused else f"follows none of {len(asked)} artefacts that refuse"
    return PromotionCheck(
        theme="shortcuts",
        name="shortcut audit",
        outcome=outcome_of(not refused),
        value=worst.effect.mean,
        figure=worst.effect,
        threshold=audit.bound,
        reason=f"{said} on {audit.folder} ({audit.n} patients); largest effect {worst.name}: {worst.reason}{more}",
    )
