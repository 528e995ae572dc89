from __future__ import annotations

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.pixels import apply_modality_lut

from data_contracts import IngestCode, IngestError
from medkd.dicom.lookup_table import read_table


def table(entries, *, first=0, bits=16, packed=False, count=None):
    item = Dataset()
    item.add_new(0x00283002, "SS" if first < 0 else "US", [len(entries) if count is None else count, first, bits])
    item.add_new(0x00283006, "OW", np.asarray(entries, "u1" if packed else "<u2").tobytes())
    return item


def read(item, *, signed=False):
    return read_table(item, "LUTDescriptor", "LUTData", signed=signed)


def test_values_outside_take_the_first_and_the_last_entry():
    found = read(table([10, 20, 30], first=100))
    assert found.apply(np.array([0, 99, 100, 101, 102, 103, 60000])).tolist() == [10, 10, 10, 20, 30, 30, 30]
    assert found.largest == 65535


def test_it_is_what_another_library_makes_of_the_same_table():
    generator = np.random.default_rng(3)
    item = table(generator.integers(0, 65536, 4096), first=12)
    dataset = Dataset()
    dataset.ModalityLUTSequence = [item]
    dataset.set_original_encoding(False, True)
    stored = generator.integers(0, 5000, (20, 30)).astype(np.uint16)
    assert np.array_equal(read(item).apply(stored), apply_modality_lut(stored, dataset))


def test_a_table_of_8_bits_is_asked_with_values_that_8_bits_do_not_hold():
    entries = np.arange(4096) // 16
    assert read(table(entries, bits=8)).apply(np.array([0, 256, 4095])).tolist() == [0, 16, 255]
    assert read(table(entries, bits=8, packed=True)).apply(np.array([0, 256, 4095])).tolist() == [0, 16, 255]


def test_the_first_value_has_the_sign_of_the_pixels():
    assert read(table([1, 2, 3], first=-1), signed=True).apply(np.array([-5, -1, 0, 1])).tolist() == [1, 1, 2, 3]
    item = table([1, 2, 3], first=65535)  # the same two bytes, written as unsigned
    assert read(item, signed=True).first == -1
    assert read(item).first == 65535


def test_a_count_of_0_stands_for_65536():
    assert read(table(np.arange(65536), count=0)).apply(np.array([65535])).tolist() == [65535]


@pytest.mark.parametrize(
    "item",
    [
        Dataset(),
        table([1, 2], count=3),
        table([1, 2, 3], bits=7),
        table([1, 2, 300], bits=8),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(item):
    with pytest.raises(IngestError) as caught:
        read(item)
    assert caught.value.ingest_code is IngestCode.NONLINEAR_LUT
