"""Which forms are refused, by which bound; and which of the others no other is at least as good as (the Pareto front)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from data_contracts import CompressionBounds, Estimate, FormFigures, FormRefusal

#: The version itself as it is: what others are compared with is never refused.
VERSION = "torch"


def refusals_of(figures: FormFigures, bounds: CompressionBounds) -> tuple[FormRefusal, ...]:
    """Return why a form is not proposed; nothing of one that is within all bounds.

    Where a bound is put to an interval, it is the side of the interval that speaks against the form: few cases refuse more, never less.
    """
    return tuple(_refusals(figures, bounds))


def _refusals(figures: FormFigures, bounds: CompressionBounds) -> Iterator[FormRefusal]:
    yield from _worse(figures, bounds)
    yield from _uncalibrated(figures, bounds)
    yield from _blinder(figures, bounds)
    yield from _slower(figures, bounds)


def _worse(figures: FormFigures, bounds: CompressionBounds) -> Iterator[FormRefusal]:
    lost = figures.task_difference
    if lost is None or lost.low < -bounds.task_loss:
        yield FormRefusal(
            code="FORM_WORSE", why=f"task figure {_said(lost, signed=True)} against the version; at least {-bounds.task_loss:+.3f} is asked"
        )


def _uncalibrated(figures: FormFigures, bounds: CompressionBounds) -> Iterator[FormRefusal]:
    rise = figures.calibration_difference
    # The figure itself: resampling adds to an error that cannot be negative.
    if rise is not None and rise.mean > bounds.calibration_loss:
        yield FormRefusal(
            code="FORM_UNCALIBRATED",
            why=f"calibration error {_said(rise, signed=True)} against the version; at most {bounds.calibration_loss:+.3f} is allowed",
        )


def _blinder(figures: FormFigures, bounds: CompressionBounds) -> Iterator[FormRefusal]:
    ranks, signs, share = figures.map_rank_correlation, figures.map_sign_stability, figures.map_lesion_share
    if ranks is not None and ranks.mean < bounds.map_rank_correlation:
        yield FormRefusal(
            code="FORM_BLINDER",
            why=f"rank correlation of its maps with the version's {_said(ranks)}; at least {bounds.map_rank_correlation:.3f} is asked",
        )
    if signs is not None and signs.mean < bounds.sign_stability:
        yield FormRefusal(
            code="FORM_BLINDER", why=f"share of its maps that keep their sign {_said(signs)}; at least {bounds.sign_stability:.3f} is asked"
        )
    if share is not None and share.low < -bounds.lesion_share_loss:
        yield FormRefusal(
            code="FORM_BLINDER",
            why=(
                f"share of its maps in the lesion {_said(share, signed=True)} against the version; "
                f"at least {-bounds.lesion_share_loss:+.3f} is asked"
            ),
        )


def _slower(figures: FormFigures, bounds: CompressionBounds) -> Iterator[FormRefusal]:
    same = figures.speed_same_runtime if figures.name != figures.runtime else None
    for runtime, speed, least in (("torch", figures.speed, bounds.speed), (figures.runtime, same, bounds.speed_same_runtime)):
        if speed is not None and speed.mean < least:
            yield FormRefusal(
                code="FORM_SLOWER",
                why=f"{speed.mean:.2f} times as fast as the version asked by {runtime}, from {speed.low:.2f} to {speed.high:.2f}; {least:g} is asked",
            )
            return


def _said(figure: Estimate | None, *, signed: bool = False) -> str:
    if figure is None:
        return "not defined"
    form = "+.3f" if signed else ".3f"
    return f"{figure.mean:{form}} [{figure.low:{form}}, {figure.high:{form}}]"


def with_front(forms: Sequence[FormFigures]) -> tuple[FormFigures, ...]:
    """Return forms that know whether they are on the Pareto front of task figure, map agreement, bytes and seconds.

    A form is on it where no other that is not refused is at least as good in all four and better in one.
    """
    within = [one for one in forms if not one.refusals]
    points = {one.name: _point(one) for one in within}

    def beaten(name: str) -> bool:
        own = points[name]
        return any(other != own and all(a >= b for a, b in zip(other, own, strict=True)) for other in points.values())

    return tuple(one.model_copy(update={"on_front": one.name in points and not beaten(one.name)}) for one in forms)


def _point(one: FormFigures) -> tuple[float, float, float, float]:
    """Return what is compared, more is better."""
    seconds = float("inf") if one.seconds_per_case is None else one.seconds_per_case
    # Without maps nothing is lost of them.
    agreement = 1.0 if one.map_rank_correlation is None else one.map_rank_correlation.mean
    return one.task.mean, agreement, -float(one.bytes), -seconds
