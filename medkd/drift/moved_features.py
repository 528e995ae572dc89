"""Which way a feature moved."""

from __future__ import annotations

import numpy as np

from data_contracts.drift import Direction
from medkd.drift.two_sample import Floats

#: Cliff's delta below which a difference of two samples counts as one of spread rather than of place ("negligible", Romano et al. 2006).
NEGLIGIBLE = 0.147


def direction_of(window: Floats, reference: Floats) -> Direction:
    """Return which way a feature moved from the reference to the window; -inf is undefined, and counts where it is the greater change."""
    here, there = window[np.isfinite(window)], reference[np.isfinite(reference)]
    undefined = (1 - len(here) / len(window)) - (1 - len(there) / len(reference))
    delta = cliffs_delta(here, there) if len(here) and len(there) else 0.0
    if abs(undefined) > max(abs(delta), NEGLIGIBLE):
        return "undefined more often" if undefined > 0 else "undefined less often"
    if abs(delta) >= NEGLIGIBLE or not (len(here) and len(there)):
        return "up" if delta > 0 else "down"
    return "wider" if spread(here) >= spread(there) else "narrower"


def cliffs_delta(window: Floats, reference: Floats) -> float:
    """Return P(window > reference) - P(window < reference) of two drawn values (Cliff 1993), -1 to 1."""
    return float(np.sign(window[:, None] - reference[None]).mean())


def spread(values: Floats) -> float:
    """Return the distance of the quartiles."""
    low, high = np.quantile(values, (0.25, 0.75))
    return float(high - low)


def median_of(values: Floats) -> float | None:
    """Return the median of the defined values where half of them or more are; else None."""
    defined = values[np.isfinite(values)]
    return float(np.median(defined)) if len(defined) and 2 * len(defined) >= len(values) else None
