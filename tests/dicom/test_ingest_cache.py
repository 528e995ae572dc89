"""What a store says of itself is compared with its digest before it is believed."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from data_contracts import StoreError
from medkd.dicom.ingest_cache import MANIFEST, MEMORY, UNFINISHED, read_manifest
from medkd.phantom.dicom_faults import write_case
from medkd.phantom.faulty_scan import find_variant
from medkd.storage.sealed import seal_of
from tests.dicom.drawn import draw_segmentation, draw_series
from tests.dicom.ingesting import ingest_folder


@pytest.fixture
def store(tmp_path):
    for name in ("regular", "gantry_tilt"):
        write_case(tmp_path / "in" / name, name, find_variant("axial"), seed=1)
    ingest_folder(tmp_path / "in", tmp_path / "store", secret=b"k")
    return tmp_path / "store"


def flip(path, place=None):
    payload = bytearray(path.read_bytes())
    payload[len(payload) // 2 if place is None else place] ^= 1
    path.write_bytes(payload)


def test_an_altered_manifest_is_refused_wherever_it_is_read(store, tmp_path):
    whole = (store / MANIFEST).read_bytes()
    for place in range(1, len(whole), max(1, len(whole) // 40)):
        (store / MANIFEST).write_bytes(whole)
        flip(store / MANIFEST, place)
        with pytest.raises(StoreError, match=r"manifest\.json") as caught:
            read_manifest(store)
        assert caught.value.code == "MANIFEST_ALTERED"
    with pytest.raises(StoreError, match=r"manifest\.json"):
        ingest_folder(tmp_path / "in", store, secret=b"k")
    (store / MANIFEST).write_bytes(whole)
    assert len(read_manifest(store).volumes) == 1


def test_a_process_killed_between_digest_and_manifest_leaves_a_store_that_can_be_read(store):
    (seal_of(store / MANIFEST)).write_text("f" * 64 + "\n" + (seal_of(store / MANIFEST)).read_text())
    assert len(read_manifest(store).volumes) == 1
    (seal_of(store / MANIFEST)).unlink()  # of an earlier version
    assert len(read_manifest(store).volumes) == 1


def test_an_altered_memory_is_not_believed_and_everything_is_judged_again(store, tmp_path, caplog):
    before = (store / MANIFEST).read_bytes()
    assert ingest_folder(tmp_path / "in", store, secret=b"k").decoded_files == 0
    flip(store / MEMORY)
    with caplog.at_level(logging.WARNING, logger="medkd"):
        assert ingest_folder(tmp_path / "in", store, secret=b"k").decoded_files > 0
    assert "MEMORY_ALTERED" in caplog.text
    assert (store / MANIFEST).read_bytes() == before
    assert ingest_folder(tmp_path / "in", store, secret=b"k").decoded_files == 0


def test_an_altered_file_in_quarantine_is_said_and_replaced(store, tmp_path, caplog):
    kept = next((store / "quarantine").glob("*/file"))
    whole = kept.read_bytes()
    flip(kept)
    with caplog.at_level(logging.WARNING, logger="medkd"):
        ingest_folder(tmp_path / "in", store, secret=b"k")
    assert "QUARANTINE_ALTERED" in caplog.text
    assert kept.parent.name in caplog.text
    assert kept.read_bytes() == whole


def test_an_altered_volume_is_made_again(store, tmp_path):
    volume = next((store / "volumes").glob("*.safetensors"))
    whole = volume.read_bytes()
    flip(volume)
    ingest_folder(tmp_path / "in", store, secret=b"k")
    assert volume.read_bytes() == whole


@pytest.mark.parametrize("folder", ["volumes", "labels"])
def test_files_that_were_added_are_refused_by_name_and_moved_aside_by_the_next_ingestion(store, tmp_path, caplog, folder):
    added = store / folder / "s-added.safetensors"
    added.parent.mkdir(exist_ok=True)
    added.write_bytes(b"x")
    with pytest.raises(StoreError, match=rf"{folder}/s-added\.safetensors was added") as caught:
        read_manifest(store)
    assert caught.value.code == "STORE_ALTERED"
    with caplog.at_level(logging.WARNING, logger="medkd"):
        ingest_folder(tmp_path / "in", store, secret=b"k")
    assert f"{folder}/s-added.safetensors" in caplog.text
    assert (store / "quarantine" / "unlisted" / folder / added.name).read_bytes() == b"x"
    assert len(read_manifest(store).volumes) == 1


def test_while_an_ingestion_is_under_way_what_it_has_written_is_not_called_altered(store, caplog):
    (store / "volumes" / "s-new.safetensors").write_bytes(b"x")
    (store / UNFINISHED).touch()
    with caplog.at_level(logging.WARNING, logger="medkd"):
        assert len(read_manifest(store).volumes) == 1
    assert "volumes/s-new.safetensors" in caplog.text


def test_a_label_that_was_exported_again_replaces_the_earlier_one(tmp_path):
    series = draw_series(tmp_path / "in")
    mask = np.zeros((8, 20, 24), bool)
    for size in (4, 6):
        mask[2:5, 4 : 4 + size, 6:12] = True
        draw_segmentation(tmp_path / "in" / "seg.dcm", series, {1: mask}, {1: "Liver"}, listed=[series])
        ingest_folder(tmp_path / "in", tmp_path / "store", secret=b"k")
        assert read_manifest(tmp_path / "store").volumes[0].label.segments[0].voxels == mask.sum()
        assert len(list((tmp_path / "store" / "labels").iterdir())) == 1
    assert not (tmp_path / "store" / "quarantine" / "unlisted").exists()
    assert not (tmp_path / "store" / UNFINISHED).exists()
