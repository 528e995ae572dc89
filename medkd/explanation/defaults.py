"""What is explained of a study when nothing else is asked, and what counts as a finding: in one place for every command."""

from __future__ import annotations

from typing import Literal

from data_contracts import Entry, ExplanationRequest, TaskKind

#: Findings that are explained: a reader looks at the first ones, and maps of all cost as many times as much.
MOST_FINDINGS = 3
#: Slices of an answer that are explained: the one it is surest of, and two to each side.
MOST_SLICES = 5
#: Explainers that pass the tests of their maps here, measured on the phantom (README.md of this folder), the first one shown first.
DEFAULT_EXPLAINERS: dict[TaskKind, tuple[Entry, ...]] = {
    TaskKind.SEGMENTATION: (Entry(name="seg_xres_cam"), Entry(name="input_times_gradient")),
    TaskKind.CLASSIFICATION: (Entry(name="cam"), Entry(name="integrated_gradients", options={"steps": 16})),
}

#: Caveats that say what was left out: by a run-time without torch, for want of a closed form, for want of time.
RUNTIME, NO_CLASS_MAP, LEFT_OUT = "RUNTIME", "NO_CLASS_MAP", "EXPLAINERS_LEFT_OUT"
LEFT_OUT_CODES = (RUNTIME, NO_CLASS_MAP, LEFT_OUT)
Mass = Literal["absolute", "positive"]
#: Which part of a map shares are taken of: most of a segmented volume is evidence against the structure, and rightly so.
MASS: dict[TaskKind, Mass] = {TaskKind.SEGMENTATION: "positive", TaskKind.CLASSIFICATION: "absolute"}


def with_defaults(request: ExplanationRequest, task: TaskKind) -> ExplanationRequest:
    """Return a request with the explainers of the task where it names none."""
    return request if request.explainers else request.model_copy(update={"explainers": DEFAULT_EXPLAINERS[task]})


def first_findings(*explainers: Entry, lesion: int | None = None, seconds: float | None = None) -> ExplanationRequest:
    """Return what every command asks: the first findings, or the one that is named, by some explainers or the default ones."""
    return ExplanationRequest(explainers=explainers, lesion=lesion, most=MOST_FINDINGS, slices=MOST_SLICES, seconds=seconds)


def within_seconds(request: ExplanationRequest, seconds: float | None) -> ExplanationRequest:
    """Return a request whose explainers are asked the cheapest first, until the time is used up; as it is without a time."""
    return request if seconds is None else request.model_copy(update={"seconds": seconds, "cheapest_first": True})
