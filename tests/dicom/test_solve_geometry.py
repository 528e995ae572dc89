from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from data_contracts import IngestCode, IngestError
from medkd.dicom.solve_geometry import SlicePlanes, solve_geometry


def planes(rotation=None, n=8, step=4.0, spacing=(0.7, 0.9), jitter=None, order=None, positions=None):
    """Return a stack whose true affine is known: rows along y, columns along x, slices along z, then rotated."""
    axes = np.eye(3) if rotation is None else rotation
    column, row, normal = axes[:, 0], axes[:, 1], axes[:, 2]
    places = np.array([12.0, -30.0, 55.0]) + np.arange(n)[:, None] * step * normal if positions is None else positions
    if jitter is not None:
        places = places + jitter
    chosen = places if order is None else places[list(order)]
    return SlicePlanes(chosen, np.concatenate([column, row]), spacing, (16, 20))


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(*[st.floats(-3.1, 3.1)] * 3),
    st.integers(3, 40),
    st.floats(0.3, 8),
    st.permutations(range(40)),
    st.tuples(st.floats(0.2, 3), st.floats(0.2, 3)),
)
def test_any_rigid_stack_is_solved_whatever_the_order_of_its_files(angles, n, step, shuffle, spacing):
    rotation = Rotation.from_euler("xyz", angles).as_matrix()
    order = [k for k in shuffle if k < n]
    solution = solve_geometry(planes(rotation, n=n, step=step, spacing=spacing, order=order))
    truth = np.array([12.0, -30.0, 55.0])
    for index in itertools.product((0, n - 1), (0, 15), (0, 19)):
        expected = truth + rotation @ np.array([index[2] * spacing[1], index[1] * spacing[0], index[0] * step])
        assert np.allclose(solution.geometry.position_lps_mm(*index), expected, atol=1e-6)
    assert [order[k] for k in solution.order] == list(range(n))
    assert solution.geometry.residual_mm < 1e-6
    assert solution.geometry.spacing_mm == pytest.approx((step, *spacing))


def test_the_residual_is_the_largest_deviation():
    jitter = np.zeros((8, 3))
    jitter[3, 2] = 0.03
    assert solve_geometry(planes(jitter=jitter)).geometry.residual_mm == pytest.approx(0.03, abs=1e-9)


def positions(zs, sideways=0.0):
    zs = np.asarray(zs, dtype=float)
    return np.stack([np.zeros_like(zs), sideways * np.arange(len(zs)), zs], axis=1)


@pytest.mark.parametrize(
    ("places", "code"),
    [
        (positions([0, 4]), IngestCode.TOO_FEW_SLICES),
        (positions([0, 4, 8, 16, 20]), IngestCode.MISSING_SLICES),
        (positions([0, 4, 8.3, 12, 16]), IngestCode.VARIABLE_SPACING),
        (positions([0, 4, 4, 8, 12]), IngestCode.DUPLICATE_POSITION),
        (positions([0, 4, 8, 12] * 2), IngestCode.TEMPORAL_STACK),
        (positions([0, 4, 8, 12, 16], sideways=1.0), IngestCode.GANTRY_TILT),
    ],
)
def test_what_is_not_proved_is_refused_with_its_reason(places, code):
    with pytest.raises(IngestError) as caught:
        solve_geometry(planes(positions=places))
    assert caught.value.ingest_code is code
    assert caught.value.evidence
    assert str(caught.value).startswith("expected")


def test_a_gap_is_named():
    with pytest.raises(IngestError, match=r"1 missing, the first gap from 8\.00 to 16\.00 mm"):
        solve_geometry(planes(positions=positions([0, 4, 8, 16, 20])))


@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 0.9, 0), (1, 0, 0, 0.1, 1, 0), (1, 0, 0, 0, float("nan"), 0)])
def test_orientations_that_are_not_orthonormal_are_refused(orientation):
    bad = SlicePlanes(positions([0, 4, 8]), np.array(orientation, dtype=float), (1.0, 1.0), (4, 4))
    with pytest.raises(IngestError) as caught:
        solve_geometry(bad)
    assert caught.value.ingest_code is IngestCode.ORIENTATION_NOT_ORTHONORMAL
