"""A folder that a model has never seen, as one cohort: every readable case of it is a test case, whatever the folder's form."""

from __future__ import annotations

from pathlib import Path

from data_contracts import Cohort, DicomData, ImageFolderData, IngestReport, Part, Task
from medkd.cohorts.case_table import FolderData
from medkd.cohorts.dicom_cohort import import_dicom
from medkd.cohorts.image_folder import import_image_folder
from medkd.cohorts.volume_folder import import_volume_folder
from medkd.storage.store import Store


def import_whole(
    root: Path, data: FolderData | DicomData, task: Task, store: Store, *, key: str = "folder", progress: bool = False
) -> tuple[Cohort, IngestReport]:
    """Import a folder into a store and return its cases, all of them for testing, and what became of each file.

    Args:
        root: the folder.
        data: how to read it (``describe_folder``).
        task: of the model that is asked.
        store: that arrays are written to.
        key: folder in the store.
        progress: show bars.

    Raises:
        DataError: as the importers.
    """
    if isinstance(data, DicomData):
        return import_dicom(root, data, task, store, key=key, progress=progress)
    if isinstance(data, ImageFolderData):
        return import_image_folder(root, data, task, store, key=key, whole=Part.TEST, progress=progress)
    return import_volume_folder(root, data, task, store, key=key, whole=Part.TEST, progress=progress)
