"""A file filled slice by slice is there whole, or not at all."""

from __future__ import annotations

import resource

import pytest

from medkd.dicom.mapped_volume import MappedVolume


def test_a_volume_without_room_is_known_before_it_is_written_and_leaves_nothing(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            MappedVolume(tmp_path / "volume", {"volume": ("int16", (200, 512, 512))})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_a_volume_has_its_room_from_the_begin(tmp_path):
    volume = MappedVolume(tmp_path / "volume", {"volume": ("int16", (20, 128, 128))})
    assert volume.partial.stat().st_blocks * 512 >= volume.partial.stat().st_size == volume.begin + 20 * 128 * 128 * 2
    volume.discard()
