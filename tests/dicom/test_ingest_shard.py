"""A shard is ingested by itself; what comes back is small, and headers that are asked for later come from the files again."""

from __future__ import annotations

import pickle

import pytest

from data_contracts import IngestPolicy
from medkd.dicom.decoders import Decoders
from medkd.dicom.discover import list_source
from medkd.dicom.ingest_cache import IngestCache
from medkd.dicom.ingest_shard import ShardTarget, ingest_shard
from medkd.dicom.shards import Shard
from medkd.phantom.dicom_faults import write_case
from medkd.storage.output import STORE, claim


@pytest.fixture
def shard(tmp_path):
    """Return a maker: a series of slices and a refused one, ingested as a shard."""
    write_case(tmp_path / "in" / "a", "regular")
    write_case(tmp_path / "in" / "b", "missing_slice", seed=1)
    listed = list_source(tmp_path / "in", tmp_path / "scratch")
    target = ShardTarget(claim(tmp_path / "store", STORE), IngestPolicy(), nifti=True)

    def make(*, whole=True):
        return ingest_shard(target, Shard(listed, whole=whole), b"k", Decoders(1), IngestCache(target.out, target.policy))

    return make


def kept(result):
    return [file.relative for file in result.found if file.__dict__.get("header") is not None]


def test_a_shard_writes_what_belongs_to_its_volumes(shard, tmp_path):
    result = shard()
    ((key, (volume, _)),) = result.volumes.items()
    assert (tmp_path / "store" / volume.array.key).is_file()
    assert result.pictures[key].is_file()
    assert len(list((tmp_path / "store" / "nifti").glob("*.nii.gz"))) == 1
    assert result.described[key].slices == 14
    assert set(result.refused_keys.values()) == {"b/IM0000.dcm"}
    assert {one.path.partition("/")[0]: one.outcome.value for one in result.ledger.outcomes.values()} == {
        "a": "accepted",
        "b": "quarantined",
    }


def test_what_comes_back_holds_one_header_a_volume_and_the_rest_is_read_again(shard):
    result = pickle.loads(pickle.dumps(shard()))
    ((_, group),) = result.volumes.values()
    assert kept(result) == [group.slices[0].file.relative]
    other = group.slices[1]
    assert other.header.SOPInstanceUID != group.header.SOPInstanceUID
    assert other.header.SeriesInstanceUID == group.header.SeriesInstanceUID


def test_a_header_of_a_file_that_changed_meanwhile_is_none(shard):
    result = shard()
    file = next(file for file in result.found if "header" not in file.__dict__)
    file.path.write_bytes(b"something else")
    with pytest.raises(ValueError, match="changed meanwhile"):
        _ = file.header


def test_of_a_part_of_a_folder_only_names_are_read(shard, tmp_path):
    result = shard(whole=False)
    assert (len(result.found), len(result.keys), result.whole) == (27, 27, False)
    assert kept(result) == []
    assert not result.volumes
    assert not result.ledger.outcomes
    assert not (tmp_path / "store" / "volumes").exists()


def test_files_can_be_taken_out_with_all_that_came_of_them(shard):
    result = shard()
    none = result.without({file.relative for file in result.found if file.relative.startswith("b/")})
    assert (set(none.volumes), none.refused_keys, len(none.keys)) == (set(result.volumes), {}, 14)
    one = result.without({"a/IM0003.dcm"})
    assert not one.volumes
    assert not one.described
    assert "a/IM0003.dcm" not in one.ledger.outcomes
    assert len(one.found) == 26
