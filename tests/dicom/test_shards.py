"""A source is parted into whole folders; what belongs together across them is found by the names of its files."""

from __future__ import annotations

import numpy as np
import pytest

from medkd.dicom.discover import Listed
from medkd.dicom.shards import NamedInstances, Shard, file_keys, hashed, is_large, plan_shards, spread_components
from tests.dicom.invented import found, header


@pytest.fixture
def listed(tmp_path):
    """Return a maker: so many files of ten bytes in each folder."""

    def make(**folders):
        made = []
        for folder, count in folders.items():
            (tmp_path / folder).mkdir()
            for number in range(count):
                path = tmp_path / folder / f"{number:03d}"
                path.write_bytes(b"x" * 10)
                made.append(Listed(path, f"{folder}/{path.name}"))
        return made

    return make


def sizes(shards):
    return [(len(shard.files), shard.whole) for shard in shards]


def test_folders_stay_whole_and_share_shards(listed):
    files = listed(a=3, b=3, c=4, d=2)
    assert sizes(plan_shards(files, most_files=5)) == [(6, True), (6, True)]
    assert [one for shard in plan_shards(files, most_files=5) for one in shard.files] == files
    assert sizes(plan_shards(files, most_bytes=20)) == [(3, True), (3, True), (4, True), (2, True)]


def test_a_large_folder_is_parted_and_only_its_names_are_read(listed):
    files = listed(a=11, b=2)
    assert sizes(plan_shards(files, most_files=4)) == [(4, False), (4, False), (3, False), (2, True)]
    assert sizes(plan_shards(files, most_files=4, split=False)) == [(11, True), (2, True)]


def test_how_large_a_source_is(listed, tmp_path, monkeypatch):
    listed(a=3, b=3)
    monkeypatch.setattr("medkd.dicom.shards.SHARD_FILES", 5)
    assert is_large(tmp_path)
    assert not is_large(tmp_path / "a")
    assert not is_large(tmp_path / "nowhere")
    monkeypatch.setattr("medkd.dicom.shards.SHARD_BYTES", 29)
    assert is_large(tmp_path / "a")
    assert not is_large(tmp_path / "a" / "000")


def test_files_are_bound_by_bytes_instance_and_series():
    same = {"SOPInstanceUID": "1.2", "SeriesInstanceUID": "1.3"}
    files = [
        found("a", header(**same), digest="1"),
        found("b", header(**same), digest="1"),
        found("c", header(SOPInstanceUID=None, SeriesInstanceUID=None), digest="2"),
        found("d", header(SOPInstanceUID=None, SeriesInstanceUID=None), digest="3"),
        found("e", None, digest=""),
        found("f", None, digest=""),
    ]
    keys = file_keys(files)
    assert (keys[0] == keys[1]).all()
    # Without an instance each is alone; without a series they may still be one.
    assert [bool(same) for same in keys[2] == keys[3]] == [False, False, True]
    assert not set(keys[4]) & set(keys[5])
    named = NamedInstances(keys)
    assert "1.2" in named
    assert "1.3" in named
    assert "1.4" not in named
    assert "1.4" not in NamedInstances(file_keys([]))


def test_nothing_is_spread_where_shards_share_nothing():
    keys = [np.array([[1, 2, 3], [4, 5, 3]], dtype=np.uint64), np.array([[6, 7, 8]], dtype=np.uint64)]
    assert spread_components(keys, [True, True]) == []
    (alone,) = spread_components(keys, [True, False])
    assert alone.tolist() == [2]


@pytest.mark.parametrize("seed", range(20))
def test_components_are_those_of_the_graph_that_the_keys_draw(seed):
    """Against a search from file to file over shared keys."""
    generator = np.random.default_rng(seed)
    keys = [generator.integers(0, 60, (generator.integers(0, 9), 3)).astype(np.uint64) for _ in range(5)]
    whole = [bool(one) for one in generator.random(5) < 0.8]
    rows = [(shard, set(row)) for shard, part in enumerate(keys) for row in part.tolist()]
    left, expected = set(range(len(rows))), []
    while left:
        component, edge = set(), {min(left)}
        while edge:
            component |= edge
            edge = {other for other in left - component if any(rows[other][1] & rows[one][1] for one in component)}
        left -= component
        shards = {rows[one][0] for one in component}
        if len(shards) > 1 or not all(whole[shard] for shard in shards):
            expected.append(sorted(component))
    assert [one.tolist() for one in spread_components(keys, whole)] == expected


def test_hashes_take_any_name():
    assert hashed("\udcff") == hashed("\udcff") != hashed("\udcfe")
    assert Shard(()).whole
