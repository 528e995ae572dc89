"""Read files from first to last byte once: the digest of all of them, and the bytes that a header is parsed from."""

from __future__ import annotations

import stat
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import xxhash

_THREADS = 4
#: Seconds per file from which reading is waiting, and how many files are then read ahead.
_WAITING_SECONDS, _AHEAD = 0.002, 32
#: Files up to this are read at once; larger ones are streamed.
_AT_ONCE = 32 * 2**20
#: Bytes of a file that are kept until its header is parsed.
_HEADER_BYTES = 64 * 2**10
#: Digest, the first bytes of the file (all of a small one), size, and why there are none.
Fetched = tuple[str, bytes, int, str]


def fetch_all(paths: list[Path | None]) -> Iterator[Fetched]:
    """Yield what is read of each file, in order (nothing of None); in threads as soon as reading means waiting (a disc, a network).

    Files in the machine's memory are read here: handing them between threads costs more than reading them.
    """
    started = time.perf_counter()
    for done, path in enumerate(paths):
        if done and (time.perf_counter() - started) / done > _WAITING_SECONDS:
            with ThreadPoolExecutor(_THREADS) as pool:
                # A few files ahead of whoever parses them: a cohort does not fit into memory.
                ahead: deque[Future[Fetched]] = deque()
                for later in paths[done:]:
                    ahead.append(pool.submit(fetch, later))
                    if len(ahead) >= _AHEAD:
                        yield ahead.popleft().result()
                while ahead:
                    yield ahead.popleft().result()
            return
        fetched = fetch(path)
        # Only reading counts, not what the caller does with it.
        paused = time.perf_counter()
        yield fetched
        started += time.perf_counter() - paused


def fetch(path: Path | None) -> Fetched:
    """Return what is read of one file; why nothing was is said, never raised.

    Args:
        path: of the file; None is not read.
    """
    if path is None:
        return "", b"", 0, "not read"
    try:
        try:
            status = path.stat()
        except FileNotFoundError:
            return "", b"", 0, "a link to nothing, or no regular file"
        # Opening a pipe would wait for somebody to write to it.
        if not stat.S_ISREG(status.st_mode):
            return "", b"", 0, "a link to nothing, or no regular file"
        size = status.st_size
        if size <= _AT_ONCE:
            with path.open("rb", buffering=0) as plain:
                payload = plain.readall()
            # Of a large image the header and the end are enough, and memory is not.
            return xxhash.xxh3_128_hexdigest(payload), payload[:_HEADER_BYTES], len(payload), ""
        digest = xxhash.xxh3_128()
        with path.open("rb") as stream:
            while chunk := stream.read(2**20):
                digest.update(chunk)
        return digest.hexdigest(), b"", size, ""
    except OSError as error:
        return "", b"", 0, error.strerror or type(error).__name__
