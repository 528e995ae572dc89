"""What an artefact did to the answers, case by case, with intervals over patients and a verdict that is corrected for the number of artefacts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from data_contracts import ArtefactEffect, ArtefactMass, Estimate, ShortcutVerdict
from medkd.audit.changes import Changes, PutToTest, Truth, Values, changes_of
from medkd.evaluation.bootstrap import Statistic, bootstrap_figure, holm, is_defined, mean_of

#: Fewer patients say nothing: an interval over them is a guess.
MIN_PATIENTS = 5
#: Level of the corrected p value.
LEVEL = 0.05


def effects_of(tests: Sequence[tuple[PutToTest, Truth]], bound: float) -> tuple[ArtefactEffect, ...]:
    """Return what each artefact does to the answers, p values corrected for their number.

    Args:
        tests: artefacts with what is known of their cases.
        bound: largest mean change of the answer that counts as none.
    """
    changes = [changes_of(test, truth) for test, truth in tests]
    raw = [_p_value(change, truth.patients, bound) for change, (_, truth) in zip(changes, tests, strict=True)]
    return tuple(
        _effect(test, truth, change, (p, corrected), bound)
        for (test, truth), change, p, corrected in zip(tests, changes, raw, holm(raw), strict=True)
    )


def _per_patient(values: Values, patients: Sequence[str]) -> Values:
    """Return the mean of each patient's defined values."""
    codes = np.unique(np.asarray(patients), return_inverse=True)[1]
    defined = ~np.isnan(values)
    sums = np.bincount(codes[defined], weights=values[defined], minlength=int(codes.max()) + 1)
    counts = np.bincount(codes[defined], minlength=int(codes.max()) + 1)
    found: Values = sums[counts > 0] / counts[counts > 0]
    return found


def _p_value(change: Changes, patients: Sequence[str], bound: float) -> float:
    """Return the larger of two one-sided p values: that the effect is within the bound, and that the control changes as much.

    Both must be refuted (intersection-union), so the larger counts; the first is multiplied by the number of directions it was chosen from.
    """
    effect = _per_patient(change.effect, patients)
    beyond = _per_patient(change.magnitude - change.control, patients)
    if len(effect) < 2:
        return 1.0
    sign = 1.0 if effect.mean() >= 0 else -1.0
    return max(min(1.0, change.directions * _above(sign * effect, bound)), _above(beyond, 0.0))


def _above(values: Values, least: float) -> float:
    """Return the one-sided p value of a t test that the mean is at most ``least``."""
    from scipy.stats import t

    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    distance = float(values.mean()) - least
    if error == 0:
        return 0.0 if distance > 0 else 1.0
    return float(t.sf(distance / error, len(values) - 1))


def _effect(test: PutToTest, truth: Truth, change: Changes, p: tuple[float, float], bound: float) -> ArtefactEffect:
    patients = truth.patients
    effect, magnitude = _mean(change.effect, patients), _mean(change.magnitude, patients)
    control, beyond = _mean(change.control, patients), _mean(change.magnitude - change.control, patients)
    before, after = change.figures or (None, None)
    difference: Statistic | None = None if before is None or after is None else (lambda rows, seed: after(rows, seed) - before(rows, seed))
    n = len(set(patients))
    verdict, why = _judge(effect, magnitude, beyond, (n, p[1]), bound)
    return ArtefactEffect(
        name=test.name,
        kind=test.kind,
        cases=len(patients),
        n=n,
        toward=change.toward,
        effect=effect,
        magnitude=magnitude,
        control=control,
        beyond_control=beyond,
        flips=_mean(change.flips, patients),
        figure_before=_figure(before, patients),
        figure_after=_figure(after, patients),
        figure_change=_figure(difference, patients),
        volume_change=None if change.volume is None else _optional(change.volume, patients),
        class_correlation=_correlation(change, patients),
        mass=_mass(test, patients),
        control_energy=test.energy,
        p_value=p[0],
        p_corrected=p[1],
        verdict=verdict,
        reason=_reason(change.toward, effect, magnitude, control, why),
    )


