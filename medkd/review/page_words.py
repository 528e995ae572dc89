"""What a page says of findings, tests, grids and caveats, as texts of the catalogue."""

from __future__ import annotations

from collections.abc import Sequence

from data_contracts import Caveat, ClassAnswer, Lesion, LesionFinding, SanityCheck, Structures
from medkd.explanation.standing import standing_of
from medkd.explanation.wording import noun_of
from medkd.review.caveats import teacher_class
from medkd.review.shown import Shown
from medkd.review.texts import Said, Text, listed, recognise, say, texts_of

_STANDINGS = {"agrees": "cell.agrees", "student only": "cell.alone", "no teacher": "cell.none"}


def label_of(shown: Shown) -> Said:
    """Return what a finding is called: lesion 1, structure 1, answer 2."""
    noun = noun_of(shown.explanation.structures) if isinstance(shown.finding, LesionFinding) else "answer"
    return say(f"label.{noun}", number=shown.finding.number)


def noun_word(structures: Structures, *, many: bool = False) -> Said:
    """Return what one thing that a model outlines is called, or several of them."""
    return say(f"word.{noun_of(structures)}{'s' if many else ''}")


def size_of(lesion: Lesion) -> Said:
    """Return volume, longest diameter, long and short axis, as far as they are known."""
    if lesion.volume_ml is None:
        return say("size.unknown")
    volume = f"{lesion.volume_ml:.2f}"
    if lesion.diameter_mm is None:
        return say("size.volume_alone", volume=volume)
    diameter = f"{lesion.diameter_mm:.1f}"
    if lesion.axes_mm is None:
        return say("size.volume", volume=volume, diameter=diameter)
    long, short = (f"{axis:.1f}" for axis in lesion.axes_mm)
    return say("size.axes", volume=volume, diameter=diameter, long=long, short=short)


def slices_of(finding: Lesion | ClassAnswer) -> dict[str, Text]:
    """Return first, last and key slice, counted from 1."""
    return {"first": finding.first_slice + 1, "last": finding.last_slice + 1, "key": finding.key_slice + 1}


def teacher_cell(finding: LesionFinding | ClassAnswer) -> tuple[Said, bool]:
    """Return what the teacher says of a finding, and whether the student stands alone with it."""
    if isinstance(finding, LesionFinding):
        standing = standing_of(finding)
        return say(_STANDINGS[standing]), standing == "student only"
    other = teacher_class(finding)
    if other is None:
        return say("cell.none"), False
    return (say("cell.agrees"), False) if other == finding.class_name else (say("cell.other", other=recognise(other)), True)


def checks_said(checks: Sequence[SanityCheck], structures: Structures) -> Text:
    """Return which tests an explainer failed and passed, with the words of :func:`medkd.explanation.wording.checks_text`."""

    def named(check: SanityCheck) -> Text:
        return recognise(check.name.replace("lesion", noun_of(structures)))

    failed = listed(
        say("check.test_bound", name=named(one), value=f"{one.value:.3g}", limit=f"{one.limit:g}")
        for one in checks
        if one.passed is False and one.value is not None
    )
    passed = listed(say("check.test", name=named(one), value=f"{one.value:.3g}") for one in checks if one.passed and one.value is not None)
    if failed and passed:
        return say("check.tests", failed=failed, passed=passed)
    if failed or passed:
        return say("check.failed", tests=failed) if failed else say("check.passed", tests=passed)
    return say("check.not_tested", tests=listed(say("check.test_reason", name=named(one), reason=recognise(one.reason)) for one in checks))


def caveat_said(caveat: Caveat) -> tuple[Text, Text]:
    """Return what a caveat is called, and its sentence."""
    key = f"caveat.{caveat.code}"
    name: Text = say(key) if key in texts_of("en") else caveat.code.replace("_", " ").lower()
    return name, recognise(caveat.text)
