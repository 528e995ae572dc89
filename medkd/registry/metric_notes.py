"""What the metrics of a run are: unit, direction and a sentence, as a note beside the experiment that shows them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from data_contracts import Recipe, Scorecard
from medkd.catalogue import MEASURES


class MetricNote(NamedTuple):
    """Unit (empty for a number without one), whether higher is better (None where neither is), and what it is."""

    unit: str
    higher_is_better: bool | None
    text: str

    @property
    def direction(self) -> str:
        """Return the direction in words."""
        if self.higher_is_better is None:
            return ""
        return "higher is better" if self.higher_is_better else "lower is better"


#: Figures that are no measure of the catalogue, or are called otherwise than it.
_NAMED = {
    "agreement": MetricNote("", True, "cosine of student's and teacher's class maps, mean over cases"),
    "dice_to_teacher": MetricNote("", True, "Dice of student and teacher"),
    "answers_as_teacher": MetricNote("", True, "share of cases answered as by the teacher"),
    "copies_mistakes": MetricNote("", False, "share of the teacher's mistakes that the student makes too"),
    "false_positives_at_cue": MetricNote("", False, "share of cases with a find at the planted cue"),
    "false_positive_pixels": MetricNote("pixels", False, "pixels found outside of every structure"),
    "train_seconds": MetricNote("s", False, "wall-clock time of the training"),
    "cost_cpu_seconds": MetricNote("s", False, "processor cores, user and system time, of the training"),
    "cost_gpu_seconds": MetricNote("s", False, "time for which the training held GPUs"),
    "cost_wall_seconds": MetricNote("s", False, "time that the training took, all its parts where it was resumed"),
    "cost_energy_wh": MetricNote("Wh", False, "estimated energy of processors and GPUs; the model card says what it rests on"),
    "cost_peak_memory_mib": MetricNote("MiB", False, "largest resident memory of the training's process"),
    "cost_peak_gpu_memory_mib": MetricNote("MiB", False, "largest memory that the training allocated on the GPU"),
    "cost_read_mib": MetricNote("MiB", None, "read by the training's process"),
    "cost_written_mib": MetricNote("MiB", None, "written by the training's process"),
    "latency_ms": MetricNote("ms", False, "time of one case, median"),
    "loss": MetricNote("", False, "objective of the training, mean over the steps of an epoch"),
    "seconds": MetricNote("s", False, "wall-clock time of an epoch"),
    "validation": MetricNote("", True, "figure that patience is about, on validation cases"),
    "rate": MetricNote("", None, "factor of the learning rate"),
    "parity": MetricNote("", False, "largest difference of the serving form from the network, relative"),
}
_SHORT = {"ece": "expected_calibration_error", "pointing": "pointing_game", "surface_dice": "surface_dice"}


def metric_note(name: str) -> MetricNote | None:
    """Return what a figure is, by its name or by the longest name of a measure that it begins with (``dice_lesion``); None where nobody says."""
    parts = name.split("_")
    for length in range(len(parts), 0, -1):
        begin = "_".join(parts[:length])
        if begin in _NAMED:
            return _NAMED[begin]
        measure = _SHORT.get(begin, begin)
        if measure in MEASURES.names():
            entry = MEASURES.entry(measure)
            return MetricNote(str(entry.fact("UNIT", "")), entry.fact("HIGHER_IS_BETTER"), _in_words(entry.summary()))
    return None


def _in_words(summary: str) -> str:
    """Return the first line of a measure without what only its caller needs: verb and shape."""
    return re.split(r",? (?:per case|per pair|as a 0-d|\[n\])", summary.removeprefix("Return ").rstrip("."))[0].rstrip(",:")


def experiment_note(recipe: Recipe, cards: Sequence[Scorecard]) -> str:
    """Return what a person should know of a recipe's experiment, Markdown: how its runs lie, and what each metric is."""
    names = sorted(
        {name for card in cards for name in card.figures}
        | {"loss", "seconds", "train_seconds", *(name for name in _NAMED if name.startswith("cost_"))}
    )
    lines = [
        "**Research use only. Not a medical device.**",
        "",
        recipe.description,
        "",
        "A run of the whole recipe, and below it one of each training (`ARM-SEED`) with its own figures, curves per epoch, configuration and data "
        "sets. The run of the whole has the mean of each arm over its seeds as `ARM/METRIC`, its 95 % interval as `ARM/METRIC_low` and `_high`.",
        "",
        "| metric | unit | direction | what it is |",
        "|---|---|---|---|",
        *_rows(names),
    ]
    return "\n".join(lines) + "\n"


def _rows(names: Iterable[str]) -> Iterable[str]:
    for name in names:
        note = metric_note(name)
        if note is not None:
            yield f"| `{name}` | {note.unit} | {note.direction} | {note.text.replace('|', chr(92) + '|')} |"
