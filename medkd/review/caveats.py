"""Computed caveats: when a reader should look twice, with the quantity that says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from data_contracts import (
    CODES,
    Caveat,
    ClassAnswer,
    Lesion,
    LesionFinding,
    OutsideFocus,
    Severity,
    SimilarCases,
    StudyExplanation,
    VolumeRef,
)
from medkd.explanation.standing import LEAST_SHARED, place_of, standing_of
from medkd.explanation.wording import failed_mark, noun_of
from medkd.inference.calibration_text import CALIBRATED, NOT_CALIBRATED
from medkd.inference.nearest_cases import FAR
from medkd.wording import require_neutral

SMALL_ML, SMALL_MM = 1.0, 10.0
LOW_INSIDE, INSIDE_GAP = 0.1, 0.15
OUTSIDE_MILD, OUTSIDE_GRAVE = 0.5, 0.8
UNDECIDED = (0.35, 0.65)
_UNCALIBRATED = "Probabilities are softmax outputs; no calibration set was used."
#: What a reader must know before anything else: whether there is a finding at all.
FOREMOST = ("STUDENT_ONLY", "TEACHER_ONLY")
#: In what a study is not what the model was trained on; one that was trained without cases was trained on no study at all.
OUTSIDE_TRAINING = (
    "SERIES_OTHER",
    "MODALITY_UNTRAINED",
    "UNIT_UNTRAINED",
    "SPACING_UNTRAINED",
    "EXTENT_UNTRAINED",
    "TRAINED_WITHOUT_CASES",
)


def compute_caveats(
    explanations: Sequence[StudyExplanation], similar: Sequence[SimilarCases] = (), more: Sequence[Caveat] = ()
) -> tuple[Caveat, ...]:
    """Return all caveats of the explanations of one study, and of how its findings lie to training cases, worst first.

    ``more`` are of what the report is made with. In what the study is not what a model was trained on stands before everything else as grave, then what one of two models alone marks. The
    probabilities of a version without a calibration are said not to be calibrated; one that has it says so itself.
    """
    found = [] if all(_speaks_of_calibration(one) for one in explanations) else [(1, NOT_CALIBRATED, _UNCALIBRATED)]
    found += _of_source(explanations[0].volume)
    for one in explanations:
        found += [(caveat.severity, caveat.code, caveat.text) for caveat in one.caveats]
        found += _of_explanation(one)
    found += [caveat for one in similar for caveat in _of_training(one, explanations[one.explanation])]
    found += [(caveat.severity, caveat.code, caveat.text) for caveat in more]
    # Two models that were trained alike say the same of a study.
    caveats = [Caveat(code=code, text=require_neutral(text), severity=severity) for severity, code, text in dict.fromkeys(found)]
    return tuple(sorted(caveats, key=lambda caveat: (-caveat.severity, _rank(caveat.code), caveat.code, caveat.text)))


def _speaks_of_calibration(one: StudyExplanation) -> bool:
    return any(caveat.code in (CALIBRATED, NOT_CALIBRATED) for caveat in one.caveats)


def _of_explanation(one: StudyExplanation) -> Iterator[tuple[int, str, str]]:
    noun = noun_of(one.structures)
    left = [lesion for lesion in one.lesions if lesion.number not in one.explained]
    if left:
        largest = max((lesion.volume_ml for lesion in left if lesion.volume_ml is not None), default=0.0)
        counted = "1 more component is outlined" if len(left) == 1 else f"{len(left)} more components are outlined"
        yield 2, "NOT_EXPLAINED", f"{counted} but not explained; the largest has {largest:.2f} ml."
    more = [answer for answer in one.answers if answer.number not in one.explained]
    if more:
        slices = sum(answer.last_slice - answer.first_slice + 1 for answer in more)
        counted = "1 more answer is" if len(more) == 1 else f"{len(more)} more answers are"
        yield 2, "NOT_EXPLAINED", f"{counted} not explained, of {slices} slices together."
    if one.teacher_only:
        yield 3, "TEACHER_ONLY", _missed(one.teacher_only)
    for sanity_report in one.sanity_reports:
        mark = failed_mark(one.failed_checks(sanity_report.explainer), one.structures)
        if mark:
            where = "on the model's cohort" if sanity_report.explainer in one.tested_on_cohort else "on this study"
            yield 3, "SANITY_FAILED", f"maps of {sanity_report.explainer} by {one.model.name} {mark}, tested {where}."
    for lesion in one.lesions:
        if lesion.number in one.explained:
            named_caveats = (*_of_lesion(lesion, noun), *_of_maps(one, lesion.number), *_of_focus(lesion.outside, one.mass, noun))
            yield from ((severity, code, f"{noun.capitalize()} {lesion.number}: {text}") for severity, code, text in named_caveats)
    for answer in one.answers:
        if answer.number in one.explained:
            named_caveats = (*_of_answer(answer), *_of_maps(one, answer.number), *_of_focus(answer.outside, one.mass, noun))
            yield from ((severity, code, f"Answer {answer.number}: {text}") for severity, code, text in named_caveats)


def _of_training(similar: SimilarCases, explanation: StudyExplanation) -> Iterator[tuple[int, str, str]]:
    """Yield whether a finding lies far from everything that the model was trained on, or is of a patient that it was trained on."""
    called = noun_of(explanation.structures).capitalize() if explanation.lesions else "Answer"
    if similar.nearer is not None and similar.nearer >= FAR and similar.cases:
        apart = f"at a distance of {similar.cases[0].distance:.2f}, and {similar.nearer:.1%} of {similar.compared} training cases lie nearer to theirs"
        text = f"nothing like it was seen in training, measured by features of {similar.layer}: the nearest case of another patient lies {apart}."
        yield 2, "FAR_FROM_TRAINING", f"{called} {similar.number}: {text}"
    if similar.same_patient:
        text = "the model was trained on cases of this patient, and what it says of them is surer than of any other patient."
        yield 3, "PATIENT_IN_TRAINING", text


def _rank(code: str) -> int:
    """Return the place of a code among those as grave: whether the model may be asked at all, whether there is a finding, everything else."""
    return 0 if code in OUTSIDE_TRAINING else 1 if code in FOREMOST else 2


def _missed(lesions: Sequence[Lesion]) -> str:
    counted = "1 component" if len(lesions) == 1 else f"{len(lesions)} components"
    largest = "" if len(lesions) == 1 else "the largest: "
    bound = f"less than {LEAST_SHARED:.0%} of its voxels lie in the student's mask of the same class"
    return f"only the teacher marks {counted} ({largest}{place_of(lesions[0])}); {bound}."


def _of_source(volume: VolumeRef) -> Iterator[tuple[int, str, str]]:
    """Yield what ingestion repaired or accepted with a warning."""
    if volume.synthetic_slices:
        places = ", ".join(str(place + 1) for place in volume.synthetic_slices[:10])
        more = f" and {len(volume.synthetic_slices) - 10} more" if len(volume.synthetic_slices) > 10 else ""
        slices = f"{len(volume.synthetic_slices)} of {volume.geometry.shape[0]} slices ({places}{more})"
        yield 3, "SYNTHETIC_SLICES", f"{slices} were not measured but interpolated between their neighbours."
    elif volume.synthetic_voxels:
        yield 2, "SYNTHETIC_VOXELS", f"{volume.synthetic_voxels} voxels were not measured and have a substitute value."
    if volume.tilt_degrees:
        yield 2, "SHEARED_GRID", f"the gantry was tilted by {volume.tilt_degrees:.1f} degrees; slices are sheared, not resampled."
    for code in volume.flags:
        if CODES[code].severity is Severity.WARNING:
            yield 2, code.value, f"{CODES[code].meaning}."


def _of_lesion(lesion: LesionFinding, noun: str) -> Iterator[tuple[int, str, str]]:
    if lesion.share_in_teacher is not None and standing_of(lesion) == "student only":
        held = f"{lesion.share_in_teacher:.0%} of its voxels ({place_of(lesion)}) lie in the teacher's mask of the same class"
        yield 3, "STUDENT_ONLY", f"only the student marks this; {held}, below {LEAST_SHARED:.0%}."
    if lesion.volume_ml is not None and lesion.volume_ml < SMALL_ML:
        small = f"volume {lesion.volume_ml:.2f} ml, below {SMALL_ML:g} ml"
        yield 2, f"SMALL_{noun.upper()}", f"{small}; maps are least reliable on small {noun}s."
    elif lesion.diameter_mm is not None and lesion.diameter_mm < SMALL_MM:
        small = f"diameter {lesion.diameter_mm:.1f} mm, below {SMALL_MM:g} mm"
        yield 2, f"SMALL_{noun.upper()}", f"{small}; maps are least reliable on small {noun}s."


def _of_answer(answer: ClassAnswer) -> Iterator[tuple[int, str, str]]:
    if UNDECIDED[0] <= answer.probability <= UNDECIDED[1]:
        yield 2, "UNDECIDED", f"the student's largest probability is {answer.probability:.2f} ({answer.class_name})."
    if teacher_class(answer) not in (None, answer.class_name):
        yield 3, "TEACHER_DISAGREES", f"the student answers {answer.class_name}, the teacher {teacher_class(answer)}."


def teacher_class(answer: ClassAnswer) -> str | None:
    """Return the teacher's most probable class over the slices of an answer; None without a teacher."""
    probabilities = answer.teacher_probabilities
    return max(probabilities, key=lambda name: probabilities[name]) if probabilities else None


