"""Bytes under a URI: a local folder, a shared mount, or a bucket, through fsspec. Whatever goes wrong there is one sentence with a code.

Of ``s3://`` the file system is Arrow's, which MLflow brings: s3fs holds botocore back behind boto3, so that both are not installed together.
Credentials come from where AWS's own tools take them (environment, ``~/.aws``, the machine's role), never from a URI.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_contracts import MissingDependencyError, StoreError
from data_contracts.private import open_private, private_folder
from medkd.storage.store import write_bytes

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

#: Seconds until a bucket that does not answer counts as not reachable; tries of each request.
CONNECT_S, REQUEST_S, TRIES = 5, 60, 2
#: Endpoints of other servers than AWS's: the variables of AWS's tools, and MLflow's.
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "MLFLOW_S3_ENDPOINT_URL")
_URI = re.compile(r"^[a-z][a-z0-9+.-]*://")
_DENIED = (
    "ACCESS_DENIED",
    "INVALID_ACCESS_KEY_ID",
    "SIGNATURE_DOES_NOT_MATCH",
    "INVALID_CLIENT_TOKEN_ID",
    "EXPIRED_TOKEN",
    "HTTP status 403",
)


def is_uri(place: str) -> bool:
    """Return whether a place is written as ``SCHEME://…``."""
    return _URI.match(place) is not None


class Remote:
    """A place that several machines share, and the files in it by key.

    Args:
        uri: ``s3://BUCKET/PREFIX``, ``file:///FOLDER``, or a folder.

    Raises:
        StoreError: ``STORE_URI`` for what is none, and for one with a password in it.
        MissingDependencyError: ``STORE_DRIVER`` where fsspec lacks the package of the scheme.
    """

    def __init__(self, uri: str) -> None:
        self.uri = checked_uri(uri)
        self._is_local = not is_uri(self.uri) or self.uri.startswith("file://")
        place = self.uri.removeprefix("file://")
        self._root = os.path.abspath(place) if self._is_local else place.partition("://")[2].strip("/")

    def __reduce__(self) -> tuple[Any, ...]:
        """Take only the URI to another process: credentials are those of each machine."""
        return (Remote, (self.uri,))

    def exists(self, key: str) -> bool:
        """Return whether there is a file."""
        with self._said("look for", key):
            files = self._files
            try:
                # ``isfile`` would say no where nobody answers.
                return bool(files.info(self._path(key))["type"] == "file")
            except FileNotFoundError:
                return False

    def read(self, key: str) -> bytes | None:
        """Return the bytes of a file, None where there is none."""
        with self._said("read", key):
            files = self._files
            try:
                return bytes(files.cat_file(self._path(key)))
            except FileNotFoundError:
                return None

    def download(self, key: str, target: Path) -> bool:
        """Copy a file to this machine; return False where there is none."""
        private_folder(target.parent)
        with self._said("read", key):
            files = self._files
            try:
                with files.open(self._path(key), "rb") as source, open_private(target) as stream:
                    while block := source.read(1 << 22):
                        stream.write(block)
            except FileNotFoundError:
                return False
        return True

    def write(self, key: str, payload: bytes) -> None:
        """Write a file: others see the whole of it, or nothing."""
        with self._said("write", key):
            if self._is_local:
                self._replace(key, payload)
            else:
                self._files.pipe_file(self._path(key), payload)

    def upload(self, source: Path, key: str) -> None:
        """Write a file from this machine's disk, as :meth:`write`."""
        with self._said("write", key):
            if self._is_local:
                self._replace(key, source.read_bytes())
                return
            with source.open("rb") as stream, self._files.open(self._path(key), "wb") as target:
                while block := stream.read(1 << 22):
                    target.write(block)

    def files(self, folder: str = "") -> dict[str, tuple[int, str]]:
        """Return size in bytes and time of change of every file below a folder of the place, by key relative to it; none where there is none."""
        with self._said("list", folder):
            files = self._files
            try:
                # By default what cannot be listed is left out in silence.
                found = files.find(self._path(folder), detail=True, on_error="raise")
            except FileNotFoundError:
                return {}
        begin = len(self._path(folder)) + 1
        return {path[begin:]: (int(one["size"]), str(one.get("mtime") or one.get("LastModified"))) for path, one in sorted(found.items())}

    def require(self) -> None:
        """Ask whether the folder or bucket is there.

        Raises:
            StoreError: ``STORE_UNREACHABLE`` or ``STORE_DENIED``.
        """
        with self._said("find", ""):
            self._files.info(self._root if self._is_local else self._root.partition("/")[0])

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}" if key else self._root

    def _replace(self, key: str, payload: bytes) -> None:
        self.require()  # a mount that is not there must not become a folder of this machine
        write_bytes(Path(self._path(key)), payload)

    @functools.cached_property
    def _files(self) -> AbstractFileSystem:
        import fsspec

        if self._is_local:
            # A mount that is not there would otherwise be an empty folder of this machine.
            if not Path(self._root).is_dir():
                raise FileNotFoundError("no such folder")
            return fsspec.filesystem("file")
        scheme = self.uri.partition("://")[0]
        if scheme == "s3":
            return _bucket()
        try:
            return fsspec.filesystem(scheme)
        except (ImportError, ValueError) as error:
            raise MissingDependencyError(
                "STORE_DRIVER", f"expected a Python package for {scheme}:// that fsspec knows, there is none; install it, or use s3://"
            ) from error

    @contextmanager
    def _said(self, what: str, key: str) -> Iterator[None]:
        """Turn what goes wrong into one sentence; what a driver says is left out, which may hold keys and headers."""
        place = f"{self.uri}/{key}" if key else self.uri
        try:
            yield
        except (StoreError, MissingDependencyError):
            raise
        except FileNotFoundError as error:
            raise _unreachable(place, what, "there is no such folder or bucket") from error
        except PermissionError as error:
            raise _denied(place, what) from error
        except Exception as error:
            if any(sign in str(error) for sign in _DENIED):
                raise _denied(place, what) from None
            raise _unreachable(place, what, _kind(error)) from None


