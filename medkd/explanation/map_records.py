"""The records of a study's maps: what each explains, by which network, and what was measured of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from data_contracts import (
    Entry,
    ExplanationRef,
    MeasureValue,
    MethodRecord,
    ModelRef,
    Ref,
    SanityReport,
    Task,
    VolumeRef,
    map_name,
)
from medkd.catalogue import EXPLAINERS
from medkd.explanation.describe import MASS, agreement_of, measures_of, peaks_in
from medkd.explanation.subjects import ExplainedRegion


@dataclass(frozen=True)
class MapRecords:
    """Everything that the records are written from.

    Attributes:
        models: by role.
        volume: the study's.
        task: of the models.
        array: the file of the maps.
        arrays: the same as tensors.
        faithful: what hiding by each map does, by its name.
        sanity_reports: by explainer.
        seed: of explainers that draw.
    """

    models: Mapping[str, ModelRef]
    volume: VolumeRef
    task: Task
    array: Ref
    arrays: Mapping[str, Tensor]
    faithful: Mapping[str, tuple[MeasureValue, ...]]
    sanity_reports: Mapping[str, SanityReport]
    seed: int

    @property
    def _spacing_mm(self) -> tuple[float, ...] | None:
        """Return the spacing of a volume; of a picture nothing is measured in mm."""
        return None if self.volume.space is None else self.volume.space.spacing_mm

    def of(self, one: ExplainedRegion, entry: Entry) -> list[ExplanationRef]:
        """Return the records of one subject's maps by one explainer: the teacher's, and the student's below it."""
        own, teacher = self._row(one, entry, "student"), map_name(one.number, "teacher", entry.name)
        if teacher not in self.arrays or "teacher" not in self.models:
            return [own]
        above = self._row(one, entry, "teacher")
        maps = [self.arrays[name][one.span] for name in (own.tensor, teacher)]
        agreed = agreement_of(maps[0], maps[1], one.region[one.span], self._spacing_mm, MASS[self.task.kind])
        return [above, own.model_copy(update={"measures": (*own.measures, *agreed), "parent": above.digest()})]

    def _row(self, one: ExplainedRegion, entry: Entry, role: Literal["student", "teacher"]) -> ExplanationRef:
        checks, name, model = self.sanity_reports[entry.name].checks, map_name(one.number, role, entry.name), self.models[role]
        spacing, mass = self._spacing_mm, MASS[self.task.kind]
        return ExplanationRef(
            case_key=self.volume.series_key,
            source_digest=self.volume.array.sha256,
            model=f"{model.name}/{model.version}",
            model_role=role,
            weights_digest=model.weights_digest,
            method=MethodRecord(
                explainer=entry.name,
                options=entry.options,
                layer=str(entry.options["layer"]) if "layer" in entry.options else None,
                signed=EXPLAINERS.entry(entry.name).fact("SIGNED"),
                passes_randomisation=next((check.passed for check in checks if check.name == "randomisation"), None),
            ),
            target=one.target,
            array=self.array,
            tensor=name,
            shape=self.volume.geometry.shape,
            geometry=self.volume.space,
            preprocessing_digest=self.task.digest(),
            seed=self.seed,
            measures=(*measures_of(self.arrays[name][one.span], one.region[one.span], spacing, mass), *self.faithful[name]),
            peaks=peaks_in(self.arrays[name], self.volume.space),
        )
