"""A manifest lists what was there and what came, and says how series were acquired without a time of day."""

from __future__ import annotations

from dataclasses import replace

import pytest

from data_contracts import IngestPolicy
from medkd.dicom.ingest_cache import IngestCache
from medkd.dicom.store_manifest import describe_volumes, store_manifest
from tests.dicom.invented import SECRET, group_of, slice_at, volume

GROUP = group_of([slice_at(z) for z in (0, 2, 4, 6)])
TIMES = ("AcquisitionTime=101500", "AcquisitionTime=101112")


@pytest.fixture
def cache(tmp_path):
    return IngestCache(tmp_path, IngestPolicy())


def manifest(cache, *named, refused=frozenset()):
    volumes = {volume(name).series_key: (volume(name), replace(GROUP, acquisition_key=key)) for name, key in named}
    return store_manifest(volumes, refused, cache, describe_volumes(volumes, SECRET)), list(volumes)


def test_what_was_there_stays_unless_it_was_refused_now(cache):
    earlier = volume("earlier")
    cache.volumes[earlier.series_key] = earlier
    kept, _ = manifest(cache, ("new", ""))
    assert {one.series_key for one in kept.volumes} == {earlier.series_key, volume("new").series_key}
    lost, _ = manifest(cache, ("new", ""), refused={earlier.series_key})
    assert [one.series_key for one in lost.volumes] == [volume("new").series_key]


def test_a_time_of_day_is_said_as_which_of_its_series_it_is(cache):
    listed, keys = manifest(cache, ("late", TIMES[0]), ("early", TIMES[1]))
    said = {one.series_key: one.acquisition for one in listed.series}
    assert [said[key] for key in keys] == ["time point 2", "time point 1"]
    assert "1015" not in listed.canonical_json().decode()


def test_what_may_be_said_is_said_beside_what_may_not(cache):
    listed, keys = manifest(cache, ("a", f"EchoTime=5; {TIMES[0]}"), ("b", f"EchoTime=7; {TIMES[1]}"))
    said = {one.series_key: one.acquisition for one in listed.series}
    assert [said[key] for key in keys] == ["TE 5 ms, time point 2", "TE 7 ms, time point 1"]
