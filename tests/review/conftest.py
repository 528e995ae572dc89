from __future__ import annotations

from pathlib import Path

import pytest
import torch

from data_contracts import Geometry, ReviewReport, read_record

GOLDEN = Path(__file__).parents[1] / "contracts" / "golden" / "review_1.json"
SHAPE = (12, 40, 48)


@pytest.fixture
def arrays():
    """Return a volume with one bright lesion, masks of three sources, and a signed map per role."""
    generator = torch.Generator().manual_seed(0)
    volume = 40 * torch.randn(SHAPE, generator=generator)
    mask = torch.zeros(SHAPE, dtype=torch.uint8)
    mask[3:7, 10:20, 12:24] = 1
    teacher = mask.roll(1, dims=2)
    maps = {f"map/1/{role}/cam": torch.randn(SHAPE, generator=generator) * mask for role in ("student", "teacher")}
    return {"volume": volume + 100 * mask, "student_mask": mask, "teacher_mask": teacher, "reference_mask": mask.roll(1, dims=1), **maps}


@pytest.fixture
def report(arrays):
    """Return a report of one lesion on the grid of ``arrays``."""
    base = read_record(GOLDEN.read_bytes(), ReviewReport)
    geometry = Geometry(shape=SHAPE, affine_lps_mm=base.geometry.affine_lps_mm, spacing_mm=base.geometry.spacing_mm, residual_mm=0.001)
    finding = base.findings[0]
    student = finding.maps[0]
    teacher = student.model_copy(update={"role": "teacher", "tensor": "map/1/teacher/cam"})
    lesion = finding.lesion.model_copy(update={"key_slice": 4, "first_slice": 3, "last_slice": 6})
    changed = finding.model_copy(update={"maps": (student, teacher), "lesion": lesion, "dice_to_reference": 0.8})
    return base.model_copy(update={"geometry": geometry, "findings": (changed,)})


@pytest.fixture
def nothing_found(report):
    return report.model_copy(update={"findings": (), "caveats": ()})
