"""Profiles of the studies that a site's worklist has: from what was explained then, made once and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from data_contracts import ExplanationError, ProfiledStudy
from medkd.dicom.ingest_cache import read_manifest
from medkd.drift.study_profile import study_profile
from medkd.explanation.artefact import RECORD, ask_registry, read_explanation
from medkd.explanation.of_registry import EXPLANATIONS, read_volume
from medkd.inference.further_images import read_further
from medkd.registry.publish import open_registry
from medkd.storage.manifest import MANIFEST
from medkd.storage.sealed import load_sealed, write_sealed
from medkd.storage.store import Store
from medkd.storage.workspace import Workspace


def kept_profile(folder: Path, series_key: str, weights_digest: str) -> ProfiledStudy | None:
    """Return the profile of a series that was made before for these weights; None where there is none.

    Raises:
        StoreError: ``PROFILE_ALTERED``.
    """
    path = folder / f"{series_key}.json"
    if not path.is_file():
        return None
    found = load_sealed(path, ProfiledStudy, code="PROFILE_ALTERED", mend="remove it: it is made again")
    return found if found.weights_digest == weights_digest else None


def profile_explained(
    workspace: Workspace, store: Path, uri: str, studies: Sequence[tuple[str, Path]], out: Path
) -> tuple[ProfiledStudy, ...]:
    """Make the profiles of studies that were explained, and keep them.

    Args:
        workspace: its tracking URI is the registry.
        store: folder of the ingested studies.
        uri: of the model version that was asked, ``models:/NAME/VERSION``.
        studies: pseudonym of each series, and the folder of its report.
        out: where profiles are kept.

    Raises:
        ExplanationError: ``EXPLANATION_UNKNOWN`` where a report has no explanation, or the store not that series any more.
    """
    loaded, manifest = ask_registry(open_registry(workspace), uri), read_manifest(store)
    volumes = {one.series_key: one for one in manifest.volumes}
    series = {one.series_key: one for one in manifest.series}
    done = []
    for key, folder in studies:
        if key not in volumes:
            raise ExplanationError(
                "EXPLANATION_UNKNOWN", f"expected series {key} of the worklist in the store, it is not there: ingest it again"
            )
        explained = read_explanation(_explanation_of(folder, uri))
        seen, store_of_study = volumes[key], Store(store)
        images = replace(
            read_volume(store_of_study, seen), further=read_further(seen, explained[0].further, store_of_study, loaded.checkpoint.task)
        )
        profile = study_profile(loaded, images, explained, series.get(key))
        made = ProfiledStudy(
            series_key=key,
            patient_key=volumes[key].patient_key,
            model=uri,
            weights_digest=loaded.model.weights_digest,
            profile=profile,
        )
        write_sealed(made, out / f"{key}.json")
        done.append(made)
    return tuple(done)


def _explanation_of(folder: Path, uri: str) -> Path:
    """Return the newest explanation of a report's folder."""
    kept = [path.parent for path in (folder / EXPLANATIONS).glob(f"*/{MANIFEST}") if (path.parent / RECORD).is_file()]
    if not kept:
        raise ExplanationError(
            "EXPLANATION_UNKNOWN", f"expected an explanation by {uri} in {folder}, there is none: let run-champion report the study again"
        )
    return max(kept, key=lambda place: (place / RECORD).stat().st_mtime)
