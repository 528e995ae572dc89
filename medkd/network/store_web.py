"""Objects to an archive by STOW-RS."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from medkd.network.dicomweb import WebArchive
from medkd.network.outgoing import OutgoingObject

#: Bytes that a request has at most, unless an object alone is larger: archives and what stands before them bound bodies.
_MOST_BYTES = 64 << 20


class WebOutlet:
    """Stores by HTTP.

    Args:
        url: root of the archive's DICOMweb.
        tls: folder of certificates.
    """

    def __init__(self, url: str, *, tls: Path | None = None) -> None:
        self._archive = WebArchive(url, tls=tls)

    def stored(self, study: str) -> set[str]:
        """Return what the archive holds of a study (QIDO-RS)."""
        return self._archive.stored(study)

    def send(self, objects: list[OutgoingObject], sent: Callable[[OutgoingObject], None]) -> dict[str, str]:
        """Send objects, several in a request; what the archive names as failed, or does not name as stored, was refused."""
        refused: dict[str, str] = {}
        for some in _batches(objects):
            failed = self._archive.store(one.path.read_bytes() for one in some)
            for one in some:
                if one.sop_instance_uid in failed:
                    refused[one.sop_instance_uid] = f"refused, failure reason 0x{failed[one.sop_instance_uid]:04X}"
                else:
                    sent(one)
        return refused


def _batches(objects: list[OutgoingObject]) -> list[list[OutgoingObject]]:
    found: list[list[OutgoingObject]] = []
    room = 0
    for one in objects:
        size = one.path.stat().st_size
        if not found or size > room:
            found.append([])
            room = _MOST_BYTES
        found[-1].append(one)
        room -= size
    return found
