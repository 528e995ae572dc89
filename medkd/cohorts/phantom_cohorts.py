"""The statistical cohorts of the phantom, rendered directly as tensors (origin ``phantom-direct``)."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Literal, TypedDict

import torch
from torch import Tensor

from data_contracts import Case, Cohort, CohortSet, CohortSpec, CohortUse, Part, PhantomData, Ref, Split, Subset, TaskKind
from medkd.cohorts.case_inputs import channel_key, scale_of, standardised
from medkd.cohorts.split import certify
from medkd.phantom.clinical import clinical_rows
from medkd.phantom.cysts import mask_classes, with_cysts
from medkd.phantom.lesion_counts import with_lesion_counts
from medkd.phantom.render import (
    CLASSES,
    SLICE_SPACING_MM,
    SPACING_MM,
    PhantomCases,
    cue_regions,
    draw_cases,
    place_cues,
    render_key_slices,
    render_volume,
)
from medkd.phantom.sequences import SEQUENCES, sequence
from medkd.storage.store import Store, write_bytes

ORIGIN = "phantom-direct"


class _Common(TypedDict):
    """What all cohorts of a recipe share."""

    difficulty: float


def prepare_phantom_cohorts(spec: CohortSpec, data: PhantomData, store: Store) -> CohortSet:
    """Render and store every cohort of a recipe: teacher, one student cohort per seed, and the shared test cohorts.

    Test cohorts are shared by all arms and seeds, so that arms compare case by case; student cohorts are each seed's own, those of an
    experiment's search too.
    """
    writer = _Writer(store, spec)
    uses: dict[str, CohortUse] = {}
    common: _Common = {"difficulty": data.difficulty}
    base = data.cohort_seed
    train = draw_cases(data.teacher, base, marker_rates=data.teacher_marker_rates, contrast=data.teacher_contrast, **common)
    held = draw_cases(data.teacher_validation, base + 1, marker_rates=data.teacher_marker_rates, **common)
    parts = {
        Part.TRAIN: (_cued(train, data, "balanced", base), base),
        Part.VALIDATION: (_cued(held, data, "balanced", base + 1), base + 1),
    }
    teacher = writer.write("teacher", parts, wrong={Part.TRAIN: data.teacher_wrong_labels})
    uses[Subset.TEACHER_TRAIN] = CohortUse(cohort=teacher, part=Part.TRAIN)
    uses[Subset.TEACHER_VALIDATION] = CohortUse(cohort=teacher, part=Part.VALIDATION)
    for seed in spec.seeds:
        own = base + 100 + 2 * seed
        cases = draw_cases(data.student, own, marker_rates=data.student_marker_rates, contrast=data.student_contrast, **common)
        ref = writer.write(f"student-{seed}", {Part.TRAIN: (_cued(cases, data, "beside", own), own)}, mask_share=data.mask_share)
        uses[Subset.STUDENT_TRAIN.of(seed)] = CohortUse(cohort=ref, part=Part.TRAIN)
        if data.unlabelled:
            extra = draw_cases(data.unlabelled, own + 1, marker_rates=data.student_marker_rates, **common)
            ref = writer.write(f"unlabelled-{seed}", {Part.TRAIN: (extra, own + 1)}, labelled=False)
            uses[Subset.UNLABELLED.of(seed)] = CohortUse(cohort=ref, part=Part.TRAIN)
    for subset, cases, seed in _tests(data, spec.task.kind):
        uses[subset] = CohortUse(cohort=writer.write(subset, {Part.TEST: (cases, seed)}), part=Part.TEST)
    if data.student_validation:
        seed = base + 6
        cases = draw_cases(data.student_validation, seed, marker_rates=data.student_marker_rates, contrast=data.student_contrast, **common)
        ref = writer.write(Subset.STUDENT_VALIDATION, {Part.VALIDATION: (_cued(cases, data, "beside", seed), seed)})
        uses[Subset.STUDENT_VALIDATION] = CohortUse(cohort=ref, part=Part.VALIDATION)
    return CohortSet(uses=uses, certificates=tuple(certify(cohort) for cohort in writer.written))


def _cued(cases: PhantomCases, data: PhantomData, where: Literal["beside", "elsewhere", "balanced"], seed: int) -> PhantomCases:
    return cases if data.cue == "none" else place_cues(cases, data.cue, where, seed)


def _tests(data: PhantomData, kind: TaskKind) -> list[tuple[str, PhantomCases, int]]:
    """Return subset, cases and seed of each test cohort; the marker plays no part in segmentation, the cue none in classification."""
    base, rates, difficulty = data.cohort_seed, data.student_marker_rates, data.difficulty
    same = draw_cases(data.test, base + 2, marker_rates=rates, difficulty=difficulty)
    if kind.is_dense:
        if data.cue == "none":
            return [(Subset.TEST, same, base + 2)]
        # The same cases three times: with and without the cue, and with it in the wrong place.
        places: tuple[Literal["beside", "elsewhere"], ...] = ("beside", "elsewhere")
        beside, elsewhere = (place_cues(same, data.cue, where, base + 2) for where in places)
        return [(Subset.TEST, beside, base + 2), (Subset.UNCUED, same, base + 3), (Subset.MISPLACED, elsewhere, base + 4)]
    pairs = draw_cases(data.marker_pairs, base + 5, difficulty=difficulty)
    return [
        (Subset.TEST, same, base + 2),
        (Subset.DEBIASED, draw_cases(data.debiased, base + 3, marker_rates=(0.5, 0.5), difficulty=difficulty), base + 3),
        (Subset.REVERSED, draw_cases(data.reversed, base + 4, marker_rates=(rates[1], rates[0]), difficulty=difficulty), base + 4),
        (Subset.MARKER_PAIRS, interleave(pairs.with_marker(True), pairs.with_marker(False)), base + 5),
    ]


def interleave(first: PhantomCases, second: PhantomCases) -> PhantomCases:
    """Return cases in pairs: row 2i is the i-th of the first, row 2i + 1 the i-th of the second."""
    names = PhantomCases.__dataclass_fields__
    return PhantomCases(**{name: torch.stack([getattr(first, name), getattr(second, name)], dim=1).flatten(0, 1) for name in names})


class _Writer:
    """Writes cohorts of one recipe and remembers their records."""

    def __init__(self, store: Store, spec: CohortSpec) -> None:
        self.store = store
        self.spec = spec
        self.written: list[Cohort] = []
        self.cysts = isinstance(spec.data, PhantomData) and spec.data.cysts
        self.case_classes = (*CLASSES, "cyst") if self.cysts else CLASSES
        # Both sequences are drawn where the task names any: which of them a network sees is its own.
        self.sequences = SEQUENCES if spec.task.channels else SEQUENCES[:1]
        self.scale: dict[str, tuple[float, float]] = {}

    def write(
        self,
        name: str,
        parts: dict[Part, tuple[PhantomCases, int]],
        *,
        labelled: bool = True,
        mask_share: float = 1.0,
        wrong: dict[Part, float] | None = None,
    ) -> Ref:
        """Render and store the parts of one cohort, and return where its record lies.

        ``mask_share`` of the cases have a mask; ``wrong`` is the share of a part's cases that carry the other class's label.
        """
        mistaken = wrong or {}
        data = self.spec.data
        counts = data.lesions if isinstance(data, PhantomData) else (1, 1)
        parts = {part: (with_lesion_counts(cases, counts, seed), seed) for part, (cases, seed) in parts.items()}
        if self.cysts:
            parts = {part: (with_cysts(cases, paired=name == Subset.MARKER_PAIRS), seed) for part, (cases, seed) in parts.items()}
        shards = {part: self._shard(f"{name}-{part.value}", cases) for part, (cases, _) in parts.items()}
        # The first cohort is the teacher's: all others are scaled as its training patients are.
        if self.spec.task.clinical and not self.scale:
            self.scale = scale_of(clinical_rows(parts[Part.TRAIN][0], self.spec.task.clinical))
        cases = {
            part: self._cases(shards[part], drawn, seed, _Labels(labelled, mask_share, mistaken.get(part, 0.0)), name)
            for part, (drawn, seed) in parts.items()
        }
        cohort = Cohort(
            name=name,
            origin=ORIGIN,
            classes=self.spec.task.classes if self.spec.task.kind is TaskKind.CLASSIFICATION else self.case_classes,
            cases=tuple(case for group in cases.values() for case in group),
            split=Split(parts={part: tuple(case.case_key for case in group) for part, group in cases.items()}),
            channels=self.sequences if len(self.sequences) > 1 else (),
            clinical_scale=self.scale,
        )
        self.written.append(cohort)
        payload = cohort.canonical_json()
        key = f"cohorts/{self.spec.name}/{name}.json"
        write_bytes(self.store.root / key, payload)
        return Ref(store=self.store.name, key=key, sha256=hashlib.sha256(payload).hexdigest())

    def _shard(self, name: str, cases: PhantomCases) -> tuple[tuple[Ref, ...], Tensor]:
        """Render cases and return where each lies, and the images: pictures side by side in one file, volumes in one each."""
        if self.spec.task.spatial_dims == 3:
            return self._volumes(name, cases)
        images, masks = render_key_slices(cases)
        masks = self._classes_of(masks, cases)
        arrays = {"images": images, "masks": masks, "markers": cases.marker}
        for number, one in enumerate(self.sequences[1:], 1):
            arrays[channel_key("images", number, one)] = render_key_slices(sequence(cases, one))[0]
        if bool(cases.cue_kind.any()):
            arrays["cues"] = cue_regions(cases)
        return (self.store.write_tensors(f"cohorts/{self.spec.name}/{name}.safetensors", arrays),) * len(cases), images

    def _classes_of(self, masks: Tensor, cases: PhantomCases) -> Tensor:
        """Return lesion masks; of a segmentation with cysts the classes of their voxels."""
        return mask_classes(masks, cases) if self.cysts and self.spec.task.kind.is_dense else masks

    def _volumes(self, name: str, cases: PhantomCases) -> tuple[tuple[Ref, ...], Tensor]:
        # Voxel (slice, row, column) to LPS mm: columns run to the left, rows to the back, slices upwards.
        affine = torch.zeros(4, 4, dtype=torch.float64)
        affine[0, 2] = affine[1, 1] = SPACING_MM
        affine[2, 0], affine[3, 3] = SLICE_SPACING_MM, 1.0
        refs, images = [], []
        for row in range(len(cases)):
            image, mask = render_volume(cases, row)
            mask = self._classes_of(mask[None], cases[[row]])[0]
            arrays = {"image": image.float(), "label": mask, "affine_lps_mm": affine}
            for number, one in enumerate(self.sequences[1:], 1):
                arrays[channel_key("image", number, one)] = render_volume(sequence(cases, one), row)[0].float()
            refs.append(self.store.write_tensors(f"cohorts/{self.spec.name}/{name}/{row}.safetensors", arrays))
            images.append(image)
        return tuple(refs), torch.stack(images)

    def _cases(self, shard: tuple[tuple[Ref, ...], Tensor], drawn: PhantomCases, seed: int, known: _Labels, name: str) -> tuple[Case, ...]:
        refs, images = shard
        rows = [standardised(row, self.scale) for row in clinical_rows(drawn, self.spec.task.clinical)]
        paired = name == Subset.MARKER_PAIRS
        return tuple(
            Case(
                case_key=f"c{seed}-{row}",
                patient_key=f"p{seed}-{row // 2 if paired else row}",
                image=refs[row],
                mask=refs[row] if known.labelled and chosen(row, known.mask_share) else None,
                label=abs(int(drawn.label[row]) - chosen(row, known.wrong)) if known.labelled else None,
                pixel_sha256=hashlib.sha256(images[row].numpy().tobytes()).hexdigest(),
                attributes={"marker": str(bool(drawn.marker[row])).lower()},
                clinical=rows[row],
            )
            for row in range(len(drawn))
        )


@dataclass(frozen=True)
class _Labels:
    """What is known of the cases of one part."""

    labelled: bool
    mask_share: float
    wrong: float


def chosen(row: int, share: float) -> bool:
    """Return whether a row is among the share of rows that is spread evenly over all: pairs of rows, so that classes stay balanced."""
    pair = row // 2
    return math.floor((pair + 1) * share + 1e-9) > math.floor(pair * share + 1e-9)
