"""Beside a registered student: what feedback it followed, and how it was judged. The walk of its lineage shows both."""

from __future__ import annotations

from pathlib import Path

from data_contracts import FeedbackDirectives, ModelRef, Redistillation, Registered, Role, load_record
from medkd.registry.interface import Registry
from medkd.registry.publish import open_registry
from medkd.storage.workspace import Workspace

#: Folder of a run, and of a version, with what feedback said and did.
FOLDER = "feedback"
SHORT = 12


def write_feedback(workspace: Workspace, directives: FeedbackDirectives, outcome: Redistillation) -> tuple[Path, Path]:
    """Write directives and outcome below ``feedback/`` of a run and return their files."""
    folder = workspace.root / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    return (
        directives.write(folder / f"directives-{directives.digest()[:SHORT]}.json"),
        outcome.write(folder / f"redistillation-{outcome.digest()[:SHORT]}.json"),
    )


def followed_logs(workspace: Workspace) -> frozenset[str]:
    """Return the last entries of the logs that students of a run were distilled again with, whatever the gate said of them."""
    kept = sorted((workspace.root / FOLDER).glob("directives-*.json"))
    return frozenset(load_record(path, FeedbackDirectives).log_head for path in kept)


def attach_feedback(
    workspace: Workspace, registered: Registered, directives: FeedbackDirectives, outcome: Redistillation, registry: Registry | None = None
) -> tuple[ModelRef, ...]:
    """Put directives and outcome beside the students that feedback taught; return these.

    Args:
        workspace: whose registry holds them.
        registered: versions of the run; only those of the outcome's ``after`` followed the feedback.
        directives: that they followed.
        outcome: how they were judged.
        registry: another one.
    """
    target = registry or open_registry(workspace)
    taught = outcome.students["after"].weights_digests
    models = tuple(one for one in registered.models if one.role is Role.STUDENT and one.weights_digest in taught)
    for model in models:
        tags = {"medkd.feedback": directives.digest(), "medkd.feedback_log": directives.log_head}
        target.attach(model, {FOLDER: write_feedback(workspace, directives, outcome)}, tags)
    return models
