"""How a dataset was encoded."""

from __future__ import annotations

from pydicom import Dataset
from pydicom.uid import UID

from medkd.dicom.plain_header import known_syntax
from medkd.dicom.raw_values import TRANSFER_SYNTAX


def transfer_syntax(header: Dataset) -> UID:
    """Return the transfer syntax of a dataset; where no file header states it, the uncompressed one it was read with."""
    meta = getattr(header, "file_meta", None)
    if meta is not None:
        known = known_syntax(meta.get_item(TRANSFER_SYNTAX))
        if known is not None:
            return known
        stated = meta.get("TransferSyntaxUID")
        if stated:
            return UID(str(stated))
    # Implicit VR is always little endian (PS3.5 A.1).
    implicit, little = header.original_encoding
    if implicit:
        return UID("1.2.840.10008.1.2")
    return UID("1.2.840.10008.1.2.1" if little is not False else "1.2.840.10008.1.2.2")
