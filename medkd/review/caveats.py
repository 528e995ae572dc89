"""Computed caveats: when a reader should look twice, with the quantity that says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from data_contracts import CODES, Caveat, Finding, Lesion, ReportMap, Severity, VolumeRef
from medkd.explanation.wording import failed_mark, require_neutral
from medkd.review.against_teacher import LEAST_SHARED, place_of, standing_of

SMALL_ML, SMALL_MM = 1.0, 10.0
LOW_INSIDE, INSIDE_GAP = 0.1, 0.15
OUTSIDE_MILD, OUTSIDE_GRAVE = 0.5, 0.8
UNDECIDED = (0.35, 0.65)
#: What a reader must know before anything else: whether there is a finding at all.
FOREMOST = ("STUDENT_ONLY", "TEACHER_ONLY")
#: In what a study is not what the model was trained on.
OUTSIDE_TRAINING = ("MODALITY_UNTRAINED", "UNIT_UNTRAINED", "SPACING_UNTRAINED", "EXTENT_UNTRAINED")


def compute_caveats(
    findings: tuple[Finding, ...],
    *,
    mass: str = "absolute",
    not_shown: Sequence[float | None] = (),
    too_large: Sequence[float] | None = None,
    volume: VolumeRef | None = None,
    teacher_only: Sequence[Lesion] = (),
    outside: Sequence[Caveat] = (),
) -> tuple[Caveat, ...]:
    """Return all caveats, worst first, and of these what one of the two models alone marks. The probabilities of this version are never calibrated, and it says so.

    Args:
        findings: of one study.
        mass: which part of the maps their shares were taken of, as in the report.
        too_large: extent in mm of a study that reaches much further than any volume of the training, None for others.
        volume: what was ingested: what was repaired or flagged there a reader must know.
        not_shown: volume in ml of each component that was segmented but comes too late in the order to be among the findings.
        teacher_only: components that the student does not mark, largest first.
        outside: in what the study is not what the model was trained on: it stands before everything else.
    """
    found = [*outside, Caveat(code="NOT_CALIBRATED", text="Probabilities are softmax outputs; no calibration set was used.", severity=1)]
    if too_large is not None:
        extent = " x ".join(f"{length:.0f}" for length in too_large)
        text = f"the study covers {extent} mm, much more than any volume the model was trained on; it was never measured on such studies."
        found.append(Caveat(code="FIELD_OF_VIEW", text=require_neutral(text), severity=3))
    if volume is not None:
        found.extend(Caveat(code=code, text=require_neutral(text), severity=severity) for severity, code, text in _of_source(volume))
    if not_shown:
        largest = max((millilitres for millilitres in not_shown if millilitres is not None), default=0.0)
        text = f"{len(not_shown)} more components are outlined but not explained; the largest has {largest:.2f} ml."
        found.append(Caveat(code="NOT_EXPLAINED", text=require_neutral(text), severity=2))
    if teacher_only:
        found.append(Caveat(code="TEACHER_ONLY", text=require_neutral(_missed(teacher_only)), severity=3))
    for number, finding in enumerate(findings, 1):
        found.extend(
            Caveat(code=code, text=require_neutral(f"Lesion {number}: {text}"), severity=severity)
            for severity, code, text in _of(finding, mass)
        )
    return tuple(sorted(found, key=lambda caveat: (-caveat.severity, _rank(caveat.code), caveat.code, caveat.text)))


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


def _of(finding: Finding, mass: str) -> Iterator[tuple[int, str, str]]:
    lesion = finding.lesion
    if finding.share_in_teacher is not None and standing_of(finding) == "student only":
        held = f"{finding.share_in_teacher:.0%} of its voxels ({place_of(lesion)}) lie in the teacher's mask of the same class"
        marked = f"{held}, below {LEAST_SHARED:.0%}"
        yield 3, "STUDENT_ONLY", f"only the student marks this; {marked}."
    if lesion.volume_ml is not None and lesion.volume_ml < SMALL_ML:
        yield 2, "SMALL_LESION", f"volume {lesion.volume_ml:.2f} ml, below {SMALL_ML:g} ml; maps are least reliable on small lesions."
    elif lesion.diameter_mm is not None and lesion.diameter_mm < SMALL_MM:
        yield 2, "SMALL_LESION", f"diameter {lesion.diameter_mm:.1f} mm, below {SMALL_MM:g} mm; maps are least reliable on small lesions."
    if finding.student_probability:
        name, top = max(finding.student_probability.items(), key=lambda item: item[1])
        if UNDECIDED[0] <= top <= UNDECIDED[1]:
            yield 2, "UNDECIDED", f"the student's largest probability is {top:.2f} ({name})."
        if finding.teacher_probability and max(finding.teacher_probability, key=lambda key: finding.teacher_probability[key]) != name:
            yield 3, "TEACHER_DISAGREES", "student and teacher give different classes."
    yield from _of_maps(finding.maps, mass)
    if finding.outside is not None and finding.outside.share_outside > OUTSIDE_MILD:
        share = finding.outside.share_outside
        grave = 3 if share > OUTSIDE_GRAVE else 1
        yield grave, "OUTSIDE_FOCUS", f"{share:.0%} of the {mass} attribution ({finding.outside.explainer}) lies outside every lesion."


def _of_maps(maps: tuple[ReportMap, ...], mass: str) -> Iterator[tuple[int, str, str]]:
    inside = {
        (m.explainer, m.role): v.value for m in maps for v in m.measures if v.name == "relevance_mass_accuracy" and v.value is not None
    }
    for (explainer, role), value in sorted(inside.items()):
        if role == "student" and value < LOW_INSIDE:
            yield 2, "LOW_INSIDE", f"{value:.0%} of the student's {mass} attribution ({explainer}) lies inside, below {LOW_INSIDE:.0%}."
        teacher = inside.get((explainer, "teacher"))
        if role == "student" and teacher is not None and abs(teacher - value) > INSIDE_GAP:
            yield (
                1,
                "INSIDE_GAP",
                f"inside share of student {value:.0%} and teacher {teacher:.0%} ({explainer}) differ by more than {INSIDE_GAP:.0%}.",
            )
    for explainer, failed in sorted({m.explainer: failed_mark(m) for m in maps if failed_mark(m)}.items()):
        yield 3, "SANITY_FAILED", f"maps of {explainer} {failed}, tested on this network."
