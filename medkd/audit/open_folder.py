"""A labelled folder opened for an audit: cases as the network sees them, and the same without the marks that were found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data_contracts import Case, Cohort, CohortUse, DicomData, ImageFolderData, Part, Ref, Task, TaskKind
from medkd.audit.put_in import AuditCase
from medkd.cohorts.case_table import FolderData, Line, case_key, read_table
from medkd.cohorts.dicom_cohort import INGESTED
from medkd.cohorts.dicom_pictures import frames_without_burnt_in
from medkd.cohorts.image_folder import import_image_folder
from medkd.cohorts.tensor_cohort import TensorCohort, open_cohort
from medkd.cohorts.volume_cohort import open_volumes
from medkd.cohorts.whole_folder import import_whole
from medkd.storage.store import Store, write_bytes
from medkd.volumes.window import window_intensity

#: Of the store, what a folder is imported into.
_FOLDER = "folder"


@dataclass(frozen=True)
class AuditFolder:
    """Cases of a folder.

    Attributes:
        cases: as networks see them.
        records: of the same cases.
        reference: int64 [*space] label map of each; None where there is none.
        labels: class index per case, -1 where there is none.
        painted: float32 [*space] of each picture without the marks that were found in it; None where none were, or none were looked for.
        metadata: column → value of each case, from the table and from the images.
        cohort: digest of the readable cases.
        looked: cases in which burnt-in marks were looked for: all of picture files, of DICOM those of 8 bits, none of volumes.
    """

    cases: tuple[AuditCase, ...]
    records: tuple[Case, ...]
    reference: tuple[Tensor | None, ...]
    labels: tuple[int, ...]
    painted: tuple[Tensor | None, ...]
    metadata: tuple[dict[str, str], ...]
    cohort: str
    looked: int = 0

    @property
    def patients(self) -> list[str]:
        """Return the patient key of each case."""
        return [record.patient_key for record in self.records]


def open_folder(root: Path, data: FolderData | DicomData, task: Task, store: Store, *, progress: bool = False) -> AuditFolder:
    """Import a folder into ``store`` and open every readable case of it.

    Args:
        root: the folder.
        data: how to read it (``describe_folder``).
        task: of the model that is audited.
        store: scratch space for the imported arrays.
        progress: show bars.

    Raises:
        DataError: as the importers.
    """
    table = None if isinstance(data, DicomData) else data.table
    lines = (
        {} if isinstance(data, DicomData) or table is None else {case_key(line[data.id_column]): line for line in read_table(root, data)}
    )
    cohort, _ = import_whole(root, data, task, store, key=_FOLDER, progress=progress)
    use = _use(cohort, store, _FOLDER)
    if isinstance(data, ImageFolderData):
        pictures = open_cohort(use, store, task)
        cleaned = data.model_copy(update={"remove_artefacts": True})
        other, _ = import_image_folder(root, cleaned, task, store, key="painted", whole=Part.TEST, progress=progress)
        painted = open_cohort(_use(other, store, "painted"), store, task)
        return _of_tensors(pictures, cohort, lines, task, list(painted.images[:, 0]))
    if task.spatial_dims == 2:
        pictures = open_cohort(use, store, task)
        return _of_tensors(pictures, cohort, lines, task, _painted_frames(pictures, store, task))
    if task.kind is TaskKind.CLASSIFICATION:
        volumes = open_volumes(use, store, task).as_tensors(task)
        return _of_tensors(volumes, cohort, lines, task, [None] * len(volumes))
    return _of_volumes(use, store, task, cohort, lines)


def _painted_frames(pictures: TensorCohort, store: Store, task: Task) -> list[Tensor | None]:
    """Return pictures of DICOM without what was found in them, as a network sees them; None of those that the detector cannot look at."""
    painted = frames_without_burnt_in(pictures.cases, Store(store.root / INGESTED / _FOLDER), task.image_size)
    return [None if frame is None else window_intensity(torch.from_numpy(frame), task.window) for frame in painted]


def _use(cohort: Cohort, store: Store, key: str) -> CohortUse:
    write_bytes(store.root / key / "all.json", cohort.canonical_json())
    return CohortUse(cohort=Ref(store=store.name, key=f"{key}/all.json", sha256=cohort.digest()), part=Part.TEST)


def _of_tensors(
    pictures: TensorCohort, cohort: Cohort, lines: dict[str, Line], task: Task, painted: Sequence[Tensor | None]
) -> AuditFolder:
    rows = range(len(pictures))
    cases = [
        AuditCase(pictures.images[row, 0], pictures.masks[row] > 0, pictures.valid[row], record.case_key)
        for row, record in zip(rows, pictures.cases, strict=True)
    ]
    clean = [None if one is None else _changed(one, pictures.images[row, 0]) for row, one in enumerate(painted)]
    segmented = task.kind is TaskKind.SEGMENTATION
    return AuditFolder(
        cases=tuple(cases),
        records=pictures.cases,
        reference=tuple(pictures.masks[row].long() if segmented and bool(pictures.has_mask[row]) else None for row in rows),
        labels=tuple(pictures.labels.tolist()),
        painted=tuple(clean),
        metadata=tuple(_of_line(lines, case) | _shape(pictures.valid[row]) for row, case in zip(rows, pictures.cases, strict=True)),
        cohort=cohort.digest(),
        looked=sum(one is not None for one in painted),
    )


def _changed(painted: Tensor, image: Tensor) -> Tensor | None:
    return None if torch.equal(painted, image) else painted


def _of_volumes(use: CohortUse, store: Store, task: Task, cohort: Cohort, lines: dict[str, Line]) -> AuditFolder:
    volumes = open_volumes(use, store, task)
    rows = range(len(volumes))
    grids = [alignment.source for alignment in volumes.alignments]
    return AuditFolder(
        cases=tuple(
            AuditCase(volumes.images[row][0], volumes.labels[row] > 0, volumes.measured(row), volumes.cases[row].case_key) for row in rows
        ),
        records=volumes.cases,
        reference=tuple(volumes.labels[row].long() if volumes.has_label[row] else None for row in rows),
        labels=(-1,) * len(volumes),
        painted=(None,) * len(volumes),
        metadata=tuple(
            _of_line(lines, case) | {"spacing": f"{np.prod(grid.spacing_mm):.6g}", "voxels": str(int(np.prod(grid.shape)))}
            for case, grid in zip(volumes.cases, grids, strict=True)
        ),
        cohort=cohort.digest(),
    )


def _of_line(lines: dict[str, Line], case: Case) -> dict[str, str]:
    return dict(lines.get(case.case_key, {})) or dict(case.attributes)


def _shape(valid: Tensor) -> dict[str, str]:
    """Return rows to columns of the real pixels: what is left of a picture's size when it has been resized."""
    flat = valid if valid.ndim == 2 else valid.any(0)
    return {"aspect": f"{int(flat.any(1).sum()) / max(1, int(flat.any(0).sum())):.4f}"}
