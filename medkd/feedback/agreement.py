"""Agreement in figures: between readers, with wrong maps that were shown on purpose, and between what a reader said before a model and after.

A reader's judgements are counted once: what was superseded is not. Of reports that were wrong on purpose only the first and the third are asked, and the
second is about nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from data_contracts import ControlCase, Estimate, Feedback, FeedbackEntry, OwnRead, ReviewReport, TaskKind
from medkd.feedback.rates import cohens_kappa, difference, fleiss_kappa, kappa_interval, share

#: What is compared between readers: the own read, the decision, and of each finding the prediction and the explanation.
QUESTIONS = ("own_read", "decision", "prediction", "explanation")
#: (round, item) → reader → what was said.
_Answers = dict[tuple[int, str], dict[str, str]]


@dataclass(frozen=True)
class Kappa:
    """How far readers agree beyond chance.

    Attributes:
        question: one of :data:`QUESTIONS`.
        round: of reading.
        readers: whose answers are compared; two for Cohen's κ, more for Fleiss'.
        items: that all of them answered.
        observed: share of items (of pairs of readers on an item, with more) that agree, None without items.
        kappa: 1 for full agreement, 0 for that of chance; None where it is undefined: no items, or one answer throughout.
        interval: its 95 % interval over items; None of few, see :func:`medkd.feedback.rates.kappa_interval`.
    """

    question: str
    round: int
    readers: tuple[str, ...]
    items: int
    observed: float | None
    kappa: float | None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Reliance:
    """How often maps were accepted in a round: wrong ones that were shown on purpose, and the model's own.

    A judgement counts as accepting when no map that it judges is rejected or corrected; judgements that judge no map are left out.

    Attributes:
        round: of reading.
        wrong: share of judgements of control cases that accept; None without one.
        genuine: share of the other judgements that accept.
        difference: wrong less genuine: near 0, wrong maps are accepted as readily as right ones.
    """

    round: int
    wrong: Estimate | None
    genuine: Estimate | None
    difference: Estimate | None


@dataclass(frozen=True)
class Change:
    """What became of own reads once models were seen.

    Attributes:
        round: of reading.
        counts: (before, after) → number of judgements; ``present``, ``absent``, ``unsure`` or a class.
        changed: share of judgements that say something else afterwards, None without any.
        to_model: share of judgements whose own read differed from the model that say afterwards what the model says.
        undefined: judgements about which nothing can be said: of anatomy, or of reports that are not at hand.
    """

    round: int
    counts: dict[tuple[str, str], int]
    changed: Estimate | None
    to_model: Estimate | None
    undefined: int


def agreement_of_readers(entries: Iterable[FeedbackEntry]) -> tuple[Kappa, ...]:
    """Return κ of every pair of readers, and of all of three or more, by question and round, over what all of them answered.

    Args:
        entries: of the log.
    """
    kept = _Kept(entries)
    found: list[Kappa] = []
    for question in QUESTIONS:
        answers = kept.answers(question)
        for round_ in sorted({key[0] for key in answers}):
            own = [said for (of, _), said in answers.items() if of == round_]
            readers = sorted({reader for said in own for reader in said})
            groups = [*combinations(readers, 2), *([tuple(readers)] if len(readers) > 2 else [])]
            found += [_kappa(question, round_, group, own) for group in groups]
    return tuple(found)


def _kappa(question: str, round_: int, readers: tuple[str, ...], answers: Sequence[Mapping[str, str]]) -> Kappa:
    shared = [[said[reader] for reader in readers] for said in answers if all(reader in said for reader in readers)]
    pairs = [first == second for said in shared for first, second in combinations(said, 2)]
    if len(readers) == 2:
        kappa = cohens_kappa([said[0] for said in shared], [said[1] for said in shared])
    else:
        kappa = fleiss_kappa([Counter(said) for said in shared])
    return Kappa(question, round_, readers, len(shared), sum(pairs) / len(pairs) if pairs else None, kappa, kappa_interval(shared))


def reliance_by_round(entries: Iterable[FeedbackEntry]) -> tuple[Reliance, ...]:
    """Return how often wrong maps and the model's own were accepted, by round, with 95 % intervals over judgements.

    Args:
        entries: of the log, its control cases among them.
    """
    kept = _Kept(entries)
    found = []
    for round_ in kept.rounds:
        own = {True: [0, 0], False: [0, 0]}
        for said in kept.feedback:
            judged = [verdict.explanation for verdict in said.verdicts if verdict.explanation != "not_judged"]
            if said.round == round_ and judged:
                counted = own[kept.is_control(said)]
                counted[0] += all(one == "accepted" for one in judged)
                counted[1] += 1
        wrong, genuine = share(*own[True]), share(*own[False])
        found.append(Reliance(round_, wrong, genuine, difference(wrong, genuine)))
    return tuple(found)


def changes_by_round(entries: Iterable[FeedbackEntry], reports: Mapping[str, ReviewReport]) -> tuple[Change, ...]:
    """Return what became of own reads, by round.

    Args:
        entries: of the log.
        reports: by their digests; what models said is in them.
    """
    kept = _Kept(entries)
    found = []
    for round_ in kept.rounds:
        counts: Counter[tuple[str, str]] = Counter()
        differed, followed, undefined = 0, 0, 0
        for said in (one for one in kept.feedback if one.round == round_):
            before, report = kept.own_read_of(said), reports.get(said.report)
            model = None if report is None else answer_of_model(report)
            if before is None or report is None or model is None:
                undefined += 1
                continue
            after = answer_after(said, report)
            counts[before, after] += 1
            differed += before != model
            followed += before != model == after
        changed = share(sum(n for (before, after), n in counts.items() if before != after), counts.total())
        found.append(Change(round_, dict(counts), changed, share(followed, differed), undefined))
    return tuple(found)


def answer_of_model(report: ReviewReport) -> str | None:
    """Return what a report's models answer to the question of the own read; None of anatomy, where no model is asked it."""
    segmenting = [one for one in report.explanations if one.kind is TaskKind.SEGMENTATION]
    if any(one.structures == "anatomy" for one in segmenting):
        return None
    if segmenting:
        return "present" if any(one.lesions for one in segmenting) else "absent"
    answers = [answer for one in report.explanations for answer in one.answers]
    return max(answers, key=lambda answer: answer.probability).class_name if answers else None


