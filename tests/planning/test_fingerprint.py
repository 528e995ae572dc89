"""Intensities and classes of a folder, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from data_contracts import DataError
from medkd.planning.fingerprint import Fingerprint, Intensities, counted, spread


def test_intensities_are_of_the_foreground_and_lesions_are_counted():
    image, mask = np.zeros((10, 10), dtype=np.float32), np.zeros((10, 10), dtype=np.uint8)
    mask[1:3, 1:5] = mask[6:9, 6:9] = 1
    image[mask > 0], image[0, 0] = 50, -7
    values = Intensities()
    values.add(image, mask)
    found = values.figures()
    assert (found["percentiles"], found["mean"], found["whole"]) == ((50, 50, 50), 50, (-7, 50))
    assert (found["lesions"], sorted(found["lesion_sides"])) == ((2,), [2, 3])
    assert values.frequency(1) == pytest.approx(0.17)
    assert Intensities().figures() == {}


def test_the_negative_class_comes_first_and_one_class_is_none():
    assert list(counted(["malignant", "benign", "malignant", ""])) == ["benign", "malignant"]
    assert counted(["b", "a", "a"]) == {"a": 2, "b": 1}
    with pytest.raises(DataError, match=r"holds \['a'\]") as caught:
        counted(["a", "a"])
    assert caught.value.code == "PLAN_CLASSES"


def test_medians_anisotropy_and_an_even_choice():
    found = Fingerprint(
        "volume_folder", 3, 3, np.array([[10, 20, 20], [12, 22, 22], [30, 20, 24]]), np.array([[5, 1, 1], [4, 1, 1], [4, 0.5, 1]]), {}
    )
    assert found.median_shape == (12, 20, 22)
    assert found.median_spacing == (4, 1, 1)
    assert found.anisotropy == 4
    assert list(spread(100, 5)) == [0, 25, 50, 74, 99]
    assert list(spread(2, 5)) == [0, 1]
