"""Every name and byte of an export is judged before anything is taken in."""

from __future__ import annotations

import shutil
import struct
import zipfile
from pathlib import Path

import pytest

from data_contracts import RegistryError
from medkd.registry.export_version import export_version
from medkd.registry.import_version import import_versions
from tests.registry.registered_versions import open_in, publish, register_lineage, rewrite


@pytest.fixture(scope="module")
def export_file(tmp_path_factory, empty_database):
    """Return an export that tests copy before they alter it."""
    folder = tmp_path_factory.mktemp("export")
    origin = register_lineage(open_in(folder / "origin", empty_database), folder / "origin")
    export_version(origin.registry, origin.student.uri, folder / "kd.zip")
    return folder / "kd.zip"


@pytest.fixture
def exported(export_file, tmp_path):
    return Path(shutil.copy(export_file, tmp_path / "kd.zip"))


@pytest.fixture(scope="module")
def site(tmp_path_factory, empty_database):
    """Return the registry of another site, which nothing that is refused changes: one for all tests."""
    folder = tmp_path_factory.mktemp("other") / "site"
    registry = open_in(folder, empty_database)
    for name in ("r-teacher", "r-kd"):
        publish(registry, folder, name, content="of the site")
    return registry


def flip(wanted):
    return lambda name, payload: bytes([payload[0] ^ 1]) + payload[1:] if name == wanted else payload


@pytest.mark.parametrize(
    "wanted",
    [
        "versions/2/package/card.json",
        "versions/2/attached/reports/fedcba987654/report.html",
        "export.json",
        "versions/0/package/manifest.json",
    ],
)
def test_an_altered_file_is_refused_by_name(exported, site, wanted):
    with pytest.raises(RegistryError, match=wanted) as caught:
        import_versions(site, rewrite(exported, flip(wanted)))
    assert caught.value.code == "EXPORT_ALTERED"
    assert len(site.versions("r-kd")) == 1


def test_a_byte_that_changed_on_the_way_is_refused_by_name(exported, site):
    data = bytearray(exported.read_bytes())
    data[data.index(b"r-kd ") + 1] ^= 1
    exported.write_bytes(data)
    with pytest.raises(RegistryError, match=r"versions/2/package/card\.json"):
        import_versions(site, exported)


@pytest.mark.parametrize("name", ["../evil", "/evil", "versions/../../evil", "a\\..\\evil", "C:/evil"])
def test_a_path_that_leaves_is_refused(exported, site, name):
    with pytest.raises(RegistryError, match="evil") as caught:
        import_versions(site, rewrite(exported, lambda _, payload: payload, added={name: b"x"}))
    assert caught.value.code == "EXPORT_UNSAFE"


def test_added_and_missing_files_are_refused_by_name(exported, site, tmp_path):
    shutil.copy(exported, tmp_path / "less.zip")
    for file in (
        rewrite(exported, lambda _, payload: payload, added={"more.txt": b"x"}),
        rewrite(tmp_path / "less.zip", lambda name, payload: None if name.endswith("2/package/card.json") else payload),
    ):
        with pytest.raises(RegistryError, match=r"more\.txt was added|card\.json is missing") as caught:
            import_versions(site, file)
        assert caught.value.code == "EXPORT_ALTERED"


def test_files_that_unpack_to_more_than_they_are_are_refused(exported, site, tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("export.json", b"0" * 2**24)
    data = bytearray(exported.read_bytes())
    entry = data.rindex(b"PK\x01\x02")  # of the export itself: an archive in it has entries of its own
    data[entry + 20 : entry + 28] = struct.pack("<II", 2**31, 2**31)
    (tmp_path / "lying.zip").write_bytes(data)
    for file in ("bomb.zip", "lying.zip"):
        with pytest.raises(RegistryError) as caught:
            import_versions(site, tmp_path / file)
        assert caught.value.code == "EXPORT_UNSAFE"


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x05\x06" + b"\0" * 18])
def test_what_is_no_export_is_refused(site, tmp_path, content):
    (tmp_path / "other.zip").write_bytes(content)
    with pytest.raises(RegistryError) as caught:
        import_versions(site, tmp_path / "other.zip")
    assert caught.value.code == "EXPORT_UNREADABLE"
