"""What an administrator sees of the readers: progress, whether wrong maps are accepted as right ones are, agreement of own reads."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from data_contracts.feedback import Feedback, OwnRead, ScaleAnswers
from medkd.review_server.accounts import Account
from medkd.review_server.reading import Entered, Readings

#: Judgements of a map that say something: others were not asked about it.
_JUDGED = ("accepted", "rejected", "corrected")
#: Points of the questionnaire that full agreement with all ten statements makes.
MOST_POINTS = 50


@dataclass(frozen=True)
class Part:
    """So many of all."""

    count: int = 0
    all: int = 0


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


@dataclass(frozen=True)
class Reliance:
    """Maps that were accepted in a round: of those that were wrong on purpose, and of the genuine ones."""

    round: int
    wrong: Part
    genuine: Part


@dataclass(frozen=True)
class Agreement:
    """Two readers' own reads of the studies that both have read in a round; κ is None where they are fewer than two."""

    round: int
    pair: str
    studies: int
    kappa: float | None


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


def reliance_of(readings: Readings) -> list[Reliance]:
    """Return, of every round, which share of the maps was accepted: wrong ones beside genuine ones."""
    _, judged, wrong, _ = readings.entries()
    rounds: dict[int, dict[bool, list[str]]] = {}
    for said in _said(judged):
        verdicts = [one.explanation for one in said.verdicts if one.explanation in _JUDGED]
        rounds.setdefault(said.round, {True: [], False: []})[said.report in wrong] += verdicts
    return [Reliance(round_, _accepted(found[True]), _accepted(found[False])) for round_, found in sorted(rounds.items())]


def _accepted(verdicts: Sequence[str]) -> Part:
    return Part(sum(one == "accepted" for one in verdicts), len(verdicts))


def agreement_of(readings: Readings) -> list[Agreement]:
    """Return Cohen's κ of the own reads of every pair of readers, by rounds."""
    reads, _, wrong, _ = readings.entries()
    rounds: dict[int, dict[str, dict[str, str]]] = {}
    for own in _reads(reads):
        # What was shown afterwards differs between readers of a control case; what they read is one study.
        report = wrong[own.report].genuine if own.report in wrong else own.report
        rounds.setdefault(own.round, {}).setdefault(own.reviewer_key, {})[report] = own.read.answer
    found = []
    for round_, readers in sorted(rounds.items()):
        for one, other in itertools.combinations(sorted(readers), 2):
            both = sorted(readers[one].keys() & readers[other].keys())
            answers = [[readers[reader][report] for report in both] for reader in (one, other)]
            found.append(Agreement(round_, f"{one}, {other}", len(both), _kappa(*answers)))
    return found


def _kappa(one: Sequence[str], other: Sequence[str]) -> float | None:
    if len(one) < 2:
        return None
    if len({*one, *other}) == 1:
        return 1.0  # 0 / 0 by the formula: both always gave one and the same answer
    from sklearn.metrics import cohen_kappa_score  # half a second to import, and only administrators wait for it

    return float(cohen_kappa_score(one, other))


def _reads(entered: Sequence[Entered]) -> list[OwnRead]:
    return [one.entry.record for one in entered if isinstance(one.entry.record, OwnRead)]


def _said(entered: Sequence[Entered]) -> list[Feedback]:
    return [one.entry.record for one in entered if isinstance(one.entry.record, Feedback)]