def _of_focus(outside: OutsideFocus | None, mass: str, noun: str) -> Iterator[tuple[int, str, str]]:
    if outside is not None and outside.share_outside > OUTSIDE_MILD:
        grave = 3 if outside.share_outside > OUTSIDE_GRAVE else 1
        text = f"{outside.share_outside:.0%} of the {mass} attribution ({outside.explainer}) lies outside every {noun}."
        yield grave, "OUTSIDE_FOCUS", text


def _of_maps(one: StudyExplanation, number: int) -> Iterator[tuple[int, str, str]]:
    maps = {(m.method.explainer, m.model_role): m.measure("relevance_mass_accuracy") for m in one.maps if m.number == number}
    inside = {key: value for key, value in maps.items() if value is not None}
    for (explainer, role), value in sorted(inside.items()):
        if role == "student" and value < LOW_INSIDE:
            yield 2, "LOW_INSIDE", f"{value:.0%} of the student's {one.mass} attribution ({explainer}) lies inside, below {LOW_INSIDE:.0%}."
        teacher = inside.get((explainer, "teacher"))
        if role == "student" and teacher is not None and abs(teacher - value) > INSIDE_GAP:
            text = f"inside share of student {value:.0%} and teacher {teacher:.0%} ({explainer}) differ by more than {INSIDE_GAP:.0%}."
            yield 1, "INSIDE_GAP", text
