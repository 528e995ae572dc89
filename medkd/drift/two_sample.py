"""Two samples of studies compared by exact permutation: energy distance of many features, Kolmogorov-Smirnov distance of each.

Every statistic is computed for the observed window (row 0 of ``windows``) and for windows of as many patients that are drawn from all patients,
by the same code, so that under exchangeability the observed one is any of them: ``P(p <= a) <= a`` for every a, whatever the sizes are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.stats import rankdata

Floats = NDArray[np.float64]
Windows = NDArray[np.bool_]
#: Decimals that statistics are compared at: equal arrangements must not differ by the order of a sum.
_DECIMALS = 10


def draw_windows(patients: NDArray[np.int64], in_window: Windows, permutations: int, seed: int) -> Windows:
    """Return which studies belong to the window, bool [permutations + 1, studies]: as observed in row 0, then permuted by patients.

    Studies of one patient go together: they are no independent witnesses.

    Args:
        patients: number of each study's patient; a patient is on one side only.
        in_window: which studies the observed window holds.
        permutations: how many are drawn.
        seed: of the draw.
    """
    names, place = np.unique(patients, return_inverse=True)
    size = len(np.unique(patients[in_window]))
    order = np.random.default_rng(seed).permuted(np.tile(np.arange(len(names)), (permutations, 1)), axis=1)
    chosen = np.zeros((permutations, len(names)), dtype=bool)
    np.put_along_axis(chosen, order[:, :size], True, axis=1)
    return np.concatenate([in_window[None], chosen[:, place]])


def energy_distances(values: Floats, windows: Windows) -> Floats:
    """Return the energy distance of window and rest per arrangement, [arrangement]: 2 E|X-Y| - E|X-X'| - E|Y-Y'| (Székely and Rizzo 2013).

    Args:
        values: [study, feature], of comparable scale.
        windows: bool [arrangement, study].
    """
    distance = cdist(values, values)
    inside = windows / windows.sum(1, keepdims=True)
    outside = ~windows / (~windows).sum(1, keepdims=True)
    # With a = inside - outside, the sum is -a'Da: one product for all arrangements.
    difference = inside - outside
    found: Floats = -((difference @ distance) * difference).sum(1)
    return found


def ks_distances(values: Floats, windows: Windows) -> Floats:
    """Return the Kolmogorov-Smirnov distance of window and rest per arrangement, [arrangement].

    Args:
        values: of one feature, [study]; -inf where it is undefined, so that being undefined counts.
        windows: bool [arrangement, study].
    """
    order = np.argsort(values, kind="stable")
    ends = _ends(values[order])
    # A row per study and int32: arrangements then lie side by side, and sums over studies add whole rows.
    inside = np.cumsum(np.ascontiguousarray(windows.T)[order], axis=0, dtype=np.int32)[ends]
    size = windows.sum(1)
    # With i studies of the window below a value and e of all, i / size - (e - i) / rest: one factor for i, one for e.
    rest = len(values) - size
    difference = inside * (1 / size + 1 / rest) - (ends + 1)[:, None] / rest
    found: Floats = np.maximum(difference.max(0), -difference.min(0))
    return found


def _ends(ordered: Floats) -> NDArray[np.intp]:
    """Return the last place of every run of equal values; infinite ones are compared, for their difference is not a number."""
    return np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))


def permutation_p(statistics: Floats) -> Floats:
    """Return of each arrangement the share of arrangements whose statistic is at least as large: row 0 is the p-value."""
    rounded = np.round(statistics, _DECIMALS)
    shares: Floats = rankdata(-rounded, method="max") / len(rounded)
    return shares


def smallest_p(*found: Floats) -> Floats:
    """Return the p-values of the smallest of several, per arrangement: Westfall and Young's (1993) account of having looked several times."""
    return permutation_p(-np.min(found, axis=0))


def adjusted(own: float, smallest: Floats) -> float:
    """Return the share of arrangements whose smallest p-value is at most ``own``: the p-value adjusted for all that were looked at."""
    return float((smallest <= own + 10.0**-_DECIMALS).mean())


def pooled_ranks(values: Floats) -> Floats:
    """Return features as their ranks among all studies, [study, feature] in (0, 1]: units fall away, and one wild value moves little."""
    ranks: Floats = rankdata(values, axis=0) / len(values)
    return ranks
