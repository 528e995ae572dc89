"""How archives are named: by URIs that a command is given, parsed before anything is asked.

::

    dicomweb://HOST:PORT/PATH?StudyInstanceUID=…       QIDO-RS and WADO-RS over HTTP; dicomwebs:// over HTTPS
    dimse://CALLED@HOST:PORT?StudyInstanceUID=…        C-FIND and C-GET; with move=AE:PORT C-MOVE to a receiver of ours; dimses:// over TLS

Keys of a query are attributes of studies by their keywords (``PatientID``, ``AccessionNumber``, ``StudyDate``, …). ``calling`` is our AE title.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from data_contracts import NetworkError

SCHEMES = ("dicomweb", "dicomwebs", "dimse", "dimses")
#: Attributes of a study that both protocols can be asked by (PS3.4 table C.6-5, PS3.18 table 8.3.4-1).
KEYS = ("StudyInstanceUID", "PatientID", "AccessionNumber", "StudyDate", "StudyID", "ModalitiesInStudy")
CALLING = "MEDKD"
_AE = re.compile(r"[!-~]([ -~]{0,14}[!-~])?\Z")


@dataclass(frozen=True)
class DimsePeer:
    """An application entity.

    Attributes:
        called: its AE title.
        host: its name or address.
        port: that it listens at.
        calling: our AE title.
        tls: whether it is spoken with over TLS.
    """

    called: str
    host: str
    port: int
    calling: str = CALLING
    tls: bool = False

    def __str__(self) -> str:
        """Return it as it is typed."""
        return f"{self.called}@{self.host}:{self.port}"


@dataclass(frozen=True)
class WebPeer:
    """An origin server of DICOMweb.

    Attributes:
        url: of its root, http or https.
    """

    url: str

    def __str__(self) -> str:
        """Return its address."""
        return self.url


@dataclass(frozen=True)
class StudySource:
    """Studies of an archive.

    Attributes:
        peer: the archive.
        keys: what the studies have, by keywords.
        move: AE title and port of ours that objects are to be moved to; None: they come on the same association.
    """

    peer: DimsePeer | WebPeer
    keys: tuple[tuple[str, str], ...]
    move: tuple[str, int] | None = None


def is_network_source(text: str) -> bool:
    """Return whether a source is one of an archive."""
    return text.partition("://")[0].lower() in SCHEMES and "://" in text


def parse_source(text: str) -> StudySource:
    """Return the studies that a URI names.

    Raises:
        NetworkError: ``NETWORK_URI``.
    """
    address, _, query = text.partition("?")
    given = parse_qsl(query, keep_blank_values=True)
    special = {name: value for name, value in given if name in ("move", "calling")}
    keys = tuple((name, value) for name, value in given if name not in special)
    unknown = sorted({name for name, _ in keys} - set(KEYS))
    if unknown:
        raise _no_uri(f"keys among {', '.join(KEYS)}", f"{unknown[0]!r}")
    if not any(value.strip("*") for _, value in keys):
        # An archive that is asked for nothing in particular answers with everything.
        raise _no_uri("at least one key that studies are asked for by, ?StudyInstanceUID=…", f"{text!r}")
    peer = parse_peer(address, calling=special.get("calling", CALLING))
    if isinstance(peer, WebPeer) and special:
        raise _no_uri("move and calling with dimse:// alone", f"{text!r}")
    return StudySource(peer, keys, _parse_move(special["move"]) if "move" in special else None)


def parse_peer(text: str, *, calling: str = CALLING) -> DimsePeer | WebPeer:
    """Return an archive: ``AE@HOST:PORT``, or a URI without a query.

    Raises:
        NetworkError: ``NETWORK_URI``.
    """
    scheme, separator, _ = text.partition("://")
    if not separator:
        return _dimse(f"dimse://{text}", text, calling, tls=False)
    if scheme.lower() in ("dimse", "dimses"):
        return _dimse(text, text, calling, tls=scheme.lower() == "dimses")
    if scheme.lower() in ("http", "https", "dicomweb", "dicomwebs"):
        return _web(text, scheme.lower())
    raise _no_uri("AE@HOST:PORT, dimse://, dimses://, dicomweb://, dicomwebs://, http:// or https://", repr(text))


def parse_listen(text: str) -> tuple[str, int]:
    """Return address and port of ``PORT`` or ``HOST:PORT``; an empty address is all of this machine.

    Raises:
        NetworkError: ``NETWORK_URI``.
    """
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise _no_uri("a port to listen at, PORT or HOST:PORT", repr(text))
    return host, int(port)


def require_ae_title(title: str) -> str:
    """Return an AE title: 1 to 16 characters, no backslash, no control characters (PS3.5 6.2).

    Raises:
        NetworkError: ``AE_TITLE``.
    """
    if not _AE.match(title) or "\\" in title:
        raise NetworkError("AE_TITLE", f"expected an AE title of 1 to 16 printable characters without a backslash, got {title!r}")
    return title


def _dimse(uri: str, text: str, calling: str, *, tls: bool) -> DimsePeer:
    wanted = "AE@HOST:PORT, as dimse://ARCHIVE@pacs.example:104"
    try:
        parts = urlsplit(uri)
        called, host, port = parts.username or "", parts.hostname or "", parts.port
    except ValueError as error:
        raise _no_uri(wanted, repr(text)) from error
    if not called or not host or not port or parts.path.strip("/") or parts.password is not None:
        raise _no_uri(wanted, repr(text))
    return DimsePeer(require_ae_title(called), host, port, require_ae_title(calling), tls)


def _web(text: str, scheme: str) -> WebPeer:
    wanted = "the root of an archive's DICOMweb service, as https://pacs.example/dicom-web"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _no_uri(wanted, repr(text)) from error
    if parts.username is not None or parts.password is not None:
        # It would stand in the shell's history, in lists of processes and in logs.
        raise NetworkError(
            "NETWORK_SECRET", f"expected no name and password in the address of {host}; put a token into MEDKD_DICOMWEB_TOKEN"
        )
    if not host or parts.query or parts.fragment:
        raise _no_uri(wanted, repr(text))
    secure = scheme in ("https", "dicomwebs")
    place = f"[{host}]" if ":" in host else host
    return WebPeer(f"{'https' if secure else 'http'}://{place}{'' if port is None else f':{port}'}{parts.path.rstrip('/')}")


def _parse_move(text: str) -> tuple[str, int]:
    title, _, port = text.rpartition(":")
    if not title or not port.isdecimal() or not 0 < int(port) < 65536:
        raise _no_uri("move=AE:PORT, our AE title and the port that the archive sends to", repr(text))
    return require_ae_title(title), int(port)


def _no_uri(wanted: str, got: str) -> NetworkError:
    return NetworkError("NETWORK_URI", f"expected {wanted}, got {got}")
