"""A verdict as a person reads it: a table, and the sentence that refuses a version."""

from __future__ import annotations

from data_contracts import CheckOutcome, PromotionCheck, PromotionVerdict
from medkd.promotion.checks import shown

#: Checks that a sentence names; the table has all of them.
_MOST_NAMED = 4


def verdict_markdown(verdict: PromotionVerdict) -> str:
    """Return a verdict as Markdown: what was checked and by what, and a row per check with both figures."""
    compared = "nothing" if verdict.compared_with is None else f"the {verdict.compared_role} {verdict.compared_with}"
    lines = [
        f"# Promotion verdict {verdict.id}: {'passed' if verdict.passed else 'refused'}",
        "",
        f"{verdict.subject}, compared with {compared}, by the policy {verdict.policy} ({verdict.policy_digest[:12]}).",
        "Research use only. Not a medical device.",
        "",
        "| theme | check | outcome | version | compared with | figure and 95 % interval | threshold | reason |",
        "|---|---|---|---|---|---|---|---|",
        *(_row(check) for check in verdict.checks),
    ]
    return "\n".join(lines) + "\n"


def _row(check: PromotionCheck) -> str:
    outcome = f"**{check.outcome.value}**" if check.refuses else check.outcome.value
    figure = "" if check.figure is None else shown(check.figure)
    cells = [
        check.theme,
        check.name,
        outcome,
        _number(check.value),
        _number(check.reference),
        figure,
        _number(check.threshold),
        check.reason,
    ]
    return f"| {' | '.join(cell.replace('|', '/').replace(chr(10), ' ') for cell in cells)} |"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def refusal(verdict: PromotionVerdict) -> str:
    """Return why a version is refused, with the figures of the checks; a gain at the task is said too, since it is what was paid for."""
    refusing = verdict.refusing
    named = "; ".join(f"{check.theme}: {check.reason}" for check in refusing[:_MOST_NAMED])
    more = f"; and {len(refusing) - _MOST_NAMED} more" if len(refusing) > _MOST_NAMED else ""
    gains = [check.reason for check in verdict.checks if check.theme == "task" and check.reference is not None and _gains(check)]
    gained = f"; all the same, at its task: {gains[0]}" if gains else ""
    return (
        f"expected a version that passes the promotion policy {verdict.policy}, {verdict.subject.uri} is refused by {len(refusing)} of "
        f"{len(verdict.checks)} checks: {named}{more}{gained} (verdict {verdict.id}, kept beside the version)"
    )


def _gains(check: PromotionCheck) -> bool:
    return check.outcome is CheckOutcome.HOLDS and check.figure is not None and check.figure.mean > 0


def verdict_table(verdict: PromotionVerdict) -> str:
    """Return a verdict as text for a terminal: a line per check, the reason below those that are not plainly held."""
    width = max(len(f"{check.theme}: {check.name}") for check in verdict.checks)
    lines = [f"verdict {verdict.id} of {verdict.subject.uri} by the policy {verdict.policy}: {'passed' if verdict.passed else 'refused'}"]
    for check in verdict.checks:
        mark = "REFUSES" if check.refuses else check.outcome.value
        lines.append(f"  {f'{check.theme}: {check.name}'.ljust(width)}  {mark.ljust(14)}  {check.reason}")
    return "\n".join(lines)
