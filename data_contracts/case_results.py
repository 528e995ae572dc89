"""What one model did on each case of its tests: what gates and loss statements pair, case by case, with another model's."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from data_contracts.record import Finite, FrozenModel, Key, Sha256, VersionedRecord


class CaseUnits(FrozenModel):
    """The cases of one test cohort, in its order.

    Attributes:
        case_keys: pseudonyms of the cases.
        patient_keys: of whose they are: patients are resampled, never cases.
        labels: index of the class; None where it is not known.
        lesion_voxels: size of what is marked, on the cohort's voxels; None where nothing says.
        attributes: subgroup columns (device, side, …), a value per case.
    """

    case_keys: tuple[Key, ...]
    patient_keys: tuple[Key, ...]
    labels: tuple[int | None, ...]
    lesion_voxels: tuple[int | None, ...]
    attributes: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    def model_post_init(self, context: Any) -> None:
        """Every column has a value per case."""
        columns = {"patient_keys": self.patient_keys, "labels": self.labels, "lesion_voxels": self.lesion_voxels, **self.attributes}
        odd = {name: len(values) for name, values in columns.items() if len(values) != len(self.case_keys)}
        if odd:
            raise ValueError(f"expected a value for each of {len(self.case_keys)} cases, got {odd}")


class CaseResults(VersionedRecord):
    """Per-case results of a registered version on every test cohort of its recipe; it travels with the version.

    Attributes:
        subject: ``RECIPE/ARM``.
        seed: of the training.
        weights_digest: of the network that was asked.
        cohorts: digest of the cohort of each test (``test``, ``debiased``, …): results of equal digests are of the same cases.
        units: the cases of each test.
        values: ``TEST/QUANTITY`` → a value per case (per pair of cases for ``marker_pairs``), None where it is undefined. A prefix of the
            cases where a quantity was measured on the first of them only.
    """

    SCHEMA: ClassVar[str] = "case_results/1"
    subject: str
    seed: int
    weights_digest: Sha256
    cohorts: dict[str, Sha256]
    units: dict[str, CaseUnits]
    values: dict[str, tuple[Finite | None, ...]]

    def without(self, *quantities: str) -> CaseResults:
        """Return the results without some quantities, on every test (``NAME`` and what begins with ``NAME_``)."""
        kept = {}
        for key, values in self.values.items():
            quantity = key.partition("/")[2]
            if not any(quantity == name or quantity.startswith(f"{name}_") for name in quantities):
                kept[key] = values
        return self.model_copy(update={"values": kept})

    def model_post_init(self, context: Any) -> None:
        """Every value is of a case that is named."""
        super().model_post_init(context)
        for name, values in self.values.items():
            test = name.partition("/")[0]
            if test not in self.units or len(values) > len(self.units[test].case_keys):
                known = {one: len(units.case_keys) for one, units in self.units.items()}
                raise ValueError(f"expected values of the cases of {known}, got {len(values)} of {name!r}")
