"""Data in: invented studies, ingestion, de-identification."""

from __future__ import annotations

from pathlib import Path

from data_contracts import (
    IngestPolicy,
    IngestReport,
)
from data_contracts.private import privately
from medkd.api._paths import PathLike
from medkd.dicom.confidentiality.publish import DeidentifyRequest, deidentify_folder
from medkd.dicom.confidentiality.secret import site_secret
from medkd.dicom.ingest import IngestRequest, ingest_with_site_secret
from medkd.phantom.dicom_studies import write_phantom_dicom
from medkd.storage.output import PHANTOM, claim


def write_phantom(out: PathLike, *, studies: int = 48, seed: int = 7, faults: bool = True) -> tuple[Path, ...]:
    """Write invented DICOM studies with lesion segmentations, to try things with.

    Args:
        out: folder to write to.
        studies: how many.
        seed: the same seed writes the same bytes.
        faults: also write what archives are full of: lost slices, strange files, broken headers.

    Returns:
        The folder of each study.

    Example:
        >>> len(medkd.write_phantom("two-studies", studies=2))
        2
    """
    folder = claim(Path(out), PHANTOM)
    _, written = write_phantom_dicom(folder, studies=studies, seed=seed, faults=faults)
    return tuple(study.folder for study in written)


def ingest(
    source: PathLike, out: PathLike, *, policy: IngestPolicy | None = None, nifti: bool = False, dry_run: bool = False
) -> IngestReport:
    """Verify, de-identify and store every series of a folder, file, archive or DICOMDIR; what is refused is quarantined with its reason.

    Args:
        source: where the DICOM is.
        out: store to write or extend.
        policy: what is done about findings; by default what each code says.
        nifti: also write each accepted volume as NIfTI.
        dry_run: judge everything, write nothing.

    Returns:
        What became of every file and series: ``report.summary()``, ``report.codes()``, ``report.series``.

    Raises:
        SourceError: there is no such source.
        OutputError: the store lies in the source, or the folder is somebody else's.

    Example:
        >>> report = medkd.ingest("dicom", "another-store")
        >>> report.series[0].flags
        ()
    """
    with privately():
        return ingest_with_site_secret(IngestRequest(Path(source), Path(out), policy or IngestPolicy(), nifti, dry_run))


def deidentify(
    source: PathLike,
    out: PathLike,
    *,
    quarantine_folder: PathLike | None = None,
    policy: IngestPolicy | None = None,
    vault: PathLike | None = None,
) -> IngestReport:
    """Write DICOM without what identifies anybody (PS3.15 Annex E); a study with a leak is not published.

    Args:
        source: where the DICOM is.
        out: folder to hand on.
        quarantine_folder: for what is refused and the report, which are not handed on; by default ``OUT.quarantine``.
        policy: what is done about findings.
        vault: folder that keeps, encrypted, whose studies these were; by default nothing keeps it.
    """
    place = None if quarantine_folder is None else Path(quarantine_folder)
    request = DeidentifyRequest(Path(source), Path(out), place, policy or IngestPolicy(), vault=None if vault is None else Path(vault))
    with privately():
        return deidentify_folder(request, secret=site_secret())
