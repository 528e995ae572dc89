"""A teacher that is a store: what it said before, about the batch as it is drawn now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from data_contracts import AttributionSource, KnowledgeError, KnowledgeRef, MapSpec, Task, TaskKind, TrainingConfig
from medkd.cohorts.volume_cohort import VolumeCohort, cut
from medkd.knowledge.class_map import ClassMap, MappedKnowledge
from medkd.knowledge.codec import LogitCodec, decode_channels, decode_plain, halved
from medkd.knowledge.control import ControlledKnowledge
from medkd.knowledge.extract import Cases, ExtractionQuery, frozen_view, map_key, sample_digests
from medkd.knowledge.interface import Knowledge
from medkd.knowledge.shards import ShardReader
from medkd.knowledge.windows import box_of, half_patch, patch_of
from medkd.storage.store import Store
from medkd.targets import Target, mean_coefficients
from medkd.trace import Sample
from medkd.types import AttributionMap, FeatureMap, Images, Logits

#: Bytes of decoded answers that are kept in memory; beyond it they are decoded again whenever they are drawn.
CACHE_BYTES = 2 << 30


class StoredKnowledge:
    """What a store says of a batch: the tensors that the batch carries.

    Args:
        record: what was stored.
        answers: of the batch, moved along with its image (``Sample.teacher``).
    """

    def __init__(self, record: KnowledgeRef, answers: Mapping[str, Tensor]) -> None:
        self._record, self._answers = record, answers

    def logits(self) -> Logits:
        """Return the stored logits; those of a segmentation have mean zero over the classes."""
        return self._answer("logits")

    def features(self, layer: str) -> FeatureMap:
        """Return the stored features of a layer."""
        return self._answer(f"features/{layer}")

    def attribution(self, explainer: str, target: Target, **options: Any) -> AttributionMap:
        """Return the map of a target: class maps combine to any target of theirs, other maps are of the teacher's own answer.

        Raises:
            KnowledgeError: ``KNOWLEDGE_MISSING`` when it is not stored and does not follow from what is.
        """
        if explainer == "cam" and self._record.head_bias and not options:
            return self._from_logits(target)
        maps = self._answer(f"maps/{map_key(MapSpec(explainer=explainer, options=options))}")
        if explainer != "cam":
            return maps[:, 0]
        return torch.einsum("bc,bc...->b...", mean_coefficients(target, self.logits()).to(maps), maps)

    def for_batch(self, image: Images, labels: Tensor | None = None) -> Knowledge:
        """Refuse: what was not asked when the knowledge was extracted is not known."""
        del labels
        raise KnowledgeError("KNOWLEDGE_MISSING", f"expected stored answers about {len(image)} other images, a store holds none")

    def response(self, hidden: Images) -> Tensor:
        """Refuse, as :meth:`for_batch` does."""
        return self.for_batch(hidden).logits()

    def _answer(self, name: str) -> Tensor:
        if name not in self._answers:
            raise KnowledgeError("KNOWLEDGE_MISSING", f"expected {name!r} to be stored, this knowledge holds {sorted(self._answers)}")
        return self._answers[name]

    def _from_logits(self, target: Target) -> AttributionMap:
        """Return the class map of a segmentation: its logits less the head's bias, weighted by the target.

        Weights that sum to zero over the classes do not see the constant per voxel that the store leaves out.
        """
        logits = self.logits()
        weights = mean_coefficients(target, logits).to(logits)
        if float(weights.sum(1).abs().max()) > 1e-4 * float(weights.abs().max().clamp_min(1e-12)):
            raise KnowledgeError(
                "KNOWLEDGE_MISSING",
                f"expected a target that compares classes (a margin), got {target}: a store keeps no level of a segmentation's logits",
            )
        bias = torch.tensor(self._record.head_bias, device=logits.device)
        return torch.einsum("bc,bc...->b...", weights, logits - bias.view(1, -1, *(1,) * (logits.ndim - 2)))


class StoredSource:
    """A store in the teacher's place.

    Args:
        record: what was stored.
        classes: of the student's task.
        class_map: classes of the teacher that each of them stands for; empty where both have the same.
        attribution_source: whose explanations it gives.

    Raises:
        KnowledgeError: ``CLASSES_DIFFER`` when teacher and student have other classes and no map says how they belong together.
    """

    def __init__(
        self,
        record: KnowledgeRef,
        classes: Sequence[str],
        *,
        class_map: Mapping[str, Sequence[str]] | None = None,
        attribution_source: AttributionSource = AttributionSource.TEACHER,
    ) -> None:
        self.record, self.attribution_source = record, attribution_source
        self._map = ClassMap.between(record.task.classes, classes, class_map or {})

    def for_batch(self, sample: Sample) -> Knowledge:
        """Return what is stored about the batch."""
        knowledge: Knowledge = StoredKnowledge(self.record, sample.teacher)
        if self._map is not None:
            knowledge = MappedKnowledge(knowledge, self._map)
        if self.attribution_source is not AttributionSource.TEACHER:
            knowledge = ControlledKnowledge(knowledge, self.attribution_source, sample)
        return knowledge

    def require_maps(self, explainers: Iterable[str]) -> None:
        """Refuse maps that were made of the teacher's own answer where the student has other classes; class maps combine to any.

        Raises:
            KnowledgeError: ``KNOWLEDGE_MISSING``.
        """
        fixed = [explainer for explainer in explainers if explainer != "cam"]
        if self._map is not None and fixed:
            raise KnowledgeError(
                "KNOWLEDGE_MISSING",
                f"expected maps in the student's classes, those of {fixed[0]!r} are stored for the teacher's own answer: use cam with a class_map",
            )

    def layers(self) -> tuple[str, ...]:
        """Return the stored layers."""
        return tuple(self.record.layers)

    def shape(self, layer: str, image: Tensor) -> tuple[int, ...]:
        """Return the shape that a layer was stored with for an image of the task's size."""
        del image
        if layer not in self.record.layers:
            raise KnowledgeError(
                "KNOWLEDGE_MISSING", f"expected features of {layer!r} to be stored, this knowledge holds {list(self.record.layers)}"
            )
        return self.record.layers[layer]

    def ask_for(self, layers: Sequence[str]) -> None:
        """Check that the layers are stored."""
        for layer in layers:
            self.shape(layer, torch.zeros(0))

    def prepared(self, device: torch.device, *, channels_last: bool) -> StoredSource:
        """Return the source itself: answers come with the batch."""
        del device, channels_last
        return self


