"""Opening a registry, and reading and adding files of its versions without their networks: no torch."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

from data_contracts import Calibration, ModelCard, SeriesRule, load_record
from data_contracts.private import open_private
from medkd.inference.series_caveats import require_rules, rules_of
from medkd.registry.interface import Registry
from medkd.storage.workspace import Workspace

#: File of every version with what a person should know before using it.
CARD = "card.json"
#: Files of a version that was calibrated: how its logits become probabilities, and the reliability diagram.
CALIBRATION, RELIABILITY = "calibration.json", "reliability.png"
#: File of a version with what it did on each case of its tests.
CASE_RESULTS = "case_results.json"
#: Files of a student's version that say what it lost against its teacher.
LOSS_STATEMENT, LOSS_PICTURE = "loss_statement.json", "loss_statement.png"

#: Tag of a version that was audited for shortcuts (digest of the newest audit), and where its record lies beside the version.
AUDIT, AUDIT_RECORD = "medkd.audit", "audit/audit.json"


def open_registry(workspace: Workspace) -> Registry:
    """Return the MLflow registry of a workspace (the import takes seconds, so it is made here and not before)."""
    from medkd.registry.mlflow_registry import MlflowRegistry

    return MlflowRegistry(workspace.tracking_uri, artifacts=workspace.root / "mlartifacts")


def load_calibration(registry: Registry, uri: str) -> Calibration | None:
    """Return the calibration of a registered version without its network; None of one that has none."""
    folder = registry.fetch(uri)[1]
    return load_record(folder / CALIBRATION, Calibration) if (folder / CALIBRATION).is_file() else None


def seen_series(registry: Registry, uri: str) -> dict[str, SeriesRule]:
    """Return which volumes of a study a registered version sees, by the names of its images and in their order, as its card says.

    Nothing where the card says nothing of the one image that it sees.

    Raises:
        DataError: ``TASK_INPUTS`` for a version that sees several images whose card does not say which volume is which.
    """
    model, folder = registry.fetch(uri)
    card = load_record(folder / CARD, ModelCard) if (folder / CARD).is_file() else None
    if card is None:
        return {}
    return require_rules(card.task.image_names, rules_of(card), model.uri)


def pack_archive(archive: Path, files: Mapping[str, bytes]) -> None:
    """Write a zip whose bytes depend on its contents alone (fixed time stamps)."""
    with open_private(archive) as stream, zipfile.ZipFile(stream, "w", compression=zipfile.ZIP_STORED) as packed:
        for name, payload in files.items():
            packed.writestr(zipfile.ZipInfo(name, date_time=(2020, 1, 1, 0, 0, 0)), payload)
