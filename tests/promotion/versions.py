"""Registered versions made by hand: a package of records with figures that a test chooses."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from data_contracts import (
    Calibration,
    CaseResults,
    CaseUnits,
    Checkpoint,
    ConformalBound,
    Estimate,
    ExplanationBundle,
    ModelRef,
    NetworkSpec,
    PromotionCheck,
    PromotionPolicy,
    Ref,
    Role,
    SanityCheck,
    SanityReport,
    Task,
    TrainingManifest,
    load_record,
)
from medkd.evaluation.loss_statement import compare_with_teacher
from medkd.promotion.checks import PromotionSetting
from medkd.promotion.version_records import VersionRecords, read_version
from medkd.registry.interface import Publication, Registry
from medkd.registry.publish import pack_archive
from medkd.registry.version_files import CASE_RESULTS, LOSS_STATEMENT
from medkd.storage.manifest import pack_model

PATIENTS = 20
ROWS = 2 * PATIENTS
TASK = Task(kind="segmentation", classes=("background", "lesion"), image_size=(16, 16))
COHORT = "c" * 64


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def units(patients: int = PATIENTS, labels: Sequence[int | None] | None = None, **attributes: Sequence[str]) -> CaseUnits:
    """Return two cases a patient, of sizes 10, 20, …"""
    rows = 2 * patients
    return CaseUnits(
        case_keys=tuple(f"case{row}" for row in range(rows)),
        patient_keys=tuple(f"tested{row // 2}" for row in range(rows)),
        labels=tuple(labels) if labels is not None else (1,) * rows,
        lesion_voxels=tuple(10 * (row + 1) for row in range(rows)),
        attributes={name: tuple(values) for name, values in attributes.items()},
    )


def bundle(weights: str, *, faithful: float = 0.2, random: float = 0.5, similarity: float = 0.1, trusted: bool = True) -> ExplanationBundle:
    """Return explanations by one explainer, measured by ``deletion`` (less is better) beside the baselines."""
    figures = {"cam/deletion": Estimate(mean=faithful, low=faithful - 0.05, high=faithful + 0.05, n=20)}
    figures |= {f"baseline_{name}/deletion": Estimate(mean=random, low=random, high=random, n=20) for name in ("random", "edges", "centre")}
    check = SanityCheck(name="randomisation", value=similarity, limit=0.5, passed=similarity <= 0.5)
    report = SanityReport(explainer="cam", checks=(check,), trusted=trusted and similarity <= 0.5)
    return ExplanationBundle(
        subject="r/kd-0", weights_digest=weights, teacher_digest="b" * 64, explanations=(), figures=figures, sanity_reports=(report,)
    )


def calibration(weights: str, ece: float) -> Calibration:
    return Calibration(
        weights_digest=weights, cohort_digest="d" * 64, subset="student_validation", method="temperature", scales=(1.0, 1.0), biases=(0.0, 0.0),
        patients=20, cases=40, samples=40, ece_before=Estimate(mean=0.3, low=0.2, high=0.4, n=20),
        ece_after=Estimate(mean=ece, low=ece - 0.01, high=ece + 0.1, n=20), bound=ConformalBound(alpha=0.1, unit="lesion", patients=20, units=20),
    )  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What a version is made of; the defaults pass the default policy."""

    name: str = "r-kd"
    mark: str = "first"
    dice: float | Sequence[float | None] = 0.8
    evidence: float | Sequence[float | None] = 0.6
    values: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    units: CaseUnits = field(default_factory=units)
    cohort: str = COHORT
    trained_on: tuple[str, ...] = ("trained0", "trained1")
    teacher: ModelRef | None = None
    role: Role = Role.STUDENT
    ece: float | None = None
    explained: bool = True
    similarity: float = 0.1
    results: bool = True
    losses: bool = True


def spread(value: float | Sequence[float | None], rows: int) -> tuple[float | None, ...]:
    """Return a value per case; a number is spread a little, so that intervals have a width."""
    if not isinstance(value, float | int):
        return tuple(value)
    return tuple(value + 0.02 * ((row % 5) - 2) for row in range(rows))


def loss_files(registry: Registry, teacher: ModelRef | None, student: CaseResults) -> dict[str, bytes]:
    """Return the loss statement of a student against its teacher, where that kept its results."""
    if teacher is None or teacher not in registry.versions(teacher.name):
        return {}
    path = registry.fetch(teacher.uri)[1] / CASE_RESULTS
    if not path.is_file():
        return {}
    return {LOSS_STATEMENT: compare_with_teacher(load_record(path, CaseResults), student).canonical_json()}


def publish(registry: Registry, folder: Path, plan: Plan) -> ModelRef:
    """Register a version of a plan, and put its explanations beside it."""
    weights = sha(f"{plan.name} {plan.mark}")
    teacher = plan.teacher
    checkpoint = Checkpoint(
        role=plan.role, arm="kd", seed=0, network=NetworkSpec(builder="unet"), task=TASK, weights=Ref(store="run", key="w", sha256=weights),
        weights_digest=weights, cohort_digest="c", recipe_digest="0" * 64, parameters=1, epochs=1,
        teacher_digest=None if teacher is None else teacher.weights_digest,
    )  # fmt: skip
    rows = len(plan.units.case_keys)
    values = {"test/dice": spread(plan.dice, rows), "test/relevance_mass_accuracy": spread(plan.evidence, rows)}
    values |= {"test/agreement": spread(0.7, rows)} | {name: tuple(own) for name, own in plan.values.items()}
    results = CaseResults(
        subject="r/kd", seed=0, weights_digest=weights, cohorts={"test": plan.cohort}, units={"test": plan.units}, values=values
    )
    files = {
        "weights.safetensors": plan.mark.encode(),
        "checkpoint.json": checkpoint.canonical_json(),
        "training_manifest.json": TrainingManifest(cohorts=(), patients=plan.trained_on).canonical_json(),
    }
    files |= {"case_results.json": results.canonical_json()} if plan.results else {}
    files |= loss_files(registry, teacher, results) if plan.losses else {}
    files |= {} if plan.ece is None else {"calibration.json": calibration(weights, plan.ece).canonical_json()}
    place = folder / f"{plan.name}-{plan.mark}"
    pack_model(place, files)
    tags = {} if teacher is None else {"medkd.teacher": str(teacher.lineage)}
    model = registry.register(Publication(name=plan.name, folder=place, role=plan.role, weights_digest=weights, tags=tags))
    if plan.explained:
        explained = bundle(weights, similarity=plan.similarity)
        archive = folder / "bundles" / f"{model.name}-{model.version}.zip"
        pack_archive(archive, {"index.json": explained.canonical_json()})
        registry.attach(model, {"explanations": archive}, {"medkd.explanations": explained.digest()})
    return model


def setting_of(
    registry: Registry, own: ModelRef, other: ModelRef | None = None, policy: PromotionPolicy | None = None, *, role: str = "champion"
) -> PromotionSetting:
    """Return what the checks look at, of two registered versions."""
    reference: VersionRecords | None = None if other is None else read_version(registry, other.uri)
    absent = "there is no champion" if other is None else ""
    wanted = policy or PromotionPolicy(name="test")
    return PromotionSetting(wanted, read_version(registry, own.uri), reference, role if other else "none", {}, absent)


def by_name(checks: Iterable[PromotionCheck]) -> dict[str, PromotionCheck]:
    return {check.name: check for check in checks}


def policy(**changes: object) -> PromotionPolicy:
    return PromotionPolicy(name="test", **changes)
