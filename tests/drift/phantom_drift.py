"""Phantom studies whose scanner, marks or cases change by a known amount, and a small student that is really trained on them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from data_contracts import (
    Checkpoint,
    Geometry,
    ModelRef,
    NetworkSpec,
    Ref,
    Role,
    SanityReport,
    StudyProfile,
    Task,
    TaskKind,
    VolumeRef,
)
from medkd.drift.study_profile import study_profile
from medkd.explanation.defaults import DEFAULT_EXPLAINERS, first_findings
from medkd.explanation.explain_study import Decided, LoadedModel, StudyExplanationResult, StudyImages, explain_study
from medkd.models._build import build_network
from medkd.phantom.render import (
    SIZE_PX,
    SLICE_SPACING_MM,
    SLICES,
    SPACING_MM,
    PhantomCases,
    draw_cases,
    place_cues,
    render_slices,
    render_volume,
)
from medkd.seeds import derive_seed
from medkd.trace import forked_rng
from medkd.volumes.window import window_intensity

TASK = Task(kind=TaskKind.SEGMENTATION, classes=("background", "lesion"), image_size=(SIZE_PX, SIZE_PX), window=(-160.0, 240.0))
NETWORK = NetworkSpec(builder="unet", options={"channels": (8, 16, 32)})
GEOMETRY = Geometry(
    shape=(SLICES, SIZE_PX, SIZE_PX),
    affine_lps_mm=((0.0, 0.0, SPACING_MM, 0.0), (0.0, SPACING_MM, 0.0, 0.0), (SLICE_SPACING_MM, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)),
    spacing_mm=(SLICE_SPACING_MM, SPACING_MM, SPACING_MM),
    residual_mm=0.0,
)
#: What an examiner draws.
MARK: Literal["ring"] = "ring"
_DIGEST = "0" * 64


@dataclass(frozen=True)
class Shift:
    """What changes.

    Attributes:
        images: makes of HU [slice, row, column] and a strength those of the changed scanner.
        marked: where a mark appears in a share of the studies, the strength: ``beside`` the lesion or ``elsewhere``.
        contrast: whether the strength is the share by which the lesion's contrast is lower.
        smaller: whether it is the share of patients who are smaller, by a fifth.
    """

    images: Callable[[Tensor, float, torch.Generator], Tensor] | None = None
    marked: str = ""
    contrast: bool = False
    smaller: bool = False


def gain(hu: Tensor, strength: float, _: torch.Generator) -> Tensor:
    """Return values whose distance from air is larger by a share."""
    return (hu + 1000) * (1 + strength) - 1000


def bias_field(hu: Tensor, strength: float, _: torch.Generator) -> Tensor:
    """Return values that grow from the left to the right of the picture, by a share at its borders."""
    return (hu + 1000) * (1 + strength * torch.linspace(-1, 1, hu.shape[-1])) - 1000


def noise(hu: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Return values with white noise of a standard deviation in HU."""
    return hu + strength * torch.randn(hu.shape, generator=generator)


def blur(hu: Tensor, strength: float, _: torch.Generator) -> Tensor:
    """Return values blurred in the plane by a Gaussian of a standard deviation in pixels."""
    if not strength:
        return hu
    reach = torch.arange(-6, 7)
    kernel = torch.exp(-0.5 * (reach / strength) ** 2)
    kernel = kernel / kernel.sum()
    padded = functional.pad(hu[:, None], (6, 6, 6, 6), mode="replicate")
    return functional.conv2d(functional.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))[:, 0]


SHIFTS = {
    "gain": Shift(images=gain),
    "bias_field": Shift(images=bias_field),
    "noise": Shift(images=noise),
    "blur": Shift(images=blur),
    "shortcut": Shift(marked="beside"),
    "misplaced_mark": Shift(marked="elsewhere"),
    "case_mix": Shift(smaller=True),
    "faint_lesions": Shift(contrast=True),
}


@dataclass(frozen=True)
class Study:
    """One study with a label that no detector sees."""

    values: Tensor
    label: Tensor
    volume: VolumeRef


def make_studies(count: int, seed: int, *, shift: Shift | None = None, strength: float = 0.0) -> list[Study]:
    """Render studies; the same seed gives the same patients under every shift."""
    cases = draw_cases(count, seed)
    if shift is not None and shift.contrast:
        cases.lesion[:, 5] *= 1 - strength
    if shift is not None and shift.smaller:
        chosen = torch.rand(count, generator=torch.Generator().manual_seed(derive_seed("smaller", seed))) < strength
        cases.body[chosen] *= 0.8
    marked = place_cues(cases, MARK, "elsewhere" if shift is not None and shift.marked == "elsewhere" else "beside", seed)
    studies = []
    for place in range(count):
        generator = torch.Generator().manual_seed(derive_seed("drift-study", seed, place))
        with_mark = shift is not None and bool(shift.marked) and float(torch.rand((), generator=generator)) < strength
        values, label = rendered(cases, marked if with_mark else None, place)
        if shift is not None and shift.images is not None:
            values = shift.images(values, strength, generator)
        studies.append(Study(values, label, volume_of(f"{seed}-{place}")))
    return studies


