"""The artefacts of a server, in a folder or a bucket: copied out whole, and back into an empty place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlflow_server.errors import ServerError
from mlflow_server.private import private_folder


def copy_out(location: str, target: Path) -> None:
    """Copy every artefact into a new folder.

    Args:
        location: absolute path or ``s3://BUCKET/PREFIX``.
        target: folder that is made.

    Raises:
        ServerError: ``ARTIFACTS_MISSING`` without the folder; ``ARTIFACT_LINK`` naming a symbolic link: what it points to lies outside of
            what is backed up.
    """
    private_folder(target)
    if location.startswith("s3://"):
        _copy_bucket(location, target)
        return
    if not Path(location).is_dir():  # a disk that is not mounted would look like a server without artefacts
        raise ServerError("ARTIFACTS_MISSING", f"expected artefacts in {location}, there is no such folder; mount it, or make it")
    for path in _files(Path(location)):
        place = target / path.relative_to(location)
        private_folder(place.parent)
        shutil.copyfile(path, place)


def copy_in(source: Path, location: str) -> None:
    """Copy every artefact of a backup to a place that :func:`require_empty` has looked at."""
    if not location.startswith("s3://"):
        copy_out(str(source), Path(location))
        return
    client, bucket, prefix = _bucket(location)
    for path in _files(source):
        client.upload_file(str(path), bucket, prefix + path.relative_to(source).as_posix())


def require_empty(location: str) -> None:
    """Refuse a place where something lies.

    Raises:
        ServerError: ``TARGET_NOT_EMPTY`` naming the first of it.
    """
    if location.startswith("s3://"):
        client, bucket, prefix = _bucket(location)
        first = next((f"s3://{bucket}/{key}" for key in _keys(client, bucket, prefix)), None)
    else:
        first = next((str(path) for path in Path(location).iterdir()), None) if Path(location).is_dir() else None
    if first is not None:
        raise ServerError("TARGET_NOT_EMPTY", f"expected nothing at {location}, found {first}; name another place")


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder, onerror=_raise):
        folders.sort()
        for name in sorted(folders + names):
            path = Path(root, name)
            if path.is_symlink():
                raise ServerError(
                    "ARTIFACT_LINK",
                    f"expected files and folders in {folder}, found the symbolic link {path}; put what it points to in its place",
                )
            if path.is_file():
                yield path


def _raise(error: OSError) -> None:
    raise error


def _copy_bucket(location: str, target: Path) -> None:
    client, bucket, prefix = _bucket(location)
    for key in _keys(client, bucket, prefix):
        place = (target / key.removeprefix(prefix)).resolve()
        if not place.is_relative_to(target.resolve()):
            raise ServerError("ARTIFACT_NAME", f"expected names below s3://{bucket}/{prefix}, found {key!r}; rename the object")
        private_folder(place.parent)
        client.download_file(bucket, key, str(place))


def _bucket(location: str) -> tuple[Any, str, str]:
    """Return a client, the bucket, and the prefix with its slash; endpoint and key are those that MLflow uses too."""
    try:
        import boto3
    except ImportError as error:
        raise ServerError(
            "LIBRARY_MISSING", f"expected the Python package boto3 for {location}, it is not installed; pip install boto3"
        ) from error
    bucket, _, prefix = location.removeprefix("s3://").partition("/")
    client = boto3.client("s3", endpoint_url=os.environ.get("MLFLOW_S3_ENDPOINT_URL"))
    return client, bucket, f"{prefix.rstrip('/')}/" if prefix else ""


def _keys(client: Any, bucket: str, prefix: str) -> Iterator[str]:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from (item["Key"] for item in page.get("Contents", ()) if not item["Key"].endswith("/"))
