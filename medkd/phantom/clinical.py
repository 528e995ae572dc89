"""The clinical row of a phantom case: an age that says nothing of the class, and two laboratory values that carry part of the truth."""

from __future__ import annotations

import torch

from medkd.phantom.render import PhantomCases
from medkd.seeds import derive_seed

#: Columns that a row may have.
COLUMNS = ("age", "tumour_marker", "lymphocytes")
#: Distance of the classes in deviations of a value, and the share of cases in which it was not measured.
SEPARATION = {"age": 0.0, "tumour_marker": 1.6, "lymphocytes": -0.8}
MISSING_SHARE = {"age": 0.0, "tumour_marker": 0.1, "lymphocytes": 0.1}
_CENTRE = {"age": (60.0, 11.0), "tumour_marker": (30.0, 8.0), "lymphocytes": (2.0, 0.5)}


def clinical_rows(cases: PhantomCases, columns: tuple[str, ...]) -> list[dict[str, float | None]]:
    """Return the row of each case: years, kU/l, 10^9/l; None where a value was not measured. A row depends on its case alone.

    Args:
        cases: of any number.
        columns: some of :data:`COLUMNS`.
    """
    rows: list[dict[str, float | None]] = []
    for seed, label in zip(cases.noise_seed.tolist(), cases.label.tolist(), strict=True):
        generator = torch.Generator().manual_seed(derive_seed("clinical", seed))
        drawn = {column: (float(torch.randn((), generator=generator)), float(torch.rand((), generator=generator))) for column in COLUMNS}
        rows.append({column: _value(column, *drawn[column], is_malignant=label == 1) for column in columns})
    return rows


def _value(column: str, deviation: float, chance: float, *, is_malignant: bool) -> float | None:
    if chance < MISSING_SHARE[column]:
        return None
    centre, spread = _CENTRE[column]
    return centre + spread * (deviation + SEPARATION[column] * (0.5 if is_malignant else -0.5))
