"""Figures of agreement: κ of two readers and of more, shares and their differences with intervals."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from data_contracts import Estimate

#: Fewer items than these are not resampled: an interval of them would say more than it knows.
FEWEST = 10
_DRAWS = 4000
#: Standard normal quantile of a 95 % interval.
_Z = 1.959963984540054


def cohens_kappa(first: Sequence[str], second: Sequence[str]) -> float | None:
    """Return Cohen's κ of two readers' answers to the same items; None where both gave one answer throughout, or there is no item.

    Args:
        first: answers of one reader, in the order of the items.
        second: of the other, as many.
    """
    from sklearn.metrics import cohen_kappa_score  # takes a second to import, and who keeps forms needs none

    if len({*first, *second}) < 2:
        return None
    return float(cohen_kappa_score(list(first), list(second)))


def fleiss_kappa(counts: Sequence[Mapping[str, int]]) -> float | None:
    """Return Fleiss' κ (Psychological Bulletin 1971); None where it is undefined.

    Args:
        counts: of each item, how many readers gave each answer; the same number of readers, two or more, of every item.

    Raises:
        ValueError: where the numbers of readers differ.
    """
    readers = {sum(one.values()) for one in counts}
    if not counts:
        return None
    if len(readers) != 1 or min(readers) < 2:
        raise ValueError(f"expected the same number of readers, two or more, of every item, got {sorted(readers)}")
    number = readers.pop()
    observed = sum(sum(n * (n - 1) for n in one.values()) for one in counts) / (len(counts) * number * (number - 1))
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    chance = sum((n / (len(counts) * number)) ** 2 for n in total.values())
    return None if chance == 1 else (observed - chance) / (1 - chance)


def kappa_interval(answers: Sequence[Sequence[str]]) -> tuple[float, float] | None:
    """Return a 95 % interval of Cohen's κ of two readers, of Fleiss' of more, by resampling items (percentiles; the same each time).

    Args:
        answers: of each item, those of all readers in one order.

    Returns:
        Lower and upper bound; None below :data:`FEWEST` items, or where κ is undefined in more than one resample of twenty.
    """
    if len(answers) < FEWEST:
        return None
    import numpy as np

    rows, names = Counter(tuple(one) for one in answers), sorted({name for one in answers for name in one})
    draws = np.random.default_rng(0).multinomial(len(answers), np.array(list(rows.values())) / len(answers), size=_DRAWS) / len(answers)
    counts = np.array([[row.count(name) for name in names] for row in rows], dtype=float)  # [row, answer]
    readers = len(answers[0])
    observed = draws @ ((counts * (counts - 1)).sum(1) / (readers * (readers - 1)))
    if readers == 2:
        first, second = (np.array([[row[place] == name for name in names] for row in rows], dtype=float) for place in (0, 1))
        chance = ((draws @ first) * (draws @ second)).sum(1)
    else:
        chance = ((draws @ counts / readers) ** 2).sum(1)
    defined = chance < 1 - 1e-12
    if defined.mean() < 0.95:
        return None
    low, high = np.percentile((observed[defined] - chance[defined]) / (1 - chance[defined]), (2.5, 97.5))
    return float(low), float(high)


def share(count: int, of: int) -> Estimate | None:
    """Return a share with Wilson's 95 % interval; None of nothing."""
    if of == 0:
        return None
    mean, spread = count / of, _Z * _Z / of
    centre = (mean + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * math.sqrt(mean * (1 - mean) / of + spread / (4 * of))
    return Estimate(mean=mean, low=max(0.0, centre - half), high=min(1.0, centre + half), n=of)


def difference(first: Estimate | None, second: Estimate | None) -> Estimate | None:
    """Return the difference of two shares with Newcombe's 95 % interval (method 10, Statistics in Medicine 1998); None where one is missing."""
    if first is None or second is None:
        return None
    mean = first.mean - second.mean
    below = math.hypot(first.mean - first.low, second.high - second.mean)
    above = math.hypot(first.high - first.mean, second.mean - second.low)
    return Estimate(mean=mean, low=mean - below, high=mean + above, n=first.n + second.n)
