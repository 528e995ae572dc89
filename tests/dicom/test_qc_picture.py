"""A picture shows three planes in true proportions, and where slices were invented."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from medkd.dicom.mapped_volume import MappedVolume
from medkd.dicom.qc_picture import draw_slice, draw_volume, open_mapped
from medkd.storage.store import Store
from tests.dicom.invented import volume

VALUES = np.arange(8 * 20 * 24, dtype=np.int16).reshape(8, 20, 24)
ORANGE = (255, 140, 0)


@pytest.fixture
def store(tmp_path):
    (tmp_path / "volumes").mkdir()
    file = MappedVolume(Store(tmp_path).path(volume().array), {"volume": ("int16", VALUES.shape)})
    file.append(VALUES)
    file.commit()
    return Store(tmp_path)


def orange(path):
    return (np.array(Image.open(path)) == ORANGE).all(2)


def test_a_stored_volume_is_mapped_as_it_was_written(store):
    assert (open_mapped(store, volume()) == VALUES).all()


def test_planes_across_show_where_slices_were_invented(store, tmp_path):
    sound = draw_volume(store, volume(shape=VALUES.shape), tmp_path / "a.png")
    repaired = draw_volume(store, volume(shape=VALUES.shape, synthetic_slices=(0,)), tmp_path / "b.png")
    assert not orange(sound).any()
    rows = np.flatnonzero(orange(repaired).any(1))
    assert rows.min() > np.array(Image.open(repaired)).shape[0] * 0.6  # the first slice lies at the bottom, the feet


def test_a_volume_is_drawn_once_and_an_earlier_picture_of_its_series_goes(store, tmp_path):
    one = volume(shape=VALUES.shape)
    stale = tmp_path / f"{one.series_key}-{'a' * 12}.png"
    stale.touch()
    path = draw_volume(store, one, tmp_path / f"{one.series_key}.png")
    assert not stale.exists()
    path.write_bytes(b"kept")
    assert draw_volume(store, one, tmp_path / f"{one.series_key}.png").read_bytes() == b"kept"


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (2.0, 1.0)])
def test_pixels_have_true_proportions(tmp_path, spacing):
    with Image.open(draw_slice(VALUES[0], spacing, tmp_path / "x.png")) as picture:
        width, height = picture.size
    assert width / height == pytest.approx(24 / 20 / (spacing[0] / spacing[1]), abs=0.01)


@pytest.mark.parametrize("values", [np.full((20, 24), np.nan), np.full((20, 24), 7.0)])
def test_a_plane_without_contrast_or_without_numbers_is_drawn_all_the_same(tmp_path, values):
    assert len(np.unique(np.array(Image.open(draw_slice(values, (1, 1), tmp_path / "x.png"))))) == 1