def rendered(cases: PhantomCases, marked: PhantomCases | None, place: int) -> tuple[Tensor, Tensor]:
    """Return HU and lesion of one case; a mark is drawn where an examiner outlines: on the lesion's middle slice."""
    values, label = render_volume(cases, place)
    values = values.float()
    if marked is not None:
        rows = marked_slices(cases, place)
        values[rows] = render_slices(marked[[place] * len(rows)], rows)[0].float()
    return values, label


def marked_slices(cases: PhantomCases, place: int) -> Tensor:
    """Return the slices that a mark is drawn on."""
    return cases.key_slice[place : place + 1]


def volume_of(key: str) -> VolumeRef:
    """Return the record of a study."""
    ref = Ref(store="studies", key=f"{key}.safetensors", sha256=_DIGEST)
    return VolumeRef(array=ref, geometry=GEOMETRY, unit="HU", modality="CT", patient_key=key, study_key=key, series_key=key)


@functools.cache
def trained_student(*, marked_share: float = 0.42, cases: int = 240, epochs: int = 6, seed: int = 0) -> LoadedModel:
    """Train a student of 14 thousand parameters on slices of phantoms and return it.

    A share of the lesions is so faint that a network hardly sees them, and an examiner has drawn a ring round those: a shortcut worth learning.
    """
    drawn = draw_cases(cases, 70_000 + seed)
    faint = torch.arange(cases) < marked_share * cases
    drawn.lesion[faint, 5] *= 0.1
    marked = place_cues(drawn, MARK, "beside", seed)
    rows = [rendered(drawn, marked if faint[place] else None, place) for place in range(cases)]
    images = torch.cat([window_intensity(values, TASK.window)[:, None] for values, _ in rows])
    labels = torch.cat([label for _, label in rows]).long()
    # Of faint lesions the marked slices only: the others would be noise. As many slices without a lesion as with one.
    seen = torch.ones(cases, SLICES, dtype=torch.bool)
    for place in faint.nonzero()[:, 0].tolist():
        seen[place] = torch.isin(torch.arange(SLICES), marked_slices(drawn, place))
    with_lesion, seen = labels.flatten(1).any(1), seen.flatten()
    network = build_network(NETWORK, seed=seed).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.005)
    with forked_rng(seed):
        empty = (~with_lesion & seen).nonzero()[:, 0]
        chosen = torch.cat([(with_lesion & seen).nonzero()[:, 0], empty[torch.randperm(len(empty))[: int((with_lesion & seen).sum())]]])
        for epoch in range(epochs):
            for group in optimizer.param_groups:
                group["lr"] = 0.005 * (1 - epoch / epochs)
            for rows_of_batch in chosen[torch.randperm(len(chosen))].split(16):
                loss = functional.cross_entropy(network(images[rows_of_batch]), labels[rows_of_batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return as_loaded(network.eval(), seed=seed, epochs=epochs)


def as_loaded(network: nn.Module, *, seed: int = 0, epochs: int = 1) -> LoadedModel:
    """Return a network as one that a registry gave."""
    model = ModelRef(name="phantom-student", version=1, manifest_digest=_DIGEST, role=Role.STUDENT, weights_digest=_DIGEST)
    checkpoint = Checkpoint(
        role=Role.STUDENT, arm="alone", seed=seed, network=NETWORK, task=TASK, weights=Ref(store="s", key="w", sha256=_DIGEST),
        weights_digest=_DIGEST, cohort_digest=_DIGEST, recipe_digest=_DIGEST, parameters=sum(p.numel() for p in network.parameters()), epochs=epochs,
    )  # fmt: skip
    return LoadedModel(model, checkpoint, network)


#: That explainers were tested on the model's cohort, as in a panel: they are not tested again on every study.
TESTED = Decided(
    sanity_reports={
        one.name: SanityReport(explainer=one.name, checks=(), trusted=True) for one in DEFAULT_EXPLAINERS[TaskKind.SEGMENTATION]
    }
)


def explained_by(loaded: LoadedModel, study: Study) -> StudyExplanationResult:
    """Explain a study by the default explainers, as run-champion does."""
    request = first_findings(*DEFAULT_EXPLAINERS[TaskKind.SEGMENTATION])
    return explain_study(StudyImages(study.values, study.volume), loaded, request, decided=TESTED)


def profile_of(loaded: LoadedModel, study: Study) -> tuple[StudyProfile, float]:
    """Return the profile of a study, and its Dice."""
    made = explained_by(loaded, study)
    profile = study_profile(loaded, StudyImages(study.values, study.volume), (made.record, made.arrays))
    return profile, dice_of(made.arrays["segmentation/student"], study.label)


def dice_of(found: Tensor, label: Tensor) -> float:
    """Return Dice counted by hand."""
    both = float(((found > 0) & (label > 0)).sum())
    return 2 * both / float((found > 0).sum() + (label > 0).sum())
