"""A series becomes a volume, or all its files are refused under one code."""

from __future__ import annotations

import numpy as np
import pytest

from data_contracts import IngestCode, IngestPolicy, Outcome
from medkd.dicom.decoders import Decoders
from medkd.dicom.ingest_cache import IngestCache
from medkd.dicom.ingest_series import SeriesIngestion
from medkd.dicom.ledger import Ledger
from medkd.dicom.pixel_place import PixelPlace
from medkd.dicom.slices import slices_of
from medkd.storage.store import Store
from tests.dicom.invented import SECRET, found, group_of, header, slice_at


@pytest.fixture
def series(tmp_path):
    out = tmp_path / "store"
    return SeriesIngestion(SECRET, Store(out), IngestPolicy(), IngestCache(out, IngestPolicy()), Ledger(), Decoders(1))


@pytest.fixture
def stack(tmp_path):
    """Return a maker of groups of slices whose pixels lie in files."""

    def make(heights, *, seed=0, **values):
        slices = []
        for number, z in enumerate(heights):
            path = tmp_path / f"{seed}-{number}"
            path.write_bytes((np.arange(24, dtype="<i2") + number + 100 * seed).tobytes())
            slices += [slice_at(z, name=str(path), **values)]
        return group_of(slices)

    return make


def codes(series):
    return {outcome.code for outcome in series.ledger.outcomes.values()}


def test_a_sound_series_is_stored_and_its_files_accepted(series, stack):
    series.ingest_series(stack([0, 2, 4, 6]), {})
    ((volume, _),) = series.volumes.values()
    assert volume.geometry.shape == (4, 4, 6)
    assert (series.store.root / volume.array.key).is_file()
    assert {outcome.outcome for outcome in series.ledger.outcomes.values()} == {Outcome.ACCEPTED}


def test_a_series_that_cannot_be_verified_is_refused_and_not_asked_again(series, stack):
    group = stack([0, 2, 8, 10])
    for _ in range(2):
        series.ingest_series(group, {})
        assert codes(series) == {IngestCode.MISSING_SLICES}
    assert not series.volumes
    assert len(series.refused_keys) == 1


def test_what_was_accepted_in_a_header_is_a_flag_of_its_volume(series, stack):
    group = stack([0, 2, 4, 6])
    series.ingest_series(group, {group.files[0]: {IngestCode.PATIENT_ID_MISSING: {"action": "repair"}}})
    ((volume, _),) = series.volumes.values()
    assert volume.flags == (IngestCode.PATIENT_ID_MISSING,)


def test_a_file_that_breaks_off_is_the_reason_before_its_geometry(series):
    broken = found("x", header(0), pixels=PixelPlace(0, 10, whole=False))
    series.ingest_series(group_of(list(slices_of(broken))), {})
    assert codes(series) == {IngestCode.TRUNCATED_PIXELS}
