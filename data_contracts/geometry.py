"""Geometry of a volume: which patient position, in mm (LPS), each voxel lies at.

Axes are always (slice, row, column). World coordinates are always LPS (DICOM PS3.3 C.7.6.2.1.1); RAS exists only in a
converter at an edge.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from data_contracts.record import Finite, FrozenModel

Row4 = tuple[Finite, Finite, Finite, Finite]


class Geometry(FrozenModel):
    """Affine from voxel index (slice, row, column, 1) to patient position (x, y, z, 1) in LPS mm.

    ``residual_mm`` is the largest distance between a slice position of the source and the one that the affine gives: the
    proof of the geometry, published with every volume.
    """

    shape: tuple[int, int, int]
    affine_lps_mm: tuple[Row4, Row4, Row4, Row4]
    spacing_mm: tuple[Finite, Finite, Finite]
    residual_mm: Finite = Field(ge=0)

    def model_post_init(self, context: Any) -> None:
        """Refuse degenerate geometry: it must not pass in silence."""
        if min(self.shape) < 1:
            raise ValueError(f"expected a shape of at least one voxel per axis, got {self.shape}")
        if self.affine_lps_mm[3] != (0.0, 0.0, 0.0, 1.0):
            raise ValueError(f"expected (0, 0, 0, 1) as the last row of the affine, got {self.affine_lps_mm[3]}")
        if min(self.spacing_mm) <= 0 or abs(self.determinant_mm3()) < 1e-9:
            raise ValueError(
                f"expected an affine that spans a volume, got spacings {self.spacing_mm} mm and a voxel of {self.determinant_mm3():g} mm³"
            )

    def determinant_mm3(self) -> float:
        """Return the signed volume of a voxel in mm³."""
        (a, b, c, _), (d, e, f, _), (g, h, i, _), _ = self.affine_lps_mm
        return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)

    def position_lps_mm(self, slice_: float, row: float, column: float) -> tuple[float, float, float]:
        """Return the patient position (x, y, z) in LPS mm of a voxel index."""
        x, y, z = (r[0] * slice_ + r[1] * row + r[2] * column + r[3] for r in self.affine_lps_mm[:3])
        return x, y, z
