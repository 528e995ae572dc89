"""Places by URI: a folder, and a bucket of a store that the test starts."""

from __future__ import annotations

import pickle

import pytest
from s3_server import SECRET, s3_server

from data_contracts import StoreError
from medkd.storage import remote
from medkd.storage.remote import Remote, checked_uri, is_uri


@pytest.fixture(scope="module")
def bucket():
    with s3_server("studies") as (client, environment), pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        remote._bucket.cache_clear()
        yield client
    remote._bucket.cache_clear()


@pytest.fixture(params=["folder", "file", "s3"])
def place(request, tmp_path):
    if request.param == "s3":
        request.getfixturevalue("bucket")
        return Remote(f"s3://studies/{tmp_path.name}/")
    (tmp_path / "shared").mkdir()
    return Remote(f"{'file://' if request.param == 'file' else ''}{tmp_path / 'shared'}")


def test_files_are_written_read_and_listed_wherever_they_lie(place, tmp_path):
    assert not place.exists("a/b")
    assert place.read("a/b") is None
    assert not place.download("a/b", tmp_path / "copy")
    place.write("a/b", b"one")
    (tmp_path / "large").write_bytes(bytes(range(256)) * 40_000)
    place.upload(tmp_path / "large", "c")
    assert place.read("a/b") == b"one"
    assert pickle.loads(pickle.dumps(place)).download("c", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "large").read_bytes()
    assert {key: size for key, (size, _) in place.files().items()} == {"a/b": 3, "c": 10_240_000}


def test_a_folder_that_is_not_mounted_is_no_empty_store(tmp_path):
    mount = Remote(str(tmp_path / "mount"))
    for ask in (mount.require, lambda: mount.exists("x"), lambda: mount.read("x"), lambda: mount.write("x", b"")):
        with pytest.raises(StoreError, match="cannot be reached") as caught:
            ask()
    assert caught.value.code == "STORE_UNREACHABLE"
    assert not (tmp_path / "mount").exists()


def test_a_store_that_does_not_answer_and_one_that_is_not_there_are_one_sentence(bucket, monkeypatch):
    with pytest.raises(StoreError, match="expected to write s3://nobody/x") as caught:
        Remote("s3://nobody").write("x", b"")
    with pytest.raises(StoreError, match="expected to find s3://nobody"):
        Remote("s3://nobody/y").require()
    assert caught.value.code == "STORE_UNREACHABLE"
    remote._bucket.cache_clear()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    nowhere = Remote("s3://studies")
    for ask in (lambda: nowhere.exists("x"), nowhere.files):
        with pytest.raises(StoreError, match="network connection") as caught:
            ask()
    remote._bucket.cache_clear()
    assert caught.value.code == "STORE_UNREACHABLE"
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_store_that_refuses_says_so(place, monkeypatch):
    def refuse(*_):
        raise OSError("AWS Error ACCESS_DENIED during HeadObject operation: key " + SECRET)

    monkeypatch.setattr(type(place._files), "info", refuse)
    with pytest.raises(StoreError, match="does not allow it") as caught:
        place.exists("x")
    assert caught.value.code == "STORE_DENIED"
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("uri", ["s3://", "s3://user:password@bucket/x", "", "s3://bucket/../x", "s3://" + "x" * 2000, "file://"])
def test_what_is_no_store_is_refused_and_no_password_repeated(uri):
    with pytest.raises(StoreError) as caught:
        checked_uri(uri)
    assert caught.value.code == "STORE_URI"
    assert "password@" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_a_scheme_without_its_package_is_named():
    with pytest.raises(Exception, match="expected a Python package for nonsense") as caught:
        Remote("nonsense://x/y").require()
    assert caught.value.code == "STORE_DRIVER"


def test_windows_paths_and_folders_are_no_uris():
    assert is_uri("s3://a/b")
    assert not any(map(is_uri, ("a/b", "/a//b", "C:/x", "models:/a/1")))
