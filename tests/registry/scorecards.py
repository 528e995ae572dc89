"""Scorecards of a teacher and a student with chosen figures."""

from __future__ import annotations

from data_contracts import Estimate, Scorecard


def card(arm: str, per_seed: dict[str, tuple[float | None, ...]] | None = None, *, seeds: int = 1, **means: float) -> Scorecard:
    """Return a scorecard of an arm; intervals reach .1 to either side."""
    return Scorecard(
        subject=f"r/{arm}", role="teacher" if arm == "teacher" else "student", cohort_digest="c", seeds=tuple(range(seeds)),
        weights_digests=tuple(f"{seed:x}" * 64 for seed in range(seeds)), per_seed=per_seed or {},
        figures={name: Estimate(mean=mean, low=mean - 0.1, high=mean + 0.1, n=9) for name, mean in means.items()},
    )  # fmt: skip
