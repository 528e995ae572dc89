"""A small registry with a lineage: a teacher, its knowledge, a student, and what stands beside the student."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from data_contracts import ModelRef, Role
from medkd.registry.interface import KNOWLEDGE_TAG, Publication, Registry
from medkd.registry.mlflow_registry import MlflowRegistry
from medkd.storage.manifest import pack_model


class Lineaged(NamedTuple):
    """The registry and its versions."""

    registry: Registry
    folder: Path
    teacher: ModelRef
    knowledge: ModelRef
    student: ModelRef


def open_in(folder: Path, database: Path) -> MlflowRegistry:
    """Return the registry of a run's folder, its database a copy of an empty one."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "mlflow.db").exists():
        shutil.copy(database, folder / "mlflow.db")
    return MlflowRegistry(f"sqlite:///{folder / 'mlflow.db'}", artifacts=folder / "mlartifacts")


def publish(
    registry: Registry,
    folder: Path,
    name: str,
    *,
    role: Role = Role.STUDENT,
    teacher: ModelRef | None = None,
    content: str = "",
    knowledge: ModelRef | None = None,
) -> ModelRef:
    """Register a version of a few bytes, without a serving form."""
    package = folder / "packages" / f"{name}-{content}"
    pack_model(package, {"card.json": f"{name} {content}".encode(), "weights.safetensors": b"weights of " + name.encode()})
    tags = {"medkd.seed": "0", "medkd.use": "research only"} | ({} if teacher is None else {"medkd.teacher": str(teacher.lineage)})
    tags |= {} if knowledge is None else {KNOWLEDGE_TAG: str(knowledge.lineage)}
    digest = (f"{sum(map(ord, name + content)):x}" * 64)[:64]
    history = ({"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 0.1 + 0.2})
    return registry.register(
        Publication(name, package, role, digest, 0, tags, {"recipe": "r"}, {"auc": 0.75}, history, description=f"**{name}**")
    )


def register_lineage(registry: Registry, folder: Path) -> Lineaged:
    """Register teacher, knowledge and student, an explanation and a report beside the student."""
    teacher = publish(registry, folder, "r-teacher", role=Role.TEACHER)
    knowledge = publish(registry, folder, "r-knowledge", role=Role.KNOWLEDGE, teacher=teacher)
    student = publish(registry, folder, "r-kd", teacher=teacher, knowledge=knowledge)
    beside = folder / "beside"
    beside.mkdir(exist_ok=True)
    with zipfile.ZipFile(beside / "explanation-0123456789ab.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo("explanation.json"), "{}")
    (beside / "lesion-1-cam.png").write_bytes(b"a picture")
    for name in ("report.json", "report.html"):
        (beside / name).write_text(name)
        registry.attach(student, {"reports/fedcba987654": beside / name}, {})
    registry.attach(
        student, {"explanations": beside / "explanation-0123456789ab.zip"}, {"medkd.explanation.0123456789ab": "1 findings, 2 maps"}
    )
    registry.attach(student, {"previews/0123456789ab": beside / "lesion-1-cam.png"}, {"medkd.failed_explainers": "none"})
    registry.attach(student, {}, {"medkd.report.fedcba987654": "explanation 0123456789ab"})
    return Lineaged(registry, folder, teacher, knowledge, student)


def rewrite(path: Path, change: Callable[[str, bytes], bytes | None], *, added: dict[str, bytes] | None = None) -> Path:
    """Write a zip anew with changed (or left out) and added members."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, payload in {**members, **(added or {})}.items():
            changed = change(name, payload)
            if changed is not None:
                archive.writestr(zipfile.ZipInfo(name), changed)
    return path
