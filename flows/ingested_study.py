"""What every flow that asks a model about one new study begins with and ends in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data_contracts import IngestPolicy, IngestReport, ReviewReport, VolumeRef
from flows.ingest import ingest
from medkd.dicom.choose_volume import choose_images
from medkd.dicom.ingest import IngestRequest
from medkd.dicom.ingest_cache import read_manifest
from medkd.dicom.study_folder import claim_study, empty_store
from medkd.registry.version_files import open_registry, seen_series
from medkd.storage.output import STUDY_STORE
from medkd.storage.workspace import Workspace


@dataclass(frozen=True)
class StudyChoice:
    """How one study is read, and where results go.

    Attributes:
        series: key of the series that is asked about; None where the study holds one, or the model says which it is for.
        policy: of ingestion; None for the default one.
        dicom_out: folder, claimed for results, that they are written to as DICOM too.
    """

    series: str | None = None
    policy: IngestPolicy | None = None
    dicom_out: Path | None = None


@dataclass(frozen=True)
class StudyOutcome:
    """What was ingested, the artefact of the chosen volume's explanation, the report that was made from it, and the folder of DICOM results."""

    ingested: IngestReport
    explanation: Path
    report: ReviewReport
    results: Path | None = None


def ingest_study(
    workspace: Workspace, source: Path, series: str | None, policy: IngestPolicy | None, model_uri: str
) -> tuple[IngestReport, tuple[VolumeRef, ...], Path]:
    """Ingest a study below a workspace; return the report, the volumes that are asked about, and the folder of the store.

    Of several volumes it is the one of the key ``series``, else the one that the card of the model says it is for; of a model that sees several
    images one for each, the first the one that findings lie on.

    Raises:
        OutputError: the workspace's folder is not ours, or holds the source.
        DataError: ``NO_VOLUME`` when nothing could be verified, ``WHICH_SERIES`` when several volumes could be meant; as
            :func:`medkd.dicom.choose_volume.choose_images` where images of a study are missing.
    """
    store = empty_store(claim_study(source, workspace.root))
    request = IngestRequest(source, store, policy or IngestPolicy(), progress=workspace.progress, made_for=STUDY_STORE)
    ingested = ingest(request)
    chosen = choose_images(read_manifest(store), ingested, series, lambda: seen_series(open_registry(workspace), model_uri))
    return ingested, chosen, store
