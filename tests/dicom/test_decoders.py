"""Slices are the same whoever decodes them, and places without a job are zero."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data_contracts import Action, IngestCode
from medkd.dicom.decoders import Decoders, decoders
from medkd.dicom.mapped_volume import MappedVolume
from medkd.dicom.pixel_place import PixelPlace
from medkd.dicom.pixel_plan import plan_pixels
from medkd.phantom.dicom_faults import write_case
from medkd.phantom.faulty_scan import find_variant
from medkd.storage.store import Store
from tests.dicom.invented import slice_at
from tests.dicom.voxels import ingested, truth

STORED = np.arange(24, dtype="<i2").reshape(4, 6)


def test_slices_are_decoded_into_their_places_and_counted(tmp_path):
    (tmp_path / "pixels").write_bytes(STORED.tobytes())
    plan = plan_pixels(slice_at(0, name=str(tmp_path / "pixels")))
    broken = replace(plan, place=PixelPlace(0, 10))
    volume = MappedVolume(tmp_path / "volume", {"volume": ("int16", (4, 4, 6))})
    with decoders(2) as pool:
        stats = pool.decode(volume, [(1, plan), (2, broken)])
    assert (pool.decoded, [one.error and one.error[0] for one in stats]) == (2, [None, IngestCode.TRUNCATED_PIXELS])
    written = np.array(volume.open("volume"))
    assert (written[1] == STORED).all()
    assert not written[[0, 2, 3]].any()
    volume.discard()


def test_there_is_a_worker_where_none_is_asked_for():
    assert Decoders().workers >= 1
    assert Decoders(3).workers == 3


@pytest.mark.parametrize("variant", ["coronal", "sagittal"])
@pytest.mark.parametrize("case", ["regular", "truncated_slice"])
def test_worker_processes_store_the_same_bytes(tmp_path, monkeypatch, variant, case):
    write_case(tmp_path / "case", case, find_variant(variant))
    _, [(here, values)] = ingested(tmp_path / "case", Action.REPAIR)
    arrays = Store(tmp_path / "store-repair").read_tensors(here.array)
    (tmp_path / "store-repair").rename(tmp_path / "first")
    monkeypatch.setattr("medkd.dicom.decoders._POOL_FROM_PIXELS", 1)
    monkeypatch.setattr("medkd.dicom.decoders.Decoders.__init__.__defaults__", (2,))
    _, [(there, _)] = ingested(tmp_path / "case", Action.REPAIR)
    assert there == here.model_copy(update={"array": there.array})
    assert there.array.sha256 == here.array.sha256
    measured = arrays["synthetic"].numpy() == 0 if "synthetic" in arrays else ...
    assert np.abs(values - truth(here))[measured].max() < 1
