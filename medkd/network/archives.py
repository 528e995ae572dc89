"""Opens the archive that a source names, and brings its studies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from medkd.network.addresses import StudySource, WebPeer, parse_source
from medkd.network.mirror import Archive, bring_studies
from medkd.network.secure import tls_folder


def open_archive(source: StudySource, tls: Path | None = None) -> Archive:
    """Return the archive of a source; nothing is asked yet.

    Args:
        source: studies of an archive.
        tls: folder of certificates; by default the one that the environment names.
    """
    tls = tls or tls_folder()
    if isinstance(source.peer, WebPeer):
        from medkd.network.dicomweb import WebArchive

        return WebArchive(source.peer.url, tls=tls)
    from medkd.network.dimse import DimseArchive

    return DimseArchive(source.peer, move=source.move, tls=tls)


def bring(uri: str, said: Callable[[str], None] = lambda _: None) -> Path:
    """Return a folder with the studies that a URI names, every object of them.

    Raises:
        NetworkError: as :func:`medkd.network.addresses.parse_source` and :func:`medkd.network.mirror.bring_studies`.
        MissingDependencyError: ``NETWORK_LIBRARIES``.
    """
    source = parse_source(uri)
    return bring_studies(source, open_archive(source), said=said)
