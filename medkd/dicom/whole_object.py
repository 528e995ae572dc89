"""Pixels of a whole object as pydicom decodes them, where a plan of single slices does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from data_contracts import IngestCode, IngestError
from medkd.dicom.found_file import FoundFile
from medkd.dicom.quiet_dicom import quiet_dicom
from medkd.dicom.transfer_syntax import transfer_syntax


@contextmanager
def contained() -> Iterator[None]:
    """Turn a panic of a compiled decoder, which is no ``Exception``, into one."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise RuntimeError("the decoder panicked") from error


def decode_frames(dataset: Dataset, *, purpose: str) -> NDArray[Any]:
    """Return the pixels of a whole object, [frame, row, column] or with colours last.

    Args:
        dataset: with its pixel data.
        purpose: what they are wanted for, as the refusal says it.

    Raises:
        IngestError: ``DECODE_FAILED``.
    """
    try:
        with contained():
            pixels = np.asarray(dataset.pixel_array)
    except Exception as error:  # decoders raise what they like
        raise IngestError(IngestCode.DECODE_FAILED, f"expected decodable {purpose} ({type(error).__name__})") from error
    return pixels if int(dataset.get("NumberOfFrames", 1) or 1) > 1 else pixels[None]


def decode_error(file: FoundFile) -> IngestCode | None:
    """Return why the pixels of an object cannot be decoded at all, None where they can; colour and odd depths do not matter."""
    try:
        with quiet_dicom(), contained():
            _ = whole_dataset(file.path, file.digest).pixel_array
    except IngestError as error:
        return error.ingest_code
    except Exception:  # decoders raise what they like
        return IngestCode.DECODE_FAILED
    return None


@lru_cache(maxsize=1)
def whole_dataset(path: Path, digest: str) -> Dataset:  # noqa: ARG001 - part of the key
    """Return a whole dataset, where pixels are not in the file as they are, or not in a depth that can be read plainly."""
    dataset = dcmread(path, force=True)
    if "PixelData" not in dataset:
        # Elements that break off inside the pixel data are not read at all.
        raise IngestError(IngestCode.TRUNCATED_PIXELS, f"expected whole pixel data, they break off: {len(dataset)} elements were read", {})
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = transfer_syntax(dataset)
    return dataset
