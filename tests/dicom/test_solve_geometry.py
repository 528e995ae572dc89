from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from data_contracts import Action, IngestCode, IngestError, IngestPolicy
from medkd.dicom.findings import Findings
from medkd.dicom.solve_geometry import SlicePlanes
from medkd.dicom.solve_geometry import solve_geometry as solve


def solve_geometry(planes, every=None):
    return solve(planes, Findings(IngestPolicy(every=every)))


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
    # One of n points moved by d pulls the line of least squares towards itself by its leverage h: d (1 - h) is left.
    k = np.arange(8)
    leverage = 1 / 8 + (3 - k.mean()) ** 2 / ((k - k.mean()) ** 2).sum()
    assert solve_geometry(planes(jitter=jitter)).geometry.residual_mm == pytest.approx(0.03 * (1 - leverage), abs=1e-9)


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
        (positions([0, 4, 8, 12] * 2), IngestCode.DUPLICATE_POSITION),
        (positions([0, 4, 8, 12, 16], sideways=1.0), IngestCode.GANTRY_TILT),
    ],
)
def test_what_is_not_proved_is_refused_with_its_reason(places, code):
    with pytest.raises(IngestError) as caught:
        solve_geometry(planes(positions=places))
    assert caught.value.ingest_code is code
    assert caught.value.evidence
    assert str(caught.value).startswith("expected")


@pytest.mark.parametrize(
    ("places", "code"),
    [
        ([0, 4, 8, 12, 14, 16, 18, 20, 22], IngestCode.VARIABLE_SPACING),  # wide steps up to the first slice
        ([0, 2, 4, 6, 8, 10, 12, 16, 20], IngestCode.VARIABLE_SPACING),  # wide steps up to the last
        ([0, 2, 6, 8, 12, 14, 18, 20], IngestCode.VARIABLE_SPACING),  # wide steps all over
        ([0, 4, 6, 8, 10, 12, 14, 16, 18], IngestCode.MISSING_SLICES),  # one slice lost beside an end
        ([0, 2, 4, 8, 10, 12, 16, 18, 20], IngestCode.MISSING_SLICES),  # two slices lost between others
        ([0, 2, 4, 12, 14, 16, 18, 20, 22], IngestCode.MISSING_SLICES),  # three neighbours lost
    ],
)
def test_lost_slices_and_a_changed_protocol_are_told_apart(places, code):
    with pytest.raises(IngestError) as caught:
        solve_geometry(planes(positions=positions(places)))
    assert caught.value.ingest_code is code


def test_a_gap_is_named():
    with pytest.raises(IngestError, match=r"1 missing, the first gap from 8\.00 to 16\.00 mm"):
        solve_geometry(planes(positions=positions([0, 4, 8, 16, 20])))


@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 0.9, 0), (1, 0, 0, 0.1, 1, 0), (1, 0, 0, 0, float("nan"), 0)])
def test_orientations_that_are_not_orthonormal_are_refused(orientation):
    bad = SlicePlanes(positions([0, 4, 8]), np.array(orientation, dtype=float), (1.0, 1.0), (4, 4))
    with pytest.raises(IngestError) as caught:
        solve_geometry(bad)
    assert caught.value.ingest_code is IngestCode.ORIENTATION_NOT_ORTHONORMAL


def test_a_tilted_stack_keeps_its_shear_and_says_by_how_much():
    places = positions([0, 4, 8, 12, 16], sideways=1.0)
    solution = solve_geometry(planes(positions=places), Action.ACCEPT_WITH_FLAG)
    for k, place in enumerate(places):
        assert solution.geometry.position_lps_mm(k, 0, 0) == pytest.approx(place)
    assert solution.tilt_degrees == pytest.approx(np.degrees(np.arctan2(1, 4)))
    assert solution.geometry.residual_mm < 1e-9


def test_missing_slices_are_synthetic_after_repair():
    solution = solve_geometry(planes(positions=positions([0, 4, 12, 16, 28, 32, 36])), Action.REPAIR)
    assert solution.geometry.shape[0] == 10
    assert sorted(set(range(10)) - set(solution.measured())) == [2, 5, 6]
    assert solution.geometry.spacing_mm[0] == pytest.approx(4.0)


def test_a_change_of_spacing_is_brought_onto_the_finer_step():
    solution = solve_geometry(planes(positions=positions([0, 2, 4, 6, 8, 12, 16, 20])), Action.REPAIR)
    assert solution.geometry.spacing_mm[0] == pytest.approx(2.0)
    assert sorted(set(range(11)) - set(solution.measured())) == [5, 7, 9]


def test_steps_that_fit_no_grid_would_be_invented_and_are_refused_even_under_repair():
    with pytest.raises(IngestError) as caught:
        solve_geometry(planes(positions=positions([0, 3.1, 7.4, 9.9, 14.7, 16.0, 21.3])), Action.REPAIR)
    assert caught.value.ingest_code is IngestCode.VARIABLE_SPACING
    assert caught.value.evidence["synthetic_share"] > 0.5


def test_a_step_between_two_spacings_is_resampled_and_every_blend_is_marked():
    places = [0, 4, 8, 12, 16, 20, 24, 30]
    solution = solve_geometry(planes(positions=positions(places)), Action.REPAIR)
    assert solution.geometry.shape[0] == 8
    assert set(solution.measured()) == set(range(7))
    assert solution.places[-1] == pytest.approx(7.5)


@pytest.mark.parametrize(("skew", "allowed"), [(0.02, True), (0.2, False)])
def test_a_slightly_skewed_orientation_can_be_repaired_and_a_grossly_skewed_one_cannot(skew, allowed):
    bad = SlicePlanes(positions([0, 4, 8]), np.array([1, 0, 0, skew, 1, 0], dtype=float), (1.0, 1.0), (4, 4))
    if not allowed:
        with pytest.raises(IngestError):
            solve_geometry(bad, Action.REPAIR)
        return
    affine = np.asarray(solve_geometry(bad, Action.REPAIR).geometry.affine_lps_mm)
    assert affine[:3, 1] @ affine[:3, 2] == pytest.approx(0, abs=1e-12)
    assert np.linalg.norm(affine[:3, 1:3], axis=0) == pytest.approx([1, 1])


def test_a_spacing_tag_that_disagrees_is_a_note_and_never_used():
    stated = SlicePlanes(positions([0, 4, 8]), np.array([1.0, 0, 0, 0, 1, 0]), (1.0, 1.0), (4, 4), stated_step_mm=5.0)
    findings = Findings(IngestPolicy())
    assert solve(stated, findings).geometry.spacing_mm[0] == pytest.approx(4.0)
    assert findings.flags[IngestCode.SPACING_TAG_DISAGREES]["stated_mm"] == 5.0
    with pytest.raises(IngestError):
        solve_geometry(stated, Action.REJECT)
