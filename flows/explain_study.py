"""One study and one registered model: every lesion explained, tested, kept as an artefact beside the model version; and made again."""

from __future__ import annotations

from pathlib import Path

from data_contracts import ExplanationRequest, IngestPolicy
from flows.engine import orchestrated, run_all
from flows.run_study import choose_volume
from medkd.dicom.ingest import IngestRequest, ingest_with_site_secret
from medkd.dicom.memory import read_manifest
from medkd.dicom.study_folder import claim_study, empty_store
from medkd.explanation.of_registry import explain_registered, replay_registered
from medkd.storage.output import STUDY_STORE
from medkd.storage.workspace import Workspace


@orchestrated
def explain_study(
    workspace: Workspace, source: Path, model_uri: str, request: ExplanationRequest, *, series: str | None, policy: IngestPolicy | None
) -> Path:
    """Ingest a study below the workspace, explain what a registered model finds in one of its volumes, and return the artefact's folder."""
    store = empty_store(claim_study(source, workspace.root))
    loaded = IngestRequest(source, store, policy or IngestPolicy(), progress=workspace.progress, made_for=STUDY_STORE)
    ingested = run_all(ingest_with_site_secret, [(loaded,)], title="ingest")[0]
    volume = choose_volume(read_manifest(store), ingested, series)
    return run_all(explain_registered, [(workspace, volume, model_uri, request)], title="explain")[0]


@orchestrated
def replay(workspace: Workspace, folder: Path, wanted: str) -> tuple[Path, bool, dict[str, float]]:
    """Make a kept explanation again and return its folder, whether every bit is the same, and which maps are not."""
    return run_all(replay_registered, [(workspace, folder, wanted)], title="replay")[0]
