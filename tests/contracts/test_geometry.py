from __future__ import annotations

import numpy as np
import pytest

from data_contracts import Geometry

AFFINE = ((0.0, 0.1, 2.9, -90.0), (0.2, 3.0, 0.0, -80.0), (4.0, 0.0, 0.3, -200.0), (0.0, 0.0, 0.0, 1.0))


def test_positions_and_determinant_are_those_of_the_matrix():
    geometry = Geometry(shape=(3, 4, 5), affine_lps_mm=AFFINE, spacing_mm=(4.0, 3.0, 3.0), residual_mm=0)
    matrix = np.array(AFFINE)
    assert geometry.position_lps_mm(2, 3, 1) == pytest.approx(tuple((matrix @ [2, 3, 1, 1])[:3]))
    assert geometry.determinant_mm3() == pytest.approx(np.linalg.det(matrix[:3, :3]))


@pytest.mark.parametrize(
    "change",
    [
        {"shape": (0, 4, 5)},
        {"spacing_mm": (0.0, 1.0, 1.0)},
        {"residual_mm": -1.0},
        {"affine_lps_mm": ((0.0, 0.0, 0.0, 0.0),) * 3 + ((0.0, 0.0, 0.0, 1.0),)},
        {"affine_lps_mm": (*AFFINE[:3], (0.0, 0.0, 1.0, 1.0))},
    ],
)
def test_degenerate_geometry_does_not_pass_in_silence(change):
    fields = {"shape": (3, 4, 5), "affine_lps_mm": AFFINE, "spacing_mm": (4.0, 3.0, 3.0), "residual_mm": 0.0}
    with pytest.raises(ValueError, match=r"expected|greater"):
        Geometry(**(fields | change))
