"""What a page says of how far its models can be relied on: calibration as a diagram, tests of explainers, stability of maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data_contracts import Calibration, ReliabilityBin, ReviewReport
from medkd.inference.calibration_text import bound_text, probabilities_text
from medkd.review.texts import Said, Text, recognise, say

#: Pixels of a diagram's side, and of the largest mark in it.
SIDE, _LARGEST = 200, 9.0
#: Measures of how much a map changes where it should not: under noise, in the neighbourhood, when it is made again.
_STABILITY = ("max_sensitivity", "local_lipschitz", "repeatability")


@dataclass(frozen=True)
class Diagram:
    """A reliability diagram in pixels, from the upper left corner.

    Attributes:
        name: of the model.
        said: how its probabilities are calibrated and how well that holds.
        bound: what bounds the misses, or why nothing does.
        before: centre and radius of the mark of each bin without calibration.
        after: the same with it.
    """

    name: str
    said: Text
    bound: Text
    before: tuple[tuple[float, float, float], ...]
    after: tuple[tuple[float, float, float], ...]


def diagrams_of(report: ReviewReport) -> list[Diagram]:
    """Return the reliability diagram of each asked version that has a calibration, in the order of the explanations."""
    by_weights = {one.weights_digest: one for one in report.calibrations}
    found = []
    for own in report.explanations:
        calibration = by_weights.get(own.model.weights_digest)
        if calibration is not None:
            found.append(_diagram(own.model.name, calibration, "lesion" if own.structures == "lesion" else "structure"))
    return found


def _diagram(name: str, calibration: Calibration, noun: str) -> Diagram:
    most = max((one.count for one in (*calibration.bins_before, *calibration.bins_after)), default=1)
    bound = bound_text(calibration.bound).replace("lesion", noun)
    return Diagram(
        name,
        recognise(f"{name}: {probabilities_text(calibration)}"),
        recognise(f"{name}: {bound}"),
        _marks(calibration.bins_before, most),
        _marks(calibration.bins_after, most),
    )


def _marks(bins: Sequence[ReliabilityBin], most: int) -> tuple[tuple[float, float, float], ...]:
    """Return a mark for each bin: right by its confidence, up by its accuracy, its area by how many predictions it holds."""
    return tuple(
        (round(one.confidence * SIDE, 1), round((1 - one.accuracy) * SIDE, 1), round(max(2.0, _LARGEST * (one.count / most) ** 0.5), 1))
        for one in bins
    )


def stability_of(report: ReviewReport) -> list[tuple[str, str, Said, str]]:
    """Return model, explainer, measure and value of each measure of stability that the student's maps have: the worst of its maps."""
    found: dict[tuple[str, str, str], float] = {}
    for own in report.explanations:
        for ref in own.maps:
            for one in ref.measures:
                if ref.model_role != "student" or one.name not in _STABILITY or one.value is None:
                    continue
                key = (own.model.name, ref.method.explainer, one.name)
                worse = min if one.higher_is_better else max
                found[key] = worse(found.get(key, one.value), one.value)
    return [(model, explainer, say(f"stability.{name}"), f"{value:.2f}") for (model, explainer, name), value in found.items()]
