"""Evidence gathered over windows: small drifts that no single window shows, with a bound on false alarms.

A p-value becomes an e-value, whose mean is at most 1 without drift (Vovk and Wang 2021), and the evidence of the windows since the best begin is
multiplied: the e-CUSUM of Shin, Ramdas and Rinaldo (2023, "E-detectors"). Without drift the mean time to an alarm at 1 / rate is at least
1 / rate windows.
"""

from __future__ import annotations

#: Exponent of the calibrator p -> kappa p^(kappa - 1): small values wager on tiny p-values, large ones on many that are middling.
KAPPA = 0.5


def e_value(p: float) -> float:
    """Return the e-value of a p-value; its mean over uniform p-values is 1."""
    if not 0 < p <= 1:
        raise ValueError(f"expected a p-value in (0, 1], got {p}")
    return float(KAPPA * p ** (KAPPA - 1))


def e_cusum(before: float, p: float) -> float:
    """Return the process after one more window; it begins at 1."""
    return max(before, 1.0) * e_value(p)
