"""What folders of pictures and of volumes have in common: a table of cases, people kept together, parts, subsets."""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import json
from collections.abc import Iterator, Sequence, Set
from pathlib import Path

from data_contracts import (
    Case,
    Cohort,
    CohortSet,
    CohortSpec,
    CohortUse,
    DataError,
    FoldChoice,
    ImageFolderData,
    IngestCode,
    IngestError,
    IngestReport,
    Part,
    Ref,
    SourceError,
    Split,
    Subset,
    Task,
    VolumeFolderData,
)
from medkd.catalogue import did_you_mean
from medkd.cohorts.folder_names import few, identifier_of, require_inside
from medkd.cohorts.split import certify, split_by_patient
from medkd.dicom.confidentiality.secret import pseudonym, site_secret
from medkd.storage.store import Store, write_bytes

FolderData = ImageFolderData | VolumeFolderData
Line = dict[str, str]


#: A table of cases is text that a person can read; what is larger is another kind of file.
MOST_BYTES = 64 * 2**20
#: What separates cells, the usual one first: it is taken where the header has no more cells with another.
_SEPARATORS = (",", ";", "\t", "|")
#: Field of a line that says where it stands in its file; no column of a table can have an empty name.
LINE = ""


def read_text(path: Path, *, code: str, most: int = MOST_BYTES) -> str:
    """Return the text of a file: UTF-8, with or without a byte-order mark, or UTF-16 with one.

    Raises:
        DataError: ``code`` when it is no such text, cannot be read, or is larger than ``most`` bytes.
    """
    try:
        if path.stat().st_size > most:
            raise DataError(
                code, f"expected a text file of at most {most // 2**20} MiB, {path.name} has {path.stat().st_size // 2**20} MiB"
            )
        payload = path.read_bytes()
        wide = payload.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return payload.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(code, f"expected text in UTF-8, {path.name} is not ({error}); save it as UTF-8") from error
    except OSError as error:
        raise DataError(code, f"expected a file that can be read, {path.name}: {error.strerror}") from error


def read_lines(path: Path) -> list[Line]:
    """Return the lines of a CSV table with a header; separators are commas, semicolons, tabs or bars, as the header shows.

    Cells are stripped of spaces round them, empty lines are left out. ``LINE`` of each is its number in the file.

    Raises:
        SourceError: ``SOURCE_MISSING`` when there is no such file.
        DataError: ``TABLE_UNREADABLE`` when it is no UTF-8 text, holds no line, names a column twice, or a line has another number of cells.
    """
    if not path.is_file():
        raise SourceError(
            "SOURCE_MISSING",
            f"expected a table {path.name} in {path.parent.name}, found no file (MEDKD_DATA names the folder recipes read from)",
        )
    text = read_text(path, code="TABLE_UNREADABLE")
    try:
        separator, header = _header(text)
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=separator != "\t")
        next(rows)
        lines = [_line(header, cells, rows.line_num, path.name) for cells in rows if any(cell.strip() for cell in cells)]
    except (csv.Error, StopIteration) as error:
        raise DataError("TABLE_UNREADABLE", f"expected a CSV table in UTF-8, {path.name} is not ({error})") from error
    if not lines:
        raise DataError("TABLE_UNREADABLE", f"expected a header and at least one line in {path.name}, it has none")
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise DataError("TABLE_UNREADABLE", f"expected every column once in {path.name}, its header has {twice[0]!r} twice; rename one")
    return lines


def _header(text: str) -> tuple[str, list[str]]:
    """Return what separates the cells, and the header's cells: the separator that makes most of them."""
    found = []
    for separator in _SEPARATORS:
        cells = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=separator != "\t"))
        found.append((separator, [cell.strip() for cell in cells]))
    return max(found, key=lambda one: len(one[1]))


def _line(header: Sequence[str], cells: Sequence[str], number: int, table: str) -> Line:
    # Spreadsheets leave separators at the end of a line: empty cells beyond the header say nothing.
    kept = [cell.strip() for cell in cells]
    while len(kept) > len(header) and not kept[-1]:
        kept.pop()
    if len(kept) != len(header):
        raise DataError(
            "TABLE_UNREADABLE",
            f"expected {len(header)} cells in each line of {table}, as its header has, line {number} has {len(kept)}; "
            "put a cell that holds a separator into quotes",
        )
    return {name: cell for name, cell in zip(header, kept, strict=True) if name} | {LINE: str(number)}


def columns_of(lines: Sequence[Line]) -> list[str]:
    """Return the names of a table's columns, in order."""
    return [name for name in lines[0] if name != LINE]


