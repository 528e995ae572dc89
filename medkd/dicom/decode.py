"""From stored pixels to values in their unit: HU for CT, raw otherwise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.pixels import pixel_array
from torch import Tensor

from data_contracts import IngestCode, IngestError
from medkd.dicom.discover import FoundFile, quiet_dicom


def decode_series(files: tuple[FoundFile, ...]) -> tuple[Tensor, str, tuple[IngestCode, ...]]:
    """Decode slices in the order given.

    Returns:
        Values [slice, row, column], int16 where exact and float32 otherwise; the unit (``HU`` or ``raw``); flags.

    Raises:
        IngestError: ``NO_PIXEL_DATA``, ``UNSUPPORTED_TRANSFER_SYNTAX``, ``TRUNCATED_PIXELS``, ``DECODE_FAILED``,
            ``RESCALE_MISSING``, ``NAN_OR_INF``; the evidence names the file.
    """
    with quiet_dicom():
        slices = [decode_slice(file.path, file.relative) for file in files]
    modality = str(files[0].header.get("Modality", "")) if files[0].header else ""
    flags = {
        IngestCode.LOSSY_COMPRESSED
        for file in files
        if file.header is not None and str(file.header.get("LossyImageCompression", "")) == "01"
    }
    return _compact(np.stack(slices)), "HU" if modality == "CT" else "raw", tuple(sorted(flags))


def decode_slice(path: Path, relative: str) -> NDArray[np.float64]:
    """Decode one single-frame file and apply its own rescale slope and intercept."""
    dataset = dcmread(path)
    if "PixelData" not in dataset:
        raise IngestError(IngestCode.NO_PIXEL_DATA, "expected pixel data, the object has none", {"file": relative})
    stored = _stored_values(dataset, relative)
    slope, intercept = _rescale(dataset, relative)
    values = stored.astype(np.float64) * slope + intercept
    if not np.isfinite(values).all():
        raise IngestError(IngestCode.NAN_OR_INF, "expected finite values", {"file": relative})
    return values


def _stored_values(dataset: Dataset, relative: str) -> NDArray[np.generic]:
    expected = int(dataset.Rows) * int(dataset.Columns) * (int(dataset.BitsAllocated) // 8)
    if not dataset.file_meta.TransferSyntaxUID.is_compressed and len(dataset.PixelData) < expected:
        evidence = {"file": relative, "expected_bytes": expected, "bytes": len(dataset.PixelData)}
        raise IngestError(IngestCode.TRUNCATED_PIXELS, f"expected {expected} bytes of pixel data, got {len(dataset.PixelData)}", evidence)
    try:
        return np.asarray(pixel_array(dataset, raw=True))
    except (NotImplementedError, RuntimeError) as error:
        if "transfer syntax" in str(error).lower():
            evidence = {"file": relative, "transfer_syntax": str(dataset.file_meta.TransferSyntaxUID)}
            raise IngestError(
                IngestCode.UNSUPPORTED_TRANSFER_SYNTAX, "expected a transfer syntax that can be decoded here", evidence
            ) from error
        raise IngestError(
            IngestCode.DECODE_FAILED, f"expected decodable pixel data, the decoder stopped ({type(error).__name__})", {"file": relative}
        ) from error
    except Exception as error:  # decoders raise what they like; the class of error is the evidence
        raise IngestError(
            IngestCode.DECODE_FAILED, f"expected decodable pixel data, the decoder stopped ({type(error).__name__})", {"file": relative}
        ) from error


def _rescale(dataset: Dataset, relative: str) -> tuple[float, float]:
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    if "ModalityLUTSequence" in dataset:
        raise IngestError(
            IngestCode.RESCALE_MISSING, "expected a linear rescale, the object carries a modality look-up table", {"file": relative}
        )
    if slope is None or intercept is None:
        if str(dataset.get("Modality", "")) == "CT":
            raise IngestError(
                IngestCode.RESCALE_MISSING,
                "expected rescale slope and intercept in CT, Hounsfield units cannot be computed without",
                {"file": relative},
            )
        return 1.0, 0.0
    return float(slope), float(intercept)


def _compact(values: NDArray[np.float64]) -> Tensor:
    """Return int16 where that loses nothing, float32 otherwise."""
    if values.min() >= -32768 and values.max() <= 32767 and (values == np.rint(values)).all():
        return torch.from_numpy(values.astype(np.int16))
    return torch.from_numpy(values.astype(np.float32))
