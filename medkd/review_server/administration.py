"""What an administrator sees of the readers' progress; reliance and agreement are counted by :mod:`medkd.feedback.agreement`."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from data_contracts.feedback import Feedback, OwnRead, ScaleAnswers
from medkd.review_server.accounts import Account
from medkd.review_server.reading import Entered, Readings

#: Points of the questionnaire that full agreement with all ten statements makes.
MOST_POINTS = 50


@dataclass(frozen=True)
class Progress:
    """How far a reader is in a round."""

    name: str
    reviewer: str
    own_reads: int
    signed: int
    minutes: str
    overlay: str
    controls: int
    scale: str


def score_of(answers: Sequence[int]) -> str:
    """Return the score of the System Causability Scale: points over the most there can be, .2 to 1 (Holzinger et al. 2020)."""
    return f"{sum(answers) / MOST_POINTS:.2f}"


def progress_of(readings: Readings, accounts: Sequence[Account], round_: int) -> list[Progress]:
    """Return how far each account is in a round; administrators who read are among them."""
    reads, judged, wrong, scales = readings.entries()
    found = []
    for account in accounts:
        own = [one for one in _reads(reads) if (one.reviewer_key, one.round) == (account.reviewer_key, round_)]
        said = [one for one in _said(judged) if (one.reviewer_key, one.round) == (account.reviewer_key, round_)]
        seconds, overlay = sum(one.seconds_on_page for one in said), sum(one.seconds_with_overlay for one in said)
        scale = scales.get((account.reviewer_key, round_))
        answers = scale.entry.record.answers if scale is not None and isinstance(scale.entry.record, ScaleAnswers) else None
        found.append(
            Progress(
                name=account.name,
                reviewer=account.reviewer_key,
                own_reads=len(own),
                signed=len(said),
                minutes=f"{statistics.median(one.seconds_on_page for one in said) / 60:.1f}" if said else "–",
                overlay=f"{100 * overlay / seconds:.0f} %" if seconds else "–",
                controls=sum(one.report in wrong for one in own),
                scale=score_of(answers) if answers is not None else "–",
            )
        )
    return found


def _reads(entered: Sequence[Entered]) -> list[OwnRead]:
    return [one.entry.record for one in entered if isinstance(one.entry.record, OwnRead)]


def _said(entered: Sequence[Entered]) -> list[Feedback]:
    return [one.entry.record for one in entered if isinstance(one.entry.record, Feedback)]
