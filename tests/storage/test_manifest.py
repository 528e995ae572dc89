from __future__ import annotations

import hashlib
import json

import pytest

from data_contracts import RegistryError
from data_contracts.record import PARTIAL
from medkd.storage.manifest import MANIFEST, pack_model, verify_folder

FILES = {"weights.safetensors": b"\x00\x01\x02\x03", "card.json": b"{}", "shards/0.bin": b"shard"}


@pytest.fixture
def packed(tmp_path):
    """Return a packed folder and the digest of its manifest."""
    return tmp_path / "model", pack_model(tmp_path / "model", FILES)


def refused(folder, digest):
    with pytest.raises(RegistryError) as caught:
        verify_folder(folder, digest)
    assert caught.value.code == "VERSION_ALTERED"
    return str(caught.value)


def test_what_was_packed_is_listed_with_its_sha256_and_verifies(packed):
    folder, digest = packed
    listed = json.loads((folder / MANIFEST).read_bytes())["files"]
    assert listed == {name: {"sha256": hashlib.sha256(payload).hexdigest(), "bytes": len(payload)} for name, payload in FILES.items()}
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    assert set(verify_folder(folder, digest).files) == set(FILES)
    assert hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest() == digest


def test_the_digest_depends_on_names_and_bytes_and_not_on_their_order(packed, tmp_path):
    assert pack_model(tmp_path / "again", dict(reversed(FILES.items()))) == packed[1]
    assert pack_model(tmp_path / "renamed", {**FILES, "card2.json": b"{}"}) != packed[1]
    assert pack_model(tmp_path / "changed", {**FILES, "card.json": b"[]"}) != packed[1]


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte_and_a_missing_file_are_named(packed, name):
    folder, digest = packed
    path, payload = folder / name, FILES[name]
    path.write_bytes(bytes([payload[0] ^ 1]) + payload[1:])
    assert f"expected {name} with sha256" in refused(folder, digest)
    path.unlink()
    assert f"expected {name} with sha256" in refused(folder, digest)
    path.write_bytes(payload)
    verify_folder(folder, digest)


@pytest.mark.parametrize("name", ["extra.bin", "shards/1.bin", ".hidden", "new/deep/file"])
def test_an_added_file_is_named(packed, name):
    folder, digest = packed
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"")
    assert f"{name} was added" in refused(folder, digest)


def test_an_added_link_is_named_even_where_it_leads_to_a_folder(packed, tmp_path):
    folder, digest = packed
    (folder / "link").symlink_to(tmp_path, target_is_directory=True)
    assert "link was added" in refused(folder, digest)


def test_without_its_manifest_or_with_another_a_folder_is_refused(packed, tmp_path):
    folder, digest = packed
    pack_model(tmp_path / "other", {"a": b"b"})
    own = (folder / MANIFEST).read_bytes()
    (folder / MANIFEST).write_bytes((tmp_path / "other" / MANIFEST).read_bytes())
    assert f"expected manifest digest {digest[:12]}" in refused(folder, digest)
    (folder / MANIFEST).unlink()
    assert "it is missing" in refused(folder, digest)
    (folder / MANIFEST).write_bytes(own)
    verify_folder(folder, digest)


def test_what_a_killed_process_left_half_written_is_cleared_away(tmp_path):
    (tmp_path / "shards").mkdir()
    left = tmp_path / "shards" / f"0.bin{PARTIAL}"
    left.write_bytes(b"half")
    verify_folder(tmp_path, pack_model(tmp_path, FILES))
    assert not left.exists()