def answer_after(said: Feedback, report: ReviewReport) -> str:
    """Return what a judgement answers to the question of the own read: that there is something where a finding is agreed with or marked as missed.

    Of a classifier alone it is the class that is agreed with, else ``unsure``: a reader who disagrees does not say which class it is.
    """
    verdicts = {verdict.finding: verdict.prediction for verdict in said.verdicts}
    if all(one.kind is TaskKind.CLASSIFICATION for one in report.explanations):
        agreed = [a for one in report.explanations for a in one.answers if verdicts.get(f"answer-{a.number}") == "agree"]
        return max(agreed, key=lambda answer: answer.probability).class_name if agreed else "unsure"
    lesions = [verdict for name, verdict in verdicts.items() if not name.startswith("answer-")]
    if said.missed or "agree" in lesions:
        return "present"
    return "unsure" if "unsure" in lesions else "absent"


class _Kept:
    """What counts of a log: judgements that were not superseded, own reads, and which reports were wrong on purpose."""

    def __init__(self, entries: Iterable[FeedbackEntry]) -> None:
        listed = list(entries)
        said = {entry.digest(): entry.record for entry in listed if isinstance(entry.record, Feedback)}
        superseded = {one.supersedes for one in said.values()}
        self.feedback = [one for digest, one in said.items() if digest not in superseded]
        self.own_reads = {entry.digest(): entry.record for entry in listed if isinstance(entry.record, OwnRead)}
        controls = [entry.record for entry in listed if isinstance(entry.record, ControlCase)]
        self._controls = {(one.reviewer_key, one.report, one.round) for one in controls}
        #: A wrong report is of the same study and the same findings: own reads and answers are compared under the genuine one.
        self._genuine = {one.report: one.genuine for one in controls}
        self.rounds = sorted({one.round for one in self.feedback})

    def is_control(self, said: Feedback) -> bool:
        """Return whether a judgement is of a report that was wrong on purpose."""
        return (said.reviewer_key, said.report, said.round) in self._controls

    def own_read_of(self, said: Feedback) -> str | None:
        """Return what the reader answered before."""
        own = self.own_reads.get(said.own_read)
        return None if own is None else own.read.answer

    def answers(self, question: str) -> _Answers:
        """Return the answers to a question, without what depends on maps that were wrong on purpose."""
        found: _Answers = {}
        if question == "own_read":
            for own in self.own_reads.values():
                self._add(found, own, "", own.read.answer)
            return found
        for said in self.feedback:
            if self.is_control(said) and question != "prediction":
                continue  # what was shown there is not what the other reader saw
            if question == "decision":
                self._add(found, said, "", said.decision)
            else:
                for verdict in said.verdicts:
                    answer = verdict.prediction if question == "prediction" else verdict.explanation
                    if answer != "not_judged":
                        self._add(found, said, verdict.finding, answer)
        return found

    def _add(self, found: _Answers, said: OwnRead | Feedback, finding: str, answer: str) -> None:
        report = self._genuine.get(said.report, said.report)
        found.setdefault((said.round, f"{report}/{finding}"), {})[said.reviewer_key] = answer