def read_table(root: Path, data: FolderData) -> list[Line]:
    """Return the lines of a recipe's table that ``where`` chooses, its columns checked; its id column holds names without suffixes.

    Raises:
        SourceError: ``SOURCE_MISSING``.
        DataError: ``TABLE_UNREADABLE``, ``TABLE_COLUMN``, ``PATH_ESCAPE`` when a line names a file outside the folder, ``CASE_TWICE``
            when two lines name one case, or ``COHORT_EMPTY`` when no line is chosen.
    """
    lines = read_lines(require_inside(root, str(data.table), "the recipe"))
    for _, error in missing_columns(lines, data):
        raise error
    chosen = [line for line in lines if all(line[column] == value for column, value in data.where.items())]
    if not chosen:
        held = {column: few(sorted({line[column] for line in lines}), 6) for column in data.where}
        raise DataError(
            "COHORT_EMPTY", f"expected lines with {dict(data.where)} in {data.table}, none of {len(lines)} has it; there are {held}"
        )
    return _named_once([_named(root, line, data) for line in chosen], data)


def missing_columns(lines: Sequence[Line], data: FolderData) -> Iterator[tuple[str, DataError]]:
    """Yield the columns that a recipe names and its table lacks: the field of the recipe, and what to say of it (``TABLE_COLUMN``)."""
    there = columns_of(lines)
    for field in ("id_column", "patient_column", "label_column", "part_column", "attribute_columns", "where"):
        named = getattr(data, field)
        for column in (named,) if isinstance(named, str) else named or ():
            if column not in there:
                near = did_you_mean(column, there)
                yield field, DataError("TABLE_COLUMN", f"expected the column {column!r} in {data.table}, it has {there}{near}")


def _named(root: Path, line: Line, data: FolderData) -> Line:
    """Return a line whose id is a name without folder and suffix; one that leads out of the folder is refused."""
    name, where = line[data.id_column], f"{data.table}, line {line[LINE]}"
    if not name:
        raise DataError("TABLE_COLUMN", f"expected the name of a file in column {data.id_column!r} of {where}, the cell is empty")
    require_inside(root, name, where)
    return {**line, data.id_column: identifier_of(name)}


def _named_once(lines: list[Line], data: FolderData) -> list[Line]:
    # By the identifier: a.png and a are one case under two spellings.
    seen: dict[str, Line] = {}
    for line in lines:
        first = seen.setdefault(line[data.id_column], line)
        if first is not line:
            people = [one[data.patient_column] for one in (first, line)]
            whose = f"of patient {people[0]!r}" if people[0] == people[1] else f"of the patients {people[0]!r} and {people[1]!r}"
            raise DataError(
                "CASE_TWICE",
                f"expected each case on one line of {data.table}, {line[data.id_column]!r} is on lines {first[LINE]} and {line[LINE]}, {whose}; "
                "keep the line that is right",
            )
    return lines


def require_patient(line: Line, data: FolderData) -> str:
    """Return whose case a line is.

    Raises:
        IngestError: ``PATIENT_ID_MISSING`` when the cell is empty: all unknown patients would be one.
    """
    person = line[data.patient_column]
    if not person:
        raise IngestError(
            IngestCode.PATIENT_ID_MISSING,
            f"expected a patient in column {data.patient_column!r} of {data.table}, line {line[LINE]} has none",
        )
    return person


def reasons(ledger: IngestReport) -> str:
    """Return why files were refused: each code, how many files, and what was found in the first of them."""
    details: dict[str, str] = {}
    for file in ledger.files:
        if file.code is not None:
            details.setdefault(file.code.value, f"{file.path}: {json.loads(file.evidence or '{}').get('what', '')}")
    return "; ".join(f"{code} ({count} files, {details.get(code, '')})" for code, count in ledger.codes().items()) or "there are no files"


def label_of(line: Line, data: FolderData, task: Task) -> int | None:
    """Return the class index of a line, None where the data have no label column.

    Raises:
        DataError: ``TABLE_LABEL`` for a label that is not one of the task's classes.
    """
    if data.label_column is None:
        return None
    label = line[data.label_column]
    classes = task.case_classes or task.classes
    if label not in classes:
        raise DataError(
            "TABLE_LABEL",
            f"expected a label among {classes} in column {data.label_column!r}, case {line[data.id_column]} has {label!r}",
        )
    return classes.index(label)


def case_key(identifier: str) -> str:
    """Return the key of a case, of its name in the table, which may be a person's: keyed by the site's secret, as those of DICOM are."""
    return pseudonym(site_secret(), "case", identifier)


def patient_key(person: str) -> str:
    """Return the key of a patient, of what the table calls them: the key that DICOM with this Patient ID gets at the same site."""
    return pseudonym(site_secret(), "patient", person)


