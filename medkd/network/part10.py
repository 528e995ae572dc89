"""What stands before a data set in a file: preamble and file meta information (PS3.10 7.1), always the same for the same object."""

from __future__ import annotations

from struct import pack

from medkd import __version__

#: Who writes: the UID that our de-identified files carry too (PS3.5 B.2), and the version, as PS3.7 D.3.3.2 wants them.
IMPLEMENTATION_CLASS_UID = "2.25.294210917236310861953142390271645510427"
IMPLEMENTATION_VERSION_NAME = f"MEDKD_{__version__}"[:16]


def file_head(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Return preamble and file meta information of an object.

    Nothing in it depends on who sent the object and when: the same object sent twice becomes the same bytes.
    """
    elements = b"".join(
        (
            _element(0x0001, b"OB", b"\0\1"),
            _element(0x0002, b"UI", _even(sop_class_uid, b"\0")),
            _element(0x0003, b"UI", _even(sop_instance_uid, b"\0")),
            _element(0x0010, b"UI", _even(transfer_syntax_uid, b"\0")),
            _element(0x0012, b"UI", _even(IMPLEMENTATION_CLASS_UID, b"\0")),
            _element(0x0013, b"SH", _even("MEDKD", b" ")),
        )
    )
    return b"\0" * 128 + b"DICM" + _element(0x0000, b"UL", pack("<L", len(elements))) + elements


def _element(number: int, kind: bytes, value: bytes) -> bytes:
    head = pack("<HH2s", 2, number, kind)
    return head + (pack("<HL", 0, len(value)) if kind == b"OB" else pack("<H", len(value))) + value


def _even(text: str, pad: bytes) -> bytes:
    encoded = text.encode("ascii")
    return encoded + pad * (len(encoded) % 2)
