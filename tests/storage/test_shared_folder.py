from __future__ import annotations

import pytest

from data_contracts import SourceError, StoreError
from medkd.storage.objects import object_key, open_objects
from medkd.storage.shared_folder import bring_folder, leave_folder, left_in, mirror_of


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return a shared folder, and how to become another machine."""
    (tmp_path / "mount" / "studies").mkdir(parents=True)

    def become(machine):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / machine))
        open_objects.cache_clear()

    become("first")
    yield f"file://{tmp_path / 'mount' / 'studies'}", become, tmp_path / "mount" / "studies"
    open_objects.cache_clear()


def folder_of(tmp_path, **files):
    for name, text in files.items():
        path = tmp_path / "own" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "own"


def held(folder):
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_goes_to_another_machine_without_what_is_confidential(place, tmp_path):
    uri, become, _ = place
    first = leave_folder(folder_of(tmp_path, a__x="1", b="2", quarantine__who="name", **{".lock": ""}), uri, None)
    become("second")
    assert bring_folder(uri).name == "studies"
    assert held(bring_folder(uri)) == {"a/x": "1", "b": "2"}
    (tmp_path / "own" / "b").unlink()
    leave_folder(folder_of(tmp_path, a__x="3"), uri, first)
    assert held(bring_folder(uri)) == {"a/x": "3"}


def test_an_altered_file_of_the_mirror_is_brought_again_and_one_of_the_store_is_named(place, tmp_path):
    uri, become, shared = place
    manifest = leave_folder(folder_of(tmp_path, b="2"), uri, None)
    (bring_folder(uri) / "b").unlink()
    (mirror_of(uri) / "b").write_text("9")
    assert held(bring_folder(uri)) == {"b": "2"}
    (shared / object_key(manifest.files["b"].sha256)).write_text("9")
    become("second")
    with pytest.raises(StoreError) as caught:
        bring_folder(uri)
    assert caught.value.code == "STORE_OBJECT_ALTERED"
    (shared / object_key(manifest.files["b"].sha256)).unlink()
    with pytest.raises(StoreError, match="its bytes are gone") as caught:
        bring_folder(uri)
    assert caught.value.code == "STORE_MISSING"


def test_two_machines_do_not_write_over_each_other(place, tmp_path):
    uri, become, _ = place
    folder = folder_of(tmp_path, b="2")
    leave_folder(folder, uri, None)
    become("second")
    with pytest.raises(StoreError, match="another machine wrote") as caught:
        leave_folder(folder_of(tmp_path, c="3"), uri, None)
    assert caught.value.code == "STORE_CHANGED"
    assert set(left_in(open_objects(uri)).files) == {"b"}


def test_files_that_somebody_put_there_are_copied_and_brought_again_when_they_change(place):
    uri, _, shared = place
    (shared / "images").mkdir()
    (shared / "images" / "1.png").write_text("one")
    (shared / "table.csv").write_text("id")
    assert held(bring_folder(uri)) == {"images/1.png": "one", "table.csv": "id"}
    (shared / "table.csv").unlink()
    (shared / "images" / "1.png").write_text("other")
    assert held(bring_folder(uri)) == {"images/1.png": "other"}


def test_nothing_there_is_said(place):
    with pytest.raises(SourceError) as caught:
        bring_folder(place[0])
    assert caught.value.code == "SOURCE_MISSING"
