"""A run's folder judged as a whole, and cleaned up: what would go and what stays, each with its reason, before anything is removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from data_contracts import OutputError, RetentionPolicy
from medkd.lineage.judge_files import FileRules, judge_files
from medkd.lineage.judge_versions import judge_versions, reasons_to_keep
from medkd.lineage.judgement import Judgement, current_time
from medkd.registry.mlflow_registry import MlflowRegistry

_DAY_MS = 86_400_000


def judge_run(run: Path, registry: MlflowRegistry, policy: RetentionPolicy) -> tuple[Judgement, ...]:
    """Return what is decided of everything in a run's folder; nothing is changed.

    Args:
        run: folder of the run.
        registry: of the run.
        policy: what is kept beside what is needed.

    Raises:
        RegistryError: ``REGISTRY_NOT_LOCAL`` or ``REGISTRY_READ_ONLY``.
    """
    now, housekeeping = current_time(), registry.housekeeping()
    contents = [registry.contents(model.uri) for name in registry.names() for model in registry.versions(name)]
    reasons = reasons_to_keep(registry, contents, policy, now)
    judged = list(judge_versions(contents, reasons, housekeeping, now))
    for leftover in housekeeping.leftovers(int(now * 1000) - policy.keep_days * _DAY_MS):
        why = "no version refers to it" if leftover.kind != "artefact folder" else "MLflow knows nothing of it"
        judged.append(Judgement(leftover.kind, leftover.name, why, leftover.bytes, partial(housekeeping.remove_leftover, leftover)))
    kept = tuple(one for one in contents if one.model.uri in reasons)
    return (*judged, *judge_files(run, FileRules(policy, kept, now)))


def clean_run(judged: Sequence[Judgement]) -> tuple[Judgement, ...]:
    """Remove what was judged to go and return it. Killed half-way, the next time finishes what is left.

    Raises:
        OutputError: ``OUT_UNWRITABLE`` naming what cannot be removed.
    """
    done = []
    for one in judged:
        if one.remove is None:
            continue
        try:
            one.remove()
        except OSError as error:
            raise OutputError(
                "OUT_UNWRITABLE", f"expected to remove {one.kind} {one.name}, it cannot be ({error.strerror}); look at who may write there"
            ) from error
        done.append(replace(one, remove=None))
    return tuple(done)