def _judge(effect: Estimate, magnitude: Estimate, beyond: Estimate, tested: tuple[int, float], bound: float) -> tuple[ShortcutVerdict, str]:
    n, corrected = tested
    if effect.missing and effect.low == -1.0 and effect.high == 1.0:
        return ShortcutVerdict.UNDETERMINED, "no case has a reference to measure Dice against"
    if n < MIN_PATIENTS:
        return ShortcutVerdict.UNDETERMINED, f"{n} patients are too few to say anything"
    outside = effect.low > bound or effect.high < -bound
    if outside and beyond.low > 0 and corrected < LEVEL:
        return ShortcutVerdict.FOLLOWS, f"one way by more than {bound:g}, and further than under the control (corrected p {corrected:.2g})"
    if -bound <= effect.low and effect.high <= bound:
        if magnitude.high <= 2 * bound or beyond.high <= 0:
            return ShortcutVerdict.SILENT, f"the interval lies within {bound:g}"
        return ShortcutVerdict.UNDETERMINED, f"answers move by more than {2 * bound:g}, but not one way"
    if outside and beyond.low <= 0:
        return ShortcutVerdict.UNDETERMINED, "noise of equal energy changes the answers as much"
    return ShortcutVerdict.UNDETERMINED, f"the interval reaches both sides of {bound:g}" if not outside else f"corrected p {corrected:.2g}"


def _reason(toward: str, effect: Estimate, magnitude: Estimate, control: Estimate, why: str) -> str:
    what = f"probability of {toward}" if toward else "Dice"
    moved = f"{effect.mean:+.3f} [{effect.low:+.3f}, {effect.high:+.3f}]"
    return f"{what} {moved}; size of the change {magnitude.mean:.3f}, under the control {control.mean:.3f}: {why}"


def _mean(values: Values, patients: list[str]) -> Estimate:
    found = _optional(values, patients)
    # Undefined of every case (a folder without labels): no change was seen, and the missing ones are counted.
    return found or Estimate(mean=0.0, low=-1.0, high=1.0, n=len(set(patients)), missing=len(values))


def _optional(values: Values, patients: list[str]) -> Estimate | None:
    if np.isnan(values).all():
        return None
    return bootstrap_figure(mean_of(values[None]), patients, missing=int(np.isnan(values).sum()))


def _figure(statistic: Statistic | None, patients: list[str]) -> Estimate | None:
    return bootstrap_figure(statistic, patients) if statistic is not None and is_defined(statistic, len(patients), 1) else None


def _correlation(change: Changes, patients: list[str]) -> Estimate | None:
    values, classes = change.effect, change.correlated
    if not len(classes):
        return None

    def statistic(rows: NDArray[np.int64], _: int) -> float:
        known = rows[~np.isnan(classes[rows])]
        if len(known) < 3 or classes[known].std() == 0 or values[known].std() == 0:
            return math.nan
        return float(np.corrcoef(values[known], classes[known])[0, 1])

    return _figure(statistic, patients)


def _mass(test: PutToTest, patients: list[str]) -> ArtefactMass | None:
    """Return where the class maps lie; None where no map or no place is known."""
    if not test.places or not test.after.maps:
        return None
    after, before = (
        np.array([_share(heat, place) for heat, place in zip(maps, test.places, strict=True)])
        for maps in (test.after.maps, test.before.maps)
    )
    mass, earlier = _optional(after, patients), _optional(before, patients)
    if mass is None or earlier is None:
        return None
    return ArtefactMass(mass=mass, mass_before=earlier, area=float(np.mean([float(place.float().mean()) for place in test.places])))


def _share(heat: Tensor, place: Tensor) -> float:
    total = float(heat.sum())
    return float(heat[place].sum()) / total if total > 0 else math.nan
