"""Profiles that are drawn, not measured: what tests of comparisons and texts need."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from data_contracts import DriftReference, StudyProfile
from medkd.drift.follow_windows import DatedStudy

WEIGHTS = "a" * 64


def drawn(count, seed, *, images=0.0, predictions=0.0, attribution=0.0, modality="MR"):
    """Return profiles of standard normal features, the first of each family moved by so many standard deviations."""
    rows = np.random.default_rng(seed).normal(size=(count, 3, 4))
    rows[:, :, 0] += np.array([images, predictions, attribution])
    return [
        StudyProfile(
            images={f"image_{k}": float(v) for k, v in enumerate(row[0])},
            predictions={"expected_dice": float(row[1][0]) / 10 + 0.5, **{f"answer_{k}": float(v) for k, v in enumerate(row[1][1:])}},
            attribution={
                f"cam/{name}": float(v) for name, v in zip(("mass_beyond_20_mm", "gini", "entropy", "share"), row[2], strict=True)
            },
            tags={"modality": modality},
        )
        for row in rows
    ]


def reference(count=100, seed=0, **changes):
    """Return a reference of drawn profiles, each of a patient of its own, all of them with a Dice of .8."""
    given = {
        "model": "models:/m/1", "weights_digest": WEIGHTS, "measure": "dice", "patients": tuple(range(count)),
        "studies": tuple(drawn(count, seed)), "performance": (0.8,) * count,
    }  # fmt: skip
    return DriftReference(**{**given, **changes})


def dated(profiles, *, day=0):
    """Return profiles as studies that were read one hour after another, each of a patient of its own."""
    begin = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)
    return [DatedStudy(begin + timedelta(hours=place), f"patient-{day}-{place}", one) for place, one in enumerate(profiles)]
