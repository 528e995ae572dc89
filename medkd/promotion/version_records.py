"""Everything that a version brings to its promotion: the records of its package and what was explained beside it."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from data_contracts import (
    AuditReport,
    Calibration,
    CaseResults,
    Checkpoint,
    CompressionReport,
    ContractError,
    ExplanationBundle,
    LossStatement,
    ModelRef,
    TrainingManifest,
    VersionedRecord,
    load_record,
    read_record,
)
from medkd.registry.interface import TRAINING_MANIFEST, Registry, serving_network
from medkd.registry.publish import CALIBRATION
from medkd.registry.version_files import AUDIT, AUDIT_RECORD, CASE_RESULTS, LOSS_STATEMENT

_Kind = TypeVar("_Kind", bound=VersionedRecord)
#: Tag with the digest of the explanations beside a version.
EXPLANATIONS = "medkd.explanations"
#: Tags of a version that was made of another: that one (``NAME/VERSION@DIGEST``), as which of the forms of its compression, and the digest of
#: the record of that, which lies beside the version.
ORIGIN, FORM, COMPRESSION = "medkd.origin", "medkd.compression_form", "medkd.compression"
COMPRESSION_RECORD = "compression/compression.json"


@dataclass(frozen=True)
class VersionRecords:
    """A registered version, every byte of its package verified.

    Attributes:
        model: the version.
        checkpoint: of its network.
        training: whose data it was trained on; None of a version that does not say.
        results: per-case results of its tests; None where none were kept.
        calibration: of its probabilities; None of a version without one.
        losses: what it lost against its teacher; None of a version without a loss statement.
        bundle: explanations of its test cases; None where none lie beside it, or none that can be trusted.
        bundle_digest: that its tag names; empty without one.
        network: ONNX file of its serving form; None without one.
        origin: version that it was made of by compression, ``NAME/VERSION@DIGEST``; empty of one that was not.
        form: as which of the forms of that compression it was measured.
        compression: what was measured of it; None where nothing lies beside it.
        audit: newest shortcut audit; None where none lies beside it, or none that is whole.
        audit_digest: that its tag names; empty without one.
        problems: what does not belong together, a clause each.
    """

    model: ModelRef
    checkpoint: Checkpoint
    training: TrainingManifest | None = None
    results: CaseResults | None = None
    calibration: Calibration | None = None
    losses: LossStatement | None = None
    bundle: ExplanationBundle | None = None
    bundle_digest: str = ""
    network: Path | None = None
    origin: str = ""
    form: str = ""
    compression: CompressionReport | None = None
    audit: AuditReport | None = None
    audit_digest: str = ""
    problems: tuple[str, ...] = ()


def read_version(registry: Registry, uri: str) -> VersionRecords:
    """Fetch a version, verify it and read its records.

    Raises:
        RegistryError: ``VERSION_UNKNOWN``, ``VERSION_ALTERED``.
    """
    model, folder = registry.fetch(uri)
    checkpoint = load_record(folder / "checkpoint.json", Checkpoint)
    tags = registry.tags(model)
    digest = tags.get(EXPLANATIONS, "")
    bundle, problem = _bundle(registry, model, digest)
    compression, altered = _compression(registry, model, tags.get(COMPRESSION, "")) if ORIGIN in tags else (None, "")
    audit, spoiled = _audit(registry, model, tags.get(AUDIT, ""))
    results, calibration = _optional(folder / CASE_RESULTS, CaseResults), _optional(folder / CALIBRATION, Calibration)
    losses = _optional(folder / LOSS_STATEMENT, LossStatement)
    weights = {"checkpoint.json": checkpoint.weights_digest}
    weights |= {} if results is None else {CASE_RESULTS: results.weights_digest}
    weights |= {} if calibration is None else {CALIBRATION: calibration.weights_digest}
    weights |= {} if losses is None else {LOSS_STATEMENT: losses.weights_digest}
    weights |= {} if bundle is None else {"the explanations": bundle.weights_digest}
    foreign = [f"{name} is of the weights {own[:12]}" for name, own in weights.items() if own != model.weights_digest]
    return VersionRecords(
        model=model,
        checkpoint=checkpoint,
        training=_optional(folder / TRAINING_MANIFEST, TrainingManifest),
        results=results,
        calibration=calibration,
        losses=losses,
        bundle=bundle,
        bundle_digest=digest,
        network=serving_network(folder),
        origin=tags.get(ORIGIN, ""),
        form=tags.get(FORM, ""),
        compression=compression,
        audit=audit,
        audit_digest=tags.get(AUDIT, ""),
        problems=(*foreign, *(one for one in (problem, altered, spoiled) if one)),
    )


def _compression(registry: Registry, model: ModelRef, digest: str) -> tuple[CompressionReport | None, str]:
    """Return what was measured of a compressed version, and what is wrong with it: the record lies beside the package, its digest is a tag."""
    path = registry.fetch_attached(model.uri, COMPRESSION_RECORD) if digest else None
    if path is None:
        return None, f"the record of its compression {digest[:12]} is gone" if digest else ""
    try:
        record = load_record(path, CompressionReport)
    except ContractError as error:
        return None, f"the record of its compression cannot be read ({' '.join(str(error).split())[:80]})"
    found = record.digest()
    return (
        (record, "") if found == digest else (None, f"the record of its compression is {found[:12]}, the version's tag names {digest[:12]}")
    )


def _audit(registry: Registry, model: ModelRef, digest: str) -> tuple[AuditReport | None, str]:
    """Return the audit whose digest is a tag of the version, and what is wrong with it: the record lies beside the package."""
    path = registry.fetch_attached(model.uri, AUDIT_RECORD) if digest else None
    if path is None:
        return None, f"the record of its shortcut audit {digest[:12]} is gone" if digest else ""
    try:
        record = load_record(path, AuditReport)
    except ContractError as error:
        return None, f"the record of its shortcut audit cannot be read ({' '.join(str(error).split())[:80]})"
    found = record.digest()
    return (record, "") if found == digest else (None, f"its shortcut audit is {found[:12]}, the version's tag names {digest[:12]}")


def _optional(path: Path, kind: type[_Kind]) -> _Kind | None:
    return load_record(path, kind) if path.is_file() else None


def _bundle(registry: Registry, model: ModelRef, digest: str) -> tuple[ExplanationBundle | None, str]:
    """Return the explanations that a version's tag names, and what is wrong with them: they lie beside the package and not in its manifest."""
    if not digest:
        return None, ""
    archive = registry.fetch_attached(model.uri, f"explanations/{model.name}-{model.version}.zip")
    if archive is None:
        return None, f"the explanations {digest[:12]} are gone"
    try:
        with zipfile.ZipFile(archive) as packed:
            bundle = read_record(packed.read("index.json"), ExplanationBundle)
    except (zipfile.BadZipFile, KeyError, OSError, ContractError) as error:
        return None, f"the explanations cannot be read ({' '.join(str(error).split())[:80]})"
    found = bundle.digest()
    return (bundle, "") if found == digest else (None, f"the explanations are {found[:12]}, the version's tag names {digest[:12]}")
