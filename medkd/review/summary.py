"""The first screen of a page, in plain words: what was found and where, how sure that is, which caveats there are, what to look at.

What one of two models alone marks, and in what the study is not what a model was trained on, comes before everything else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from data_contracts import ClassAnswer, Lesion, LesionFinding, ReviewReport, TaskKind
from medkd.explanation.standing import standing_of
from medkd.inference.calibration_text import CALIBRATED, MISSED_BOUND, NOT_CALIBRATED
from medkd.review.caveats import FOREMOST, OUTSIDE_MILD, OUTSIDE_TRAINING, teacher_class
from medkd.review.page_words import caveat_said, label_of, noun_word, size_of, slices_of
from medkd.review.shown import Shown, shown_in
from medkd.review.texts import Said, Text, recognise, say

#: How many caveats the first screen repeats of the list below it.
MOST_CAVEATS = 3
#: How many of what the teacher alone marks the first screen names: a screen full of specks hides what matters.
MOST_MISSED = 3
GRAVE = 3
_CALIBRATION = (CALIBRATED, NOT_CALIBRATED, MISSED_BOUND)


@dataclass(frozen=True)
class Look:
    """A place to look at: its sentence, its slice, the finding it belongs to (None: none of the student's), row and column of a point."""

    text: Said
    slice_index: int
    place: int | None = None
    spot: tuple[int, int] | None = None


@dataclass(frozen=True)
class Summary:
    """The first screen.

    Attributes:
        first: what comes before everything else; empty where nothing does.
        found: what was found, a sentence each.
        sure: what the probabilities are worth, and what bounds the misses.
        caveats: how many there are, and the gravest that are not said above, each with its name.
        look: where to look, what the two models do not share before the rest.
    """

    first: tuple[Text, ...]
    found: tuple[Text, ...]
    sure: tuple[Text, ...]
    caveats: tuple[Said, tuple[tuple[Text, Text], ...]]
    look: tuple[Look, ...]


def summary_of(report: ReviewReport) -> Summary:
    """Return the first screen of a report."""
    shown = shown_in(report)
    return Summary(
        tuple(_first(report, shown)), tuple(_found(report, shown)), tuple(_sure(report, shown)), _caveats(report), _look(report, shown)
    )


def _first(report: ReviewReport, shown: list[Shown]) -> Iterator[Text]:
    yield from (recognise(caveat.text) for caveat in report.caveats if caveat.code in OUTSIDE_TRAINING)
    for one in shown:
        if isinstance(one.finding, LesionFinding):
            if _alone(one):
                lesion = one.finding
                side = say(f"side.{lesion.side}")
                yield say("found.student_only", label=_named(label_of(one), lesion), side=side, size=size_of(lesion))
        elif _alone(one):
            other = teacher_class(one.finding) or ""
            yield say("found.other_answer", label=label_of(one), class_name=recognise(one.finding.class_name), other=recognise(other))
    named, more = _missed(report)
    for number, missed in named:
        where: dict[str, Text] = {"side": say(f"side.{missed.side}"), "size": size_of(missed), **slices_of(missed)}
        yield say("found.teacher_only", label=_named(say("label.teacher", number=number), missed), **where)
    if more:
        volumes = [lesion.volume_ml for lesion in more if lesion.volume_ml is not None]
        largest = {"volume": f"{max(volumes):.2f}"} if len(volumes) == len(more) else None
        yield (
            say("found.teacher_only_more", count=len(more))
            if largest is None
            else say("found.teacher_only_rest", count=len(more), **largest)
        )


def _missed(report: ReviewReport) -> tuple[list[tuple[int, Lesion]], list[Lesion]]:
    """Return what the teacher alone marks: the largest with their numbers, and the others, which the table below has, too."""
    numbered = list(enumerate((lesion for own in report.explanations for lesion in own.teacher_only), 1))
    largest = sorted(numbered, key=lambda one: (-one[1].voxels, one[0]))
    return sorted(largest[:MOST_MISSED], key=lambda one: one[0]), [lesion for _, lesion in largest[MOST_MISSED:]]


def _named(label: Said, lesion: Lesion) -> Said:
    """Return a label with the name of the structure, where that says more than the label does."""
    plain = lesion.class_name in ("lesion", "structure")
    return label if plain else say("label.class", label=label, class_name=recognise(lesion.class_name))


def _alone(shown: Shown) -> bool:
    """Return whether the teacher does not share a finding."""
    if isinstance(shown.finding, LesionFinding):
        return standing_of(shown.finding) == "student only"
    return teacher_class(shown.finding) not in (None, shown.finding.class_name)


def _found(report: ReviewReport, shown: list[Shown]) -> Iterator[Text]:
    for own in report.explanations:
        if own.kind is not TaskKind.SEGMENTATION:
            continue
        count = len(own.lesions)
        if not count:
            yield say("found.none", noun=noun_word(own.structures))
            # How much is missed goes with nothing being found.
            yield from (recognise(one.text) for one in own.caveats if one.code == MISSED_BOUND)
            continue
        many = say("found.count.many", count=count, nouns=noun_word(own.structures, many=True))
        yield say("found.count.one", noun=noun_word(own.structures)) if count == 1 else many
        if own.structures == "anatomy":
            yield say("found.anatomy")
    for one in shown:
        yield _lesion(one, one.finding) if isinstance(one.finding, LesionFinding) else _answer(one, one.finding)
    left = sum(len(own.lesions) for own in report.explanations) - sum(isinstance(one.finding, LesionFinding) for one in shown)
    if left:
        yield say("found.more", count=left)


def _lesion(shown: Shown, lesion: LesionFinding) -> Said:
    standing, dice = standing_of(lesion), lesion.dice_to_teacher
    agrees = say("standing.agrees") if dice is None else say("standing.agrees_dice", dice=f"{dice:.2f}")
    said = {"agrees": agrees, "student only": say("standing.alone"), "no teacher": say("standing.none")}[standing]
    where: dict[str, Text] = {"side": say(f"side.{lesion.side}"), "size": size_of(lesion), **slices_of(lesion)}
    return say("found.lesion", label=_named(label_of(shown), lesion), standing=said, **where)


def _answer(shown: Shown, answer: ClassAnswer) -> Said:
    other = teacher_class(answer)
    said = say("standing.answer") if other == answer.class_name else say("standing.other", other=recognise(other or ""))
    return say(
        "found.answer",
        label=label_of(shown),
        class_name=recognise(answer.class_name),
        first=answer.first_slice + 1,
        last=answer.last_slice + 1,
        probability=f"{answer.probability:.2f}",
        standing=say("standing.none") if other is None else said,
    )


def _sure(report: ReviewReport, shown: list[Shown]) -> Iterator[Text]:
    """What is said of this study comes before what was measured of the model."""
    codes = [caveat.code for caveat in report.caveats]
    for one in shown:
        if isinstance(one.finding, ClassAnswer):
            calibrated = any(caveat.code == CALIBRATED for caveat in one.explanation.caveats)
            how = say("sure.calibrated_answer") if calibrated else say("sure.plain_answer")
            probability = f"{one.finding.probability:.2f}"
            yield say("sure.answer", label=label_of(one), class_name=recognise(one.finding.class_name), probability=probability, how=how)
    if any(isinstance(one.finding, LesionFinding) for one in shown):
        yield say("sure.outline")
    if NOT_CALIBRATED in codes:
        yield say("sure.uncalibrated")
    empty = [own for own in report.explanations if own.kind is TaskKind.SEGMENTATION and not own.lesions]
    above = {one.text for own in empty for one in own.caveats if one.code == MISSED_BOUND}
    yield from (recognise(one.text) for one in report.caveats if one.code in _CALIBRATION and one.text not in above)
    if MISSED_BOUND not in codes:
        yield say("sure.no_bound")


def _caveats(report: ReviewReport) -> tuple[Said, tuple[tuple[Text, Text], ...]]:
    if not report.caveats:
        return say("caveats.none"), ()
    grave = sum(caveat.severity == GRAVE for caveat in report.caveats)
    count = len(report.caveats)
    counted = say("caveats.one", grave=grave) if count == 1 else say("caveats.count", count=count, grave=grave)
    said = (*FOREMOST, *OUTSIDE_TRAINING, "TEACHER_DISAGREES", *_CALIBRATION)
    rest = [caveat for caveat in report.caveats if caveat.code not in said]
    return counted, tuple(caveat_said(caveat) for caveat in rest[:MOST_CAVEATS])


def _look(report: ReviewReport, shown: list[Shown]) -> tuple[Look, ...]:
    """Return places: what the student alone marks, what the teacher alone marks, answers that the teacher does not share, the rest, foci outside."""
    alone: list[Look] = []
    other: list[Look] = []
    shared: list[Look] = []
    foci: list[Look] = []
    for place, one in enumerate(shown):
        key, label = one.finding.key_slice, label_of(one)
        if _alone(one) and isinstance(one.finding, LesionFinding):
            alone.append(Look(say("look.student_only", slice=key + 1, label=label), key, place))
        else:
            (other if _alone(one) else shared).append(Look(say("look.finding", slice=key + 1, label=label), key, place))
        outside = one.finding.outside
        if outside is not None and outside.share_outside > OUTSIDE_MILD:
            noun, share = noun_word(one.explanation.structures), f"{outside.share_outside:.0%}"
            text = say("look.focus", slice=outside.slice_index + 1, label=label, noun=noun, share=share)
            foci.append(Look(text, outside.slice_index, place, (outside.row, outside.column)))
    missed = [
        Look(say("look.teacher_only", slice=lesion.key_slice + 1, label=say("label.teacher", number=number)), lesion.key_slice)
        for number, lesion in _missed(report)[0]
    ]
    return (*alone, *missed, *other, *shared, *foci)