def keyed_ledger(ledger: IngestReport) -> IngestReport:
    """Return a ledger that names files by keys and nobody by their names: what was measured stays, sentences go."""
    secret = site_secret()

    def numbers(evidence: str) -> str:
        found = json.loads(evidence) if evidence else {}
        measured = {name: value for name, value in found.items() if isinstance(value, int | float)} if isinstance(found, dict) else {}
        return json.dumps(measured, sort_keys=True) if measured else ""

    return ledger.model_copy(
        update={
            "files": tuple(
                file.model_copy(update={"path": pseudonym(secret, "file", file.path), "evidence": numbers(file.evidence)})
                for file in ledger.files
            ),
            "series": tuple(line.model_copy(update={"first_file": pseudonym(secret, "file", line.first_file)}) for line in ledger.series),
        }
    )


def assign_parts(people: Sequence[str], strata: Sequence[int], named: Sequence[str], data: FolderData) -> list[Part]:
    """Return the part of each case: the table's where it names one, otherwise a split by person.

    Args:
        people: whose each case is.
        strata: what is kept in balance, one small integer per case.
        named: what the table's part column, or the column of folds, says of each case; not read where the data have none.
        data: part column, validation values, and the share of training people held back as inner validation.
    """
    if data.fold is None and data.part_column is None:
        return list(split_by_patient(people, strata, validation=0.2, seed=0))
    held = in_fold(people, strata, named, data.fold) if data.fold is not None else [name in data.validation_values for name in named]
    if data.inner_validation == 0:
        return [Part.VALIDATION if out else Part.TRAIN for out in held]
    training = [index for index, out in enumerate(held) if not out]
    inner = split_by_patient([people[i] for i in training], [strata[i] for i in training], validation=data.inner_validation, seed=0)
    parts = [Part.TEST] * len(people)
    for index, part in zip(training, inner, strict=True):
        parts[index] = part
    return parts


def in_fold(people: Sequence[str], strata: Sequence[int], named: Sequence[str], fold: FoldChoice) -> list[bool]:
    """Return which cases belong to a fold: by the table's column, else drawn with each person in one fold and classes balanced.

    Raises:
        DataError: ``FOLD_EMPTY`` when no case, or every one, is in the fold; ``FOLD_PATIENTS`` when there are fewer people than folds.
    """
    if fold.column is not None:
        held = [name == fold.value for name in named]
    elif len(set(people)) < fold.of:
        raise DataError(
            "FOLD_PATIENTS", f"expected at least as many patients as folds ({fold.of}), there are {len(set(people))}; ask for fewer folds"
        )
    else:
        from sklearn.model_selection import StratifiedGroupKFold

        drawn = StratifiedGroupKFold(fold.of, shuffle=True, random_state=0).split(list(people), list(strata), list(people))
        inside = set(list(drawn)[fold.number][1].tolist())
        held = [place in inside for place in range(len(people))]
    if not any(held) or all(held):
        raise DataError("FOLD_EMPTY", f"expected some of the cases in fold {fold.number} of {fold.of}, {sum(held)} of {len(held)} are")
    return held


def named_parts(lines: Sequence[Line], data: FolderData) -> list[str]:
    """Return what the table says of each line's part: its fold where there is a column of folds, else its part; nothing without a column."""
    column = data.part_column if data.fold is None else data.fold.column
    return [line[column] if column else "" for line in lines]


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


def assign_subsets(spec: CohortSpec, cohort: Cohort, ledger: IngestReport, store: Store) -> CohortSet:
    """Store a cohort with the ledger of its files and say which part is used as which subset: all arms and seeds share it.

    ``import.json`` names files by keys; beside it, ``quarantine/import.json`` names them as they are called and says why each was refused,
    and is as confidential as the source.
    """
    key = f"cohorts/{spec.name}"
    write_bytes(store.root / f"{key}/import.json", keyed_ledger(ledger).canonical_json())
    write_bytes(store.root / f"{key}/quarantine/import.json", ledger.canonical_json())
    # A folder may be called after somebody; a recipe's name is registered with its models, and meant to be read.
    cohort = cohort.model_copy(update={"name": spec.name})
    payload = cohort.canonical_json()
    write_bytes(store.root / f"{key}/all.json", payload)
    ref = Ref(store=store.name, key=f"{key}/all.json", sha256=hashlib.sha256(payload).hexdigest())
    held = Part.TEST if Part.TEST in cohort.split.parts else Part.VALIDATION
    uses = {
        Subset.TEACHER_TRAIN: CohortUse(cohort=ref, part=Part.TRAIN),
        Subset.TEACHER_VALIDATION: CohortUse(cohort=ref, part=Part.VALIDATION),
        Subset.TEST: CohortUse(cohort=ref, part=held),
        **{Subset.STUDENT_TRAIN.of(seed): CohortUse(cohort=ref, part=Part.TRAIN) for seed in spec.seeds},
    }
    return CohortSet(uses=uses, certificates=(certify(cohort),))
