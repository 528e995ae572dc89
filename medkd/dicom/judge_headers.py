"""What the headers of a group say of its pixels: reformatted, compressed with loss, inverted, written with commas."""

from __future__ import annotations

from data_contracts import IngestCode
from medkd.dicom.findings import Findings
from medkd.dicom.group import SliceGroup
from medkd.dicom.raw_values import raw_text
from medkd.dicom.transfer_syntax import transfer_syntax

#: LossyImageCompression (0028,2110) of an image that was.
_LOSSY = "01"
#: JPEG baseline and extended, JPEG-LS near-lossless, JPEG XL lossy: never without loss, whatever the header says.
_LOSSY_SYNTAXES = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 81, 112))


def judge_headers(group: SliceGroup, findings: Findings) -> None:
    """Settle what the headers say of the whole group: how its voxels came about and how they are written.

    Raises:
        IngestError: ``DERIVED_MPR``, ``LOSSY_COMPRESSED``, ``MONOCHROME1`` or ``BAD_VR``, where the policy refuses them.
    """
    image_type = [part.upper() for part in group.slices[0].contrast[0].split("\\")]
    # ImageType says it with MPR, or makers with words of their own (REFORMATTED).
    derived = next((word for word in ("MPR", "REFORMAT") for part in image_type if word in part), None)
    if derived is not None:
        findings.resolve(IngestCode.DERIVED_MPR, "expected an acquired series, got a reformatted one", {"image_type": derived})
    headers = [file.header for file in group.files if file.header is not None]
    if any(raw_text(header, 0x00282110) == _LOSSY or transfer_syntax(header) in _LOSSY_SYNTAXES for header in headers):
        ratio = str(group.header.get("LossyImageCompressionRatio", ""))
        findings.resolve(IngestCode.LOSSY_COMPRESSED, "expected lossless pixels, the image was compressed with loss", {"ratio": ratio})
    if any(raw_text(header, 0x00280004) == "MONOCHROME1" for header in headers):
        done = {"values": "not inverted", **({"shown": "inverted"} if group.is_picture else {})}
        findings.resolve(IngestCode.MONOCHROME1, "expected MONOCHROME2, the grey scale is shown inverted", done)
    if any(IngestCode.DECIMAL_COMMA in item.notes for item in group.slices):
        findings.resolve(
            IngestCode.DECIMAL_COMMA, "expected numbers with decimal points, they are written with commas", {"read_as": "points"}
        )
    if any(IngestCode.BAD_VR in file.notes for file in group.files):
        findings.resolve(IngestCode.BAD_VR, "expected known value representations, known attributes are written as UN", {"vr": "UN"})
