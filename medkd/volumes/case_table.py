"""What folders of pictures and of volumes have in common: a table of cases, people kept together, parts, purposes."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence, Set
from pathlib import Path

from data_contracts import (
    Case,
    Cohort,
    CohortSet,
    CohortUse,
    DataError,
    ImageFolderData,
    IngestReport,
    Part,
    Recipe,
    Ref,
    SourceError,
    Split,
    Task,
    VolumeFolderData,
)
from medkd.volumes.split import certify, split_by_patient
from medkd.volumes.store import Store, write_bytes

FolderData = ImageFolderData | VolumeFolderData
Line = dict[str, str]


def read_lines(path: Path) -> list[Line]:
    """Return the lines of a CSV table with a header.

    Raises:
        SourceError: ``SOURCE_MISSING`` when there is no such file.
        DataError: ``TABLE_UNREADABLE`` when it is no UTF-8 text or holds no line.
    """
    if not path.is_file():
        raise SourceError(
            "SOURCE_MISSING",
            f"expected a table {path.name} in {path.parent.name}, found no file (MEDKD_DATA names the folder recipes read from)",
        )
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            lines = list(csv.DictReader(stream))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError("TABLE_UNREADABLE", f"expected a CSV table in UTF-8, {path.name} is not ({error})") from error
    if not lines:
        raise DataError("TABLE_UNREADABLE", f"expected a header and at least one line in {path.name}, it has none")
    return lines


def read_table(root: Path, data: FolderData) -> list[Line]:
    """Return the lines of a recipe's table that ``where`` chooses, its columns checked.

    Raises:
        SourceError: ``SOURCE_MISSING``.
        DataError: ``TABLE_UNREADABLE``, ``TABLE_COLUMN``, or ``COHORT_EMPTY`` when no line is chosen.
    """
    lines = read_lines(root / str(data.table))
    named = (data.id_column, data.patient_column, data.label_column, data.part_column, *data.attribute_columns, *data.where)
    missing = [column for column in named if column is not None and column not in lines[0]]
    if missing:
        raise DataError("TABLE_COLUMN", f"expected the column {missing[0]!r} in {data.table}, it has {list(lines[0])}")
    chosen = [line for line in lines if all(line[column] == value for column, value in data.where.items())]
    if not chosen:
        raise DataError("COHORT_EMPTY", f"expected lines with {dict(data.where)} in {data.table}, none of {len(lines)} has it")
    return chosen


def label_of(line: Line, data: FolderData, task: Task) -> int | None:
    """Return the class index of a line, None where the data have no label column.

    Raises:
        DataError: ``TABLE_LABEL`` for a label that is not one of the task's classes.
    """
    if data.label_column is None:
        return None
    label = line[data.label_column]
    if label not in task.classes:
        raise DataError(
            "TABLE_LABEL",
            f"expected a label among {task.classes} in column {data.label_column!r}, case {line[data.id_column]} has {label!r}",
        )
    return task.classes.index(label)


def case_key(identifier: str) -> str:
    """Return the key of a case: a digest of its name in the table, which may be a person's."""
    return f"c{hashlib.sha256(identifier.encode()).hexdigest()[:16]}"


def patient_key(person: str) -> str:
    """Return the key of a patient: a digest of what the table calls them."""
    return f"p{hashlib.sha256(person.encode()).hexdigest()[:16]}"


def assign_parts(people: Sequence[str], strata: Sequence[int], named: Sequence[str], data: FolderData) -> list[Part]:
    """Return the part of each case: the table's where it names one, otherwise a split by person.

    Args:
        people: whose each case is.
        strata: what is kept in balance, one small integer per case.
        named: what the table's part column says of each case; not read where the data have none.
        data: part column, validation values, and the share of training people held back as inner validation.
    """
    if data.part_column is None:
        return list(split_by_patient(people, strata, validation=0.2, seed=0))
    held = [name in data.validation_values for name in named]
    if data.inner_validation == 0:
        return [Part.VALIDATION if out else Part.TRAIN for out in held]
    training = [index for index, out in enumerate(held) if not out]
    inner = split_by_patient([people[i] for i in training], [strata[i] for i in training], validation=data.inner_validation, seed=0)
    parts = [Part.TEST] * len(people)
    for index, part in zip(training, inner, strict=True):
        parts[index] = part
    return parts


def require_classes(classes: tuple[str, ...], there: Set[int], *, cases: int, held: str, mend: str) -> None:
    """Stop before anything is computed when a class occurs in no case: it could be neither learnt nor measured.

    Args:
        classes: of the task.
        there: indices of the classes that occur.
        cases: number of cases.
        held: what the labels hold instead, in words.
        mend: what to do about it, a clause.

    Raises:
        DataError: ``CLASS_WITHOUT_LABEL``.
    """
    absent = [name for index, name in enumerate(classes) if index not in there]
    if absent:
        message = f"expected every class in at least one of {cases} labels, got none of {', '.join(absent)}; the labels hold {held}: {mend}"
        raise DataError("CLASS_WITHOUT_LABEL", message)


def make_cohort(name: str, origin: str, classes: tuple[str, ...], cases: Sequence[Case], parts: Sequence[Part]) -> Cohort:
    """Return the cohort of some cases, each in its part."""
    keys = {part: tuple(c.case_key for c, own in zip(cases, parts, strict=True) if own is part) for part in sorted(set(parts))}
    return Cohort(name=name, origin=origin, classes=classes, cases=tuple(cases), split=Split(parts=keys))


def serve_purposes(recipe: Recipe, cohort: Cohort, ledger: IngestReport, store: Store) -> CohortSet:
    """Store a cohort with the ledger of its files and say which part serves which purpose: all arms and seeds share it."""
    key = f"cohorts/{recipe.name}"
    write_bytes(store.root / f"{key}/import.json", ledger.canonical_json())
    payload = cohort.canonical_json()
    write_bytes(store.root / f"{key}/all.json", payload)
    ref = Ref(store=store.name, key=f"{key}/all.json", sha256=hashlib.sha256(payload).hexdigest())
    held = Part.TEST if Part.TEST in cohort.split.parts else Part.VALIDATION
    uses = {
        "teacher_train": CohortUse(cohort=ref, part=Part.TRAIN),
        "teacher_validation": CohortUse(cohort=ref, part=Part.VALIDATION),
        "test": CohortUse(cohort=ref, part=held),
        **{f"student_train/{seed}": CohortUse(cohort=ref, part=Part.TRAIN) for seed in all_seeds(recipe)},
    }
    return CohortSet(uses=uses, certificates=(certify(cohort),))


def all_seeds(recipe: Recipe) -> tuple[int, ...]:
    """Return the seeds that students are trained under, those of an experiment's search after the recipe's own."""
    return (*recipe.seeds, *(recipe.experiment.search_seeds if recipe.experiment else ()))