def checked_uri(uri: str) -> str:
    """Return the URI of a store without a slash at its end.

    Raises:
        StoreError: ``STORE_URI``.
    """
    scheme, _, rest = uri.partition("://") if is_uri(uri) else ("file", "", uri)
    if is_uri(uri) and "@" in rest.partition("/")[0]:
        raise StoreError(
            "STORE_URI", f"expected a {scheme}:// URI without user and password, got one with them; give them as AWS's tools take them"
        )
    if not rest.strip("/") or len(uri) > 1000 or "\0" in uri or ".." in rest.split("/"):
        raise StoreError("STORE_URI", f"expected s3://BUCKET/PREFIX, file:///FOLDER or a folder as a store, got {uri[:80]!r}")
    return uri.rstrip("/")


@functools.cache
def _bucket() -> AbstractFileSystem:
    try:
        from fsspec.implementations.arrow import ArrowFSWrapper
        from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem
    except ImportError as error:
        raise MissingDependencyError(
            "STORE_DRIVER", f'expected pyarrow with S3 for s3://, its import gave {type(error).__name__}; pip install -e ".[s3]"'
        ) from error
    endpoint = next((os.environ[name] for name in ENDPOINTS if os.environ.get(name)), None)
    return ArrowFSWrapper(
        S3FileSystem(
            endpoint_override=endpoint,
            connect_timeout=CONNECT_S,
            request_timeout=REQUEST_S,
            retry_strategy=AwsStandardS3RetryStrategy(max_attempts=TRIES),
            allow_delayed_open=True,  # one request for a small file: whole or not at all
        )
    )


def _kind(error: Exception) -> str:
    code = re.search(r"AWS Error ([A-Z_]+)", str(error))
    return code.group(1).lower().replace("_", " ") if code else type(error).__name__


def _unreachable(place: str, what: str, why: str) -> StoreError:
    return StoreError(
        "STORE_UNREACHABLE", f"expected to {what} {place}, the store cannot be reached ({why}); look at its address and whether it runs"
    )


def _denied(place: str, what: str) -> StoreError:
    return StoreError("STORE_DENIED", f"expected to {what} {place}, the store does not allow it; look at the credentials of this machine")
