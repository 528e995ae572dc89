"""What is said of a calibration: sentences of quantities, the same on pages, in caveats and at the command line."""

from __future__ import annotations

from data_contracts import Calibration, Caveat, ConformalBound, Estimate

#: Codes of what is said: one of the first two, and the bound.
CALIBRATED, NOT_CALIBRATED, MISSED_BOUND = "CALIBRATED", "NOT_CALIBRATED", "MISSED_BOUND"


def calibration_caveats(calibration: Calibration | None, name: str, noun: str = "lesion") -> tuple[Caveat, ...]:
    """Return what a reader is told of a model's probabilities: whether they are calibrated, and what a threshold misses; nothing without.

    Args:
        calibration: of the model's version, or None.
        name: of the model.
        noun: what one thing that the model outlines is called: a calibration speaks of lesions, a healthy organ is none.
    """
    if calibration is None:
        return ()
    code = CALIBRATED if calibration.calibrates else NOT_CALIBRATED
    texts = {
        code: f"{name}: {probabilities_text(calibration)}",
        MISSED_BOUND: f"{name}: {bound_text(calibration.bound).replace('lesion', noun)}",
    }
    return tuple(Caveat(code=key, text=text, severity=1) for key, text in texts.items())


def probabilities_text(calibration: Calibration) -> str:
    """Return how probabilities are calibrated and how well that holds."""
    if not calibration.calibrates:
        return f"probabilities are softmax outputs; {calibration.reason or 'nothing was fitted'}."
    how = f"temperature {calibration.temperature:.3g}" if calibration.method == "temperature" else "a scale and a bias per class"
    clipped = f" ({calibration.reason})" if calibration.reason else ""
    error = ""
    if calibration.ece_before is not None and calibration.ece_after is not None:
        error = f"; expected calibration error {_interval(calibration.ece_before)} before, {_interval(calibration.ece_after)} after"
    return f"probabilities are calibrated ({how}) on {calibration.patients} validation patients{clipped}{error}."


def bound_text(bound: ConformalBound) -> str:
    """Return what the threshold bounds and what it costs, or why there is none."""
    if bound.threshold is None:
        return f"no threshold bounds the share of missed {_plural(bound)}: {bound.reason}."
    missed = "have no voxel that reaches" if bound.unit == "lesion" else "do not reach"
    others = "lesion-free voxels" if bound.unit == "lesion" else "cases of the first class"
    cost = "" if bound.false_positives is None else f"; {bound.false_positives:.1%} of {others} reach it"
    return (
        f"on average over patients like the {bound.patients} of the validation, at most {bound.alpha:.0%} of a patient's {_plural(bound)} "
        f"{missed} a probability of {bound.threshold:.3g} before calibration{cost}."
    )


def _plural(bound: ConformalBound) -> str:
    return "lesions" if bound.unit == "lesion" else "positive cases"


def _interval(figure: Estimate) -> str:
    return f"{figure.mean:.3f} [{figure.low:.3f}, {figure.high:.3f}]"
