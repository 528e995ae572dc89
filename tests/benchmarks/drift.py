"""Drift without labels: is it flagged before Dice has fallen by .02, what moves first, and how often does a clean window raise an alarm?

``python -m tests.benchmarks.drift --json`` trains a small student on phantoms (some of whose lesions are faint and marked with a ring, which it
learns to look at), profiles 200 patients as its reference, then follows windows of 20 and of 40 new patients: 200 clean ones of 20 in a row (the same studies are 100
of 40), and for each planted shift some of growing strength. Dice is measured with labels that the detector never sees: its fall is that of the same 40 patients
without and with the shift. A shift that raises no alarm has the fall at its greatest strength, and ``none`` as its first family. About fifteen
minutes on two cores.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import safetensors.torch
import torch
from scipy.stats import binomtest

from data_contracts import DriftReference, StudyProfile, WindowDrift
from medkd.drift.compare_window import DriftSettings, by_family
from medkd.drift.drift_text import window_sentence
from medkd.drift.follow_windows import DatedStudy, follow_windows
from medkd.inference.predict import predict_logits
from medkd.models._build import build_network
from medkd.volumes.window import window_intensity
from tests.benchmarks.command import asks_for_json
from tests.drift.phantom_drift import NETWORK, SHIFTS, TASK, Study, as_loaded, dice_of, make_studies, profile_of, trained_student

ALARM_RATE, PART = 0.01, 20
#: Studies of a window: the default, and twice as many.
WINDOWS = (PART, 2 * PART)
REFERENCE, CLEAN_WINDOWS, LABELLED = 200, 200, 40
SHARES = tuple(step / 10 for step in range(1, 11))
#: Growing strengths of each shift, a window each: shares of the distance from air, HU, pixels, shares of the patients, shares of the contrast.
STRENGTHS = {
    "gain": (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08),
    "bias_field": (0.005, 0.01, 0.02, 0.04, 0.08, 0.16),
    "noise": (1.0, 2.0, 5.0, 10.0, 20.0, 40.0),
    "blur": (0.1, 0.2, 0.3, 0.5, 0.8, 1.2),
    "shortcut": SHARES,
    "misplaced_mark": SHARES,
    "case_mix": SHARES,
    "faint_lesions": tuple(step / 50 for step in range(1, 11)),
}


@dataclass(frozen=True)
class PlannedStudies:
    """Studies to be profiled: how many, of which patients, with which shift."""

    count: int
    seed: int
    shift: str = ""
    strength: float = 0.0

    def studies(self) -> list[Study]:
        return make_studies(self.count, self.seed, shift=SHIFTS.get(self.shift), strength=self.strength)


def main() -> None:
    """Measure and print."""
    as_json = asks_for_json(__doc__)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        weights = Path(scratch) / "student.safetensors"
        safetensors.torch.save_file(trained_student().network.state_dict(), weights)
        workers = int(os.environ.get("MEDKD_WORKERS", "2")) or 1
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context, initializer=_load, initargs=(weights,)) as pool:
            figures, peers = _measure(pool, as_json)
    sys.stdout.write(json.dumps({"figures": figures, "peers": peers, "n": CLEAN_WINDOWS}) + "\n")


def _measure(pool: ProcessPoolExecutor, quiet: bool) -> tuple[dict[str, object], dict[str, object]]:
    reference = _reference(pool)
    first: dict[str, object] = {}
    peers: dict[str, object] = {}
    figures: dict[str, object] = {}
    for place, name in enumerate(STRENGTHS):
        found = _shifted(pool, reference, name, 200_000 + 100 * place)
        for size, one in found.items():
            figures |= {f"{key}_{name}_window_{size}": one[key] for key in ("dice_fall_at_alarm", "strength_at_alarm")}
        figures[f"dice_fall_at_end_{name}"] = found[PART]["dice_fall_at_end"]
        first[name] = {f"window_{size}": one["first_family"] for size, one in found.items()}
        peers[name] = {f"window_{size}": one["details"] for size, one in found.items()}
        if not quiet:
            print(f"{name:16s} {found}", flush=True)
    parts = list(pool.map(_profiles, [PlannedStudies(PART, 100_000 + number) for number in range(CLEAN_WINDOWS)]))
    figures |= {"alarm_rate_set": ALARM_RATE, "reference_dice": _mean([value for value in reference.performance if value is not None])}
    for size in WINDOWS:
        figures |= _clean_alarms(_followed(reference, parts, size), f"window_{size}")
    return {**figures, "first_family": first}, peers


def _clean_alarms(clean: Sequence[WindowDrift], name: str) -> dict[str, object]:
    """Return how many clean windows raised an alarm, and the exact 95 % interval of the rate."""
    alarms = sum(window.alarm for window in clean)
    interval = binomtest(alarms, len(clean)).proportion_ci(method="exact")
    return {
        f"clean_windows_{name}": len(clean),
        f"clean_alarm_rate_{name}": alarms / len(clean),
        f"clean_alarm_rate_low_{name}": round(float(interval.low), 4),
        f"clean_alarm_rate_high_{name}": round(float(interval.high), 4),
    }


def _shifted(pool: ProcessPoolExecutor, reference: DriftReference, name: str, seed: int) -> dict[int, dict[str, object]]:
    """Follow windows of growing strength until the first alarm, and say how far Dice has fallen there and in the end, by size of the window."""
    strengths = STRENGTHS[name]
    planned = [PlannedStudies(PART, seed + more + k, name, strength) for k, strength in enumerate(strengths) for more in (0, 50)]
    parts = list(pool.map(_profiles, planned))
    dice = list(pool.map(_mean_dice, [PlannedStudies(LABELLED, seed + 90, name, strength) for strength in (0.0, *strengths)]))
    falls = [dice[0] - after for after in dice[1:]]
    followed = {PART: _followed(reference, parts[::2], PART), 2 * PART: _followed(reference, parts, 2 * PART)}
    return {size: _first_alarm(windows, strengths, falls) for size, windows in followed.items()}


def _first_alarm(windows: Sequence[WindowDrift], strengths: Sequence[float], falls: Sequence[float]) -> dict[str, object]:
    place = next((k for k, window in enumerate(windows) if window.alarm), None)
    at = len(strengths) - 1 if place is None else place
    window = windows[at]
    details = {
        "said": window_sentence(window, ALARM_RATE),
        "dice_fall": [round(fall, 4) for fall in falls],
        "p_of_windows": [{family.value: round(one.p, 4) for family, one in by_family(each).items()} for each in windows],
    }
    return {
        "dice_fall_at_alarm": round(falls[at], 4),
        "dice_fall_at_end": round(falls[-1], 4),
        "strength_at_alarm": None if place is None else strengths[place],
        "first_family": "none" if place is None or window.first_family is None else window.first_family.value,
        "details": details,
    }


def _reference(pool: ProcessPoolExecutor) -> DriftReference:
    parts = list(pool.map(_profiles, [PlannedStudies(PART, 50_000 + number) for number in range(REFERENCE // PART)]))
    rows = [row for part in parts for row in part]
    return DriftReference(
        model="models:/phantom-student/1",
        weights_digest="0" * 64,
        measure="dice",
        patients=tuple(range(len(rows))),
        studies=tuple(profile for profile, _ in rows),
        performance=tuple(dice for _, dice in rows),
    )


def _followed(reference: DriftReference, parts: Sequence[Sequence[tuple[StudyProfile, float]]], size: int) -> tuple[WindowDrift, ...]:
    """Return the windows of so many studies of some parts in a row."""
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [profile for part in parts for profile, _ in part]
    studies = [DatedStudy(begin + timedelta(hours=place), f"p{place}", profile) for place, profile in enumerate(rows)]
    return follow_windows(reference, studies, DriftSettings(alarm_rate=ALARM_RATE, window_studies=size)).windows


def _mean(values: Sequence[float]) -> float:
    return round(statistics.fmean(values), 4)


_LOADED = {}


def _load(weights: Path) -> None:
    torch.set_num_threads(1)
    network = build_network(NETWORK)
    network.load_state_dict(safetensors.torch.load_file(weights))
    _LOADED["student"] = as_loaded(network.eval())


def _profiles(job: PlannedStudies) -> list[tuple[StudyProfile, float]]:
    return [profile_of(_LOADED["student"], study) for study in job.studies()]


def _mean_dice(planned: PlannedStudies) -> float:
    return statistics.fmean(_dice(study) for study in planned.studies())


def _dice(study: Study) -> float:
    images = window_intensity(study.values, TASK.window)[:, None]
    return dice_of(predict_logits(_LOADED["student"].network, images).argmax(1), study.label)


if __name__ == "__main__":
    main()
