"""A check of a loss as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from medkd.loss_check.verdict import LawVerdict, LossReport


def check_loss_text(report: LossReport) -> str:
    """Return one line per law, with the kinds of networks where they differ, the controls that are due, and the verdict."""
    asked = [setting for setting in report.settings if not setting.failed]
    lines = [f"{report.loss} ({report.source}), on small networks: {', '.join(setting.name for setting in asked)}"]
    lines += [f"not asked      {setting.name}: {setting.failed}" for setting in report.settings if setting.failed and not setting.laws]
    # By name: after a crash, or without a gradient, fewer laws are asked.
    for name in dict.fromkeys(law.law for setting in report.settings for law in setting.laws):
        found = [(setting.name, law) for setting in report.settings for law in setting.laws if law.law == name]
        lines += _law_lines(name, found, len(asked))
    if report.controls:
        lines.append(
            f"before the teacher's explanations get the credit, a gain must beat these in an experiment (experiment.controlled): {', '.join(report.controls)}"
        )
    broken = report.broken()
    lines.append(f"{len(broken)} broken" if broken else "all laws hold")
    return "\n".join(lines)


def _law_lines(name: str, found: Sequence[tuple[str, LawVerdict]], asked: int) -> list[str]:
    """Return a line for each verdict of a law: with its first sentence where it holds, with all of them where it is broken."""
    lines = []
    for verdict in ("broken", "holds", "not applicable"):
        some = [(where, law) for where, law in found if law.verdict == verdict]
        everywhere = len(some) == asked
        shown = some if verdict == "broken" else some[:1]
        for where, law in shown:
            place = (
                ""
                if everywhere and verdict != "broken"
                else f" [{where}]"
                if verdict == "broken"
                else f" [{', '.join(w for w, _ in some)}]"
            )
            lines.append(f"{verdict.ljust(14)} {name}{place}: {law.sentence}")
    return lines
