"""The stage that makes cohorts of pictures that no patient has: synthesised from a teacher, or the noise that those began as.

Their records say so in ``origin``, their patients' keys begin with the same word, and their digests are in the checkpoint, the card and the lineage of
every student that learned from them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from data_contracts import (
    Case,
    Checkpoint,
    Cohort,
    CohortSet,
    CohortUse,
    MadeCases,
    Part,
    Ref,
    Split,
    Subset,
    SynthesisSpec,
)
from medkd.cohorts.split import certify
from medkd.models._load import load_network
from medkd.seeds import derive_seed
from medkd.storage.stage import stage
from medkd.storage.store import Store, write_bytes
from medkd.storage.workspace import Workspace
from medkd.synthesis.invert import invert, noise_levels, pictures_of


@stage
def synthesise_cohorts(workspace: Workspace, spec: SynthesisSpec, cohorts: CohortSet, teacher: Checkpoint) -> CohortSet:
    """Return the cohorts of a recipe with those of its made pictures, one a kind and seed (``synthesised/SEED``, ``noise/SEED``).

    No cohort is opened: what is made depends on the teacher's weights, the recipe's name and the seed alone.

    Args:
        workspace: where pictures go.
        spec: ``recipe.synthesis()``.
        cohorts: of the recipe.
        teacher: that pictures are made from.

    Raises:
        KnowledgeError: ``STATISTICS_MISSING`` of a teacher without running statistics.
        DataError: ``SYNTHESIS_NOT_FINITE``.
    """
    uses, certificates = dict(cohorts.uses), list(cohorts.certificates)
    for seed in spec.seeds:
        start = noise_levels(spec.config.cases, spec.task.image_size, derive_seed(spec.recipe, "synthesis noise", seed))
        targets = torch.arange(spec.config.cases) % len(spec.task.classes)
        for kind in spec.kinds:
            # Noise is of no class, whatever was drawn for it.
            labels: list[int | None] = [None if kind == "noise" else int(one) for one in targets]
            pictures = pictures_of(start) if kind == "noise" else _synthesised(workspace, spec, teacher, start, targets, seed)
            cohort = _stored(workspace.store, spec, pictures, labels, f"{kind}-{seed}", kind)
            certificates.append(certify(cohort[0]))
            uses[Subset.learnt_from(kind, seed)] = CohortUse(cohort=cohort[1], part=Part.TRAIN)
    return CohortSet(uses=uses, certificates=tuple(certificates))


def _synthesised(
    workspace: Workspace, spec: SynthesisSpec, teacher: Checkpoint, start: Sequence[Tensor], targets: Tensor, seed: int
) -> Tensor:
    return invert(load_network(workspace, teacher), start, targets, spec.config, seed=seed)[0]


def _stored(
    store: Store, spec: SynthesisSpec, pictures: Tensor, labels: Sequence[int | None], name: str, kind: MadeCases
) -> tuple[Cohort, Ref]:
    """Store pictures [n, 1, *space] in [-1, 1] as a cohort's, in the units of the task's window."""
    low, high = spec.task.window
    images = (low + (pictures[:, 0] + 1) / 2 * (high - low)).contiguous()
    ref = store.write_tensors(f"cohorts/{spec.recipe}/{name}.safetensors", {"images": images})
    cases = tuple(
        Case(
            case_key=f"{name}-{row}",
            patient_key=f"{name}-{row}",
            image=ref,
            label=labels[row],
            pixel_sha256=hashlib.sha256(images[row].numpy().tobytes()).hexdigest(),
            attributes={"cases": kind},
        )
        for row in range(len(images))
    )
    split = Split(parts={Part.TRAIN: tuple(case.case_key for case in cases)})
    cohort = Cohort(name=f"{spec.recipe}-{name}", origin=kind, classes=spec.task.classes, cases=cases, split=split)
    payload = cohort.canonical_json()
    key = f"cohorts/{spec.recipe}/{name}.json"
    write_bytes(store.root / key, payload)
    return cohort, Ref(store=store.name, key=key, sha256=hashlib.sha256(payload).hexdigest())