@dataclass(frozen=True)
class CohortWithTeacherOutputs:
    """A cohort whose batches carry what a store says of them.

    Attributes:
        cohort: cases.
        digests: of their images.
        reader: where answers are looked up.
        query: that they are answers to.
        parts: what is read: ``logits``, ``features/LAYER``, ``maps/KEY``.
        halved: logits are replayed at half resolution.
        cache: decoded answers, by image and view.
    """

    cohort: Cases
    digests: tuple[str, ...]
    reader: ShardReader
    query: ExtractionQuery
    parts: tuple[str, ...]
    halved: bool
    cache: dict[tuple[str, int | None], dict[str, Tensor]]

    def __len__(self) -> int:
        return len(self.cohort)

    def patients(self) -> list[str]:
        """Return the patient key of each case."""
        return self.cohort.patients()

    def nbytes(self) -> int:
        """Return the bytes of what is drawn from; answers are decoded where they are needed."""
        return self.cohort.nbytes()

    def to(self, device: torch.device) -> CohortWithTeacherOutputs:
        """Return the cohort with its images on a device; answers follow batch by batch."""
        return replace(self, cohort=self.cohort.to(device))

    def draw(self, rows: Tensor, task: Task, config: TrainingConfig, generator: torch.Generator) -> Sample:
        """Return a batch with its answers: of the clean images, to be moved along, or of drawn views, which stay as they are."""
        views = self.query.config.views
        if views and self.query.views is not None:
            return self._with_views(rows, torch.randint(views, (len(rows),), generator=generator), task, self.query.views)
        sample = self.cohort.draw(rows, task, config, generator)
        return replace(sample, teacher=self.answers(rows, sample))

    def with_views(self, rows: Tensor, views: Tensor, task: Task) -> Sample:
        """Return the batch of some rows in the given views, int64 [batch], with its answers."""
        if self.query.views is None:
            raise ValueError("expected a store of drawn views, this one holds clean images")
        return self._with_views(rows, views, task, self.query.views)

    def _with_views(self, rows: Tensor, views: Tensor, task: Task, config: TrainingConfig) -> Sample:
        return joined([self._with_view(row, view, task, config) for row, view in zip(rows.tolist(), views.tolist(), strict=True)])

    def answers(self, rows: Tensor, sample: Sample) -> dict[str, Tensor]:
        """Return what is stored of the clean images of some rows, cut where the drawn batch is."""
        answers = [self._answer(self.digests[row], None) for row in rows.tolist()]
        if isinstance(self.cohort, VolumeCohort) and sample.window is not None:
            corners = [tuple(corner) for corner in sample.window.tolist()]
            answers = [self._patch(row, corner, a) for row, corner, a in zip(rows.tolist(), corners, answers, strict=True)]
        device = sample.image.device
        return {part: torch.stack([a[part] for a in answers]).to(device) for part in self.parts}

    def _with_view(self, row: int, view: int, task: Task, config: TrainingConfig) -> Sample:
        drawn = frozen_view(self.cohort, row, view, self.digests[row], task, config)
        answer = self._answer(self.digests[row], view)
        teacher = {part: answer[part][None].to(drawn.image.device) for part in self.parts}
        return replace(drawn, teacher=teacher, view="frozen")

    def _patch(self, row: int, corner: tuple[int, ...], answer: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the answers about one patch of a volume."""
        size = self.query.task.image_size
        box = box_of(tuple(self.cohort.images[row].shape[1:]), size)
        found = {}
        for part in self.parts:
            if part == "logits" and not self.halved:
                found[part] = cut(answer[part], list(corner), size, fill=0.0)
            elif part == "logits":
                found[part] = half_patch(answer[part], corner, tuple(extent // 2 for extent in size))
            else:
                cells = [max(1, round(g * w / e)) for g, w, e in zip(answer[part].shape[1:], size, box.extent, strict=True)]
                found[part] = patch_of(answer[part], box, corner, tuple(cells))
        return found

    def _answer(self, digest: str, view: int | None) -> dict[str, Tensor]:
        """Return the decoded answers about one image, kept while there is room."""
        if (digest, view) in self.cache:
            return self.cache[digest, view]
        key = self.query.key(digest, view)
        found = {part: self._decoded(part, self.reader.read(key, part)) for part in self.parts}
        if sum(v.nbytes for v in found.values()) * (len(self.cache) + 1) < CACHE_BYTES:
            self.cache[digest, view] = found
        return found

    def _decoded(self, part: str, payload: memoryview) -> Tensor:
        if part != "logits":
            return decode_channels(payload)
        if self.query.task.kind is TaskKind.CLASSIFICATION:
            return decode_plain(payload)
        logits = LogitCodec.of(self.query.config).decode(payload)
        return halved(logits) if self.halved else logits


def joined(samples: Sequence[Sample]) -> Sample:
    """Return batches of one as one batch."""
    first = samples[0]
    names = [name for name, value in vars(first).items() if isinstance(value, Tensor)]
    stacked: dict[str, Any] = {name: torch.cat([getattr(sample, name) for sample in samples]) for name in names}
    inputs = {name: torch.cat([sample.inputs[name] for sample in samples]) for name in first.inputs}
    teacher = {name: torch.cat([sample.teacher[name] for sample in samples]) for name in first.teacher}
    return replace(first, **stacked, inputs=inputs, teacher=teacher)


def with_teacher_outputs(
    cohort: Cases,
    record: KnowledgeRef,
    store: Store,
    parts: Sequence[str],
    *,
    teacher_digest: str | None = None,
    resolution: Literal["full", "half"] = "full",
) -> CohortWithTeacherOutputs:
    """Return a cohort with a store's answers; what is missing is said now, before anything is trained.

    Args:
        cohort: cases.
        record: what was stored.
        store: where its shards lie.
        parts: what training will read.
        teacher_digest: whose knowledge it must be, where that is known.
        resolution: at which resolution the logits of a segmentation are replayed.

    Raises:
        KnowledgeError: ``KNOWLEDGE_FOREIGN`` when it is another teacher's, ``KNOWLEDGE_MISSING`` when a part or a case is not stored.
        StoreError: when its bytes are missing or altered.
    """
    if teacher_digest is not None and record.teacher_digest != teacher_digest:
        raise KnowledgeError(
            "KNOWLEDGE_FOREIGN",
            f"expected knowledge of the teacher {teacher_digest[:12]}, it is of {record.teacher_digest[:12]}: extract it from this teacher",
        )
    query = ExtractionQuery(record.teacher_digest, record.task, record.config, record.views)
    reader = ShardReader(store, record.shards, query_digest=query.digest())
    stored = {"logits", *(f"features/{layer}" for layer in record.layers), *(f"maps/{key}" for key in record.maps)}
    lacking = [part for part in parts if part not in stored]
    if lacking:
        raise KnowledgeError(
            "KNOWLEDGE_MISSING", f"expected {lacking[0]!r} to be stored, this knowledge holds {sorted(stored)}: extract it with that"
        )
    digests = tuple(sample_digests(cohort))
    first = 0 if record.config.views else None
    absent = [index for index, digest in enumerate(digests) if query.key(digest, first) not in reader]
    if absent:
        raise KnowledgeError(
            "KNOWLEDGE_MISSING",
            f"expected answers about all {len(digests)} cases, {len(absent)} are not stored: other cases, or prepared in another way",
        )
    is_halved = resolution == "half" and record.task.kind is TaskKind.SEGMENTATION
    return CohortWithTeacherOutputs(cohort, digests, reader, query, tuple(parts), is_halved, {})
