"""Pictures of planes: what a pixel stands for, and where it lies."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from data_contracts import Geometry
from medkd.review.grey_levels import Levels
from medkd.review.orientation_marks import views_of
from medkd.review.page_pictures import box_of, data_uri, drawn_planes, joined, near, reduced_by, steps_of
from medkd.review.page_quality import QUALITIES

AFFINE = ((0.0, 0.0, 1.0, 0.0), (0.0, 1.0, 0.0, 0.0), (2.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
PLAIN = Levels(((0, 0.0), (255, 255.0)))


def views(shape, affine=AFFINE):
    return views_of(Geometry(shape=shape, affine_lps_mm=affine, spacing_mm=(2.0, 1.0, 1.0), residual_mm=0))


def pixels(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))


def test_blocks_are_means_and_those_at_the_edge_are_of_fewer():
    values = np.random.default_rng(0).random((5, 7, 8)).astype(np.float32)
    found = reduced_by(values, (1, 2, 3))
    assert found.shape == (5, 4, 3)
    assert found[2, 1, 1] == pytest.approx(values[2, 2:4, 3:6].mean(), rel=1e-5)
    assert found[4, 3, 2] == pytest.approx(values[4, 6:7, 6:8].mean(), rel=1e-5)
    assert reduced_by(values, (1, 1, 1)) is values


def test_without_loss_every_voxel_is_in_its_picture():
    values = np.random.default_rng(1).integers(0, 256, (4, 6, 9)).astype(np.float32)
    axial, *others = drawn_planes(values, views(values.shape), QUALITIES[0])
    assert (pixels(axial.picture(2, PLAIN, None)) == values[2]).all()
    for plane in others:
        assert (pixels(plane.picture(3, PLAIN, None)) == plane.view.slice_of(values, 3)).all()


def test_a_reduced_plane_stands_for_slabs_and_names_their_middle():
    values = np.zeros((4, 1000, 1000), np.float32)
    values[:, 400:404, :] = 200.0
    quality = QUALITIES[4]
    assert steps_of(values.shape, quality) == ((1, 4, 4), (1, 4, 4))
    _, coronal, sagittal = drawn_planes(values, views(values.shape), quality)
    assert coronal.view.name == "coronal"
    assert coronal.places[:2] == [2, 6]
    assert (pixels(coronal.picture(100, PLAIN, None)) == 200).all()
    assert (pixels(coronal.picture(99, PLAIN, None)) == 0).all()
    assert pixels(sagittal.picture(0, PLAIN, None)).shape == (4, 250)


def test_the_last_pixel_reaches_beyond_the_edge_on_the_side_it_is_drawn_at():
    shape = (4, 10, 11)
    axial = views(shape)[0]
    assert box_of(axial, shape, (1, 4, 4)) == (0, 0, round(12 / 11, 6), 1.2)
    turned = tuple(tuple(-one for one in row) for row in AFFINE[:3]) + AFFINE[3:]
    coronal = next(view for view in views(shape, turned) if view.name == "coronal")
    assert coronal.flip_right
    assert box_of(coronal, shape, (1, 4, 4))[0] == pytest.approx(1 - 12 / 11, abs=1e-6)


@pytest.mark.parametrize(("loss", "kind"), [(None, "png"), (80, "webp")])
def test_the_same_pixels_give_the_same_bytes(loss, kind):
    image = np.random.default_rng(2).integers(0, 256, (40, 40)).astype(np.uint8)
    assert data_uri(image, loss) == data_uri(image.copy(), loss)
    assert data_uri(image, loss).startswith(f"data:image/{kind};base64,")


def test_neighbours_stay_within_the_study():
    assert list(near(1, 3, 10)) == [0, 1, 2, 3, 4]
    assert joined([near(1, 1, 10), near(2, 1, 10)]) == [0, 1, 2, 3]
