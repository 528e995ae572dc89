"""The stage that turns a recipe's data into cohorts, whatever their kind."""

from __future__ import annotations

import hashlib
from pathlib import Path

from data_contracts import CohortSet, CohortSpec, Data, DicomData, ImageFolderData, IngestReport, PhantomData, SourceError, VolumeFolderData
from medkd.cohorts.folder_names import require_inside
from medkd.cohorts.image_folder import prepare_image_folder
from medkd.cohorts.phantom_cohorts import prepare_phantom_cohorts
from medkd.cohorts.volume_folder import prepare_volume_folder
from medkd.dicom.confidentiality.secret import pseudonym, site_secret
from medkd.storage.stage import stage
from medkd.storage.store import sha256_file
from medkd.storage.workspace import Workspace


@stage
def prepare_cohorts(
    workspace: Workspace,
    spec: CohortSpec,
    source: str,  # noqa: ARG001 - part of the key
    ingested: IngestReport | None = None,
) -> CohortSet:
    """Prepare every cohort of a recipe.

    Args:
        workspace: where shards go and data lie.
        spec: names the data: ``recipe.cohorts()``.
        source: ``source_digest(spec.data, workspace.data_root)``: changed files are a changed cohort.
        ingested: of DICOM data, what their ingestion into the run's store said.

    Raises:
        SourceError: ``SOURCE_NOT_INGESTED`` for DICOM data that were not ingested before.
    """
    if isinstance(spec.data, VolumeFolderData):
        return prepare_volume_folder(spec, spec.data, workspace.data_root, workspace.store, progress=workspace.progress)
    if isinstance(spec.data, DicomData):
        # Imported here: only a recipe on DICOM pays for the readers.
        from medkd.cohorts.dicom_cohort import prepare_dicom

        if ingested is None:
            raise SourceError("SOURCE_NOT_INGESTED", f"expected the DICOM data of {spec.name} to be ingested before its cohort is made")
        return prepare_dicom(spec, spec.data, workspace, ingested)
    if isinstance(spec.data, ImageFolderData):
        return prepare_image_folder(spec, spec.data, workspace.data_root, workspace.store, progress=workspace.progress)
    return prepare_phantom_cohorts(spec, spec.data, workspace.store)


def source_digest(data: Data, data_root: Path) -> str:
    """Return the sha256 over every file the recipe's data are read from, and of the site's keys; empty for the phantom.

    Raises:
        SourceError: ``SOURCE_MISSING`` when there is no such folder.
    """
    root = data_folder(data, data_root)
    if root is None or isinstance(data, PhantomData):
        return ""
    if isinstance(data, DicomData):
        # Their ingestion reads every file itself, and its ledger is in the key of the cohort.
        paths = []
    elif isinstance(data, VolumeFolderData):
        paths = sorted(root.rglob("*"))
    else:
        # Nothing else in the folder is read: a note that somebody puts there must not make another cohort.
        folders = [folder for folder in (data.images, data.masks) if folder is not None]
        paths = [root / data.table, *(path for folder in folders for path in sorted((root / folder).rglob("*")))]
    lines = [f"{path.relative_to(root).as_posix()} {sha256_file(path)}" for path in paths if path.is_file()]
    # Under another secret the same people have other keys: such a cohort is another one.
    lines.append(pseudonym(site_secret(), "site", "cohorts"))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def data_folder(data: Data, data_root: Path) -> Path | None:
    """Return the folder that a recipe's data are read from, None for the phantom.

    Raises:
        SourceError: ``SOURCE_MISSING`` when there is no such folder.
        DataError: ``PATH_ESCAPE`` when it does not lie in the data root.
    """
    if isinstance(data, PhantomData):
        return None
    root = require_inside(data_root, data.path, "the recipe")
    if not root.is_dir():
        raise SourceError(
            "SOURCE_MISSING",
            f"expected the folder {data.path} in {data_root.resolve()}, found none; set MEDKD_DATA to the folder that holds it "
            "(docs/tutorial.md says where the data sets of the shipped recipes come from)",
        )
    return root
