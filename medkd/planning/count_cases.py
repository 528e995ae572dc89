"""How many cases a recipe's trainings and tests will have, as far as recipe, tables and lists say before anything is imported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data_contracts import ImageFolderData, PhantomData, Recipe, TaskKind, TrainingSpec, VolumeFolderData
from medkd.cohorts.case_table import read_lines
from medkd.cohorts.dataset_list import read_dataset
from medkd.cohorts.folder_names import VOLUME_SUFFIXES, files_by_identifier, require_inside

#: Cases of a DICOM folder, which are counted by its ingestion.
GUESSED_CASES = 500
#: Share of a folder's patients that is kept for tests where no column says it (:mod:`medkd.cohorts.case_table`).
_TEST_SHARE = 0.2


@dataclass(frozen=True)
class CaseCounts:
    """Cases of a recipe.

    Attributes:
        teacher: that the teacher is trained on.
        students: that each arm's students are trained on.
        tests: that a model is evaluated on.
        stored: that the run's store will hold, all cohorts together.
        assumed: what had to be assumed, in a sentence; empty where everything is known.
    """

    teacher: int
    students: dict[str, int]
    tests: int
    stored: int
    assumed: str = ""


def count_cases(recipe: Recipe, data_root: Path) -> CaseCounts:
    """Return the counts; readers of tables and lists raise their own errors."""
    data = recipe.data
    if isinstance(data, PhantomData):
        return _phantom(recipe, data)
    assumed = f"a fifth of the patients is kept for tests, and so of the cases of {recipe.name}"
    if isinstance(data, ImageFolderData):
        root = require_inside(data_root, data.path, "the recipe")
        count = len(read_lines(require_inside(root, data.table, "the recipe")))
    elif isinstance(data, VolumeFolderData):
        root = require_inside(data_root, data.path, "the recipe")
        count = min(_volumes(root, data), data.most or 10**9)
    else:
        count, assumed = GUESSED_CASES, f"{GUESSED_CASES} cases: those of a DICOM folder are known after its ingestion"
    tests = max(1, round(count * _TEST_SHARE))
    training = max(1, count - tests)
    return CaseCounts(training, dict.fromkeys(recipe.arms, training), tests, count, assumed)


def batches_of(spec: TrainingSpec, cases: int) -> int:
    """Return how many batches a training on so many cases makes, all epochs together."""
    return spec.fit.epochs * max(1, (spec.fit.samples_per_epoch or cases) // spec.fit.batch_size)


def _phantom(recipe: Recipe, data: PhantomData) -> CaseCounts:
    with_bias = data.debiased + data.reversed + 2 * data.marker_pairs if recipe.task.kind is TaskKind.CLASSIFICATION else 0
    tests = data.test + with_bias
    students = {name: data.student + (data.unlabelled if arm.unlabelled else 0) for name, arm in recipe.arms.items()}
    own = len(recipe.cohorts().seeds) * (data.student + data.unlabelled)
    stored = data.teacher + data.teacher_validation + own + tests + data.student_validation
    return CaseCounts(data.teacher, students, tests, stored)


def _volumes(root: Path, data: VolumeFolderData) -> int:
    if data.dataset is not None:
        return len(read_dataset(root, data.dataset).pairs)
    held = files_by_identifier(require_inside(root, data.images, "the recipe"), VOLUME_SUFFIXES)
    return sum(len(files) for files in held.values())
