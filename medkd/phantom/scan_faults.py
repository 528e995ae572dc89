"""What can be wrong with a scan: how its slices are laid, and how they are spoiled afterwards."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from pydicom import Dataset, Sequence
from pydicom.uid import (
    EnhancedCTImageStorage,
)

from medkd.phantom.faulty_scan import CONFLICT_HU, MATRIX, Scan, decimal_string, identified, write_pixels


def lay_whole(scan: Scan) -> None:
    """Lay slices in equal steps along their normal."""
    scan.lay(np.arange(scan.variant.slices))
    scan.render()


def lay_reversed(scan: Scan) -> None:
    """Lay them in the opposite order of acquisition."""
    scan.lay(np.arange(scan.variant.slices)[::-1])
    scan.render()


def lay_tilted(scan: Scan) -> None:
    """Lay them as a gantry tilted by 14 degrees does: each moved sideways by as much as the one before."""
    scan.lay(np.arange(scan.variant.slices), shear=scan.variant.axes()[:, 1] * scan.variant.spacing_mm[0] * np.tan(np.radians(14.0)))
    scan.render()


def lay_changed_spacing(scan: Scan) -> None:
    """Lay the first half in steps of one, the second in steps of two."""
    half = scan.variant.slices // 2
    scan.lay(np.concatenate([np.arange(half), half - 1 + 2.0 * np.arange(1, half + 1)]))
    scan.render()


def lay_two_times(scan: Scan) -> None:
    """Lay them twice at the same positions, as two time points."""
    places = np.tile(np.arange(scan.variant.slices), 2)
    scan.lay(places, times=np.repeat([0, 1], scan.variant.slices))
    scan.render()


def lose_slice(scan: Scan) -> None:
    """Take a slice out of the middle."""
    # Not at an end: that a stack was longer nobody can see.
    del scan.datasets[len(scan.datasets) // 3]


def repeat_slice(scan: Scan) -> None:
    """Send the middle slice twice."""
    _repeat_slice(scan, 0.0)


def contradict_slice(scan: Scan) -> None:
    """Put another slice, everywhere brighter, where the middle one lies."""
    _repeat_slice(scan, CONFLICT_HU)


def _repeat_slice(scan: Scan, add: float) -> None:
    middle = len(scan.datasets) // 2
    # Of the same acquisition: nothing in the header tells the two apart.
    copy = scan.slice(scan.positions[middle], int(scan.times[middle]), add=add)
    copy.AcquisitionNumber, copy.AcquisitionTime = scan.datasets[middle].AcquisitionNumber, scan.datasets[middle].AcquisitionTime
    scan.datasets.append(copy)


def add_localizer(scan: Scan) -> None:
    """Put a localizer of another orientation before the slices."""
    extra = scan.slice(scan.origin + scan.variant.axes()[:, 2] * 11.0, 0)
    axes = scan.variant.axes()
    extra.ImageOrientationPatient = [decimal_string(v) for v in (*axes[:, 0], *axes[:, 1])]
    extra.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    # First: a reader that takes the grid of the first file is found out.
    scan.datasets.insert(0, extra)


def add_series(scan: Scan) -> None:
    """Add a second series of the same study, elsewhere."""
    # Off the grid of the first one: voxels of the two are never the same.
    other = replace(scan, origin=scan.origin + scan.variant.axes() @ np.array([1.4, 3.0, 0.7]), series=2, datasets=[])
    other.lay(np.arange(scan.variant.slices))
    other.render()
    scan.datasets += other.datasets


def vary_slopes(scan: Scan) -> None:
    """Rescale each slice by a slope and intercept of its own."""
    for index, dataset in enumerate(scan.datasets):
        position = np.array([float(v) for v in dataset.ImagePositionPatient])
        write_pixels(dataset, scan.values(position), scan.variant, slope=0.25 + 0.125 * (index % 5), intercept=-1024.0 - index % 3)


def invert(scan: Scan) -> None:
    """Say that the grey scale is shown inverted; values stay as they are."""
    for dataset in scan.datasets:
        dataset.PhotometricInterpretation = "MONOCHROME1"


def drop_class(scan: Scan) -> None:
    """Leave out the SOP class."""
    for dataset in scan.datasets:
        del dataset.SOPClassUID


def pad(scan: Scan) -> None:
    """Fill a corner with the padding value."""
    for dataset in scan.datasets:
        kind = "<i2" if scan.variant.signed else "<u2"
        stored = np.frombuffer(dataset.PixelData, dtype=kind).reshape(MATRIX).copy()
        stored[:3, :4] = -2000 if scan.variant.signed else 60000
        dataset.PixelPaddingValue = -2000 if scan.variant.signed else 60000
        # US or SS, as Pixel Representation says (PS3.6).
        dataset["PixelPaddingValue"].VR = "SS" if scan.variant.signed else "US"
        dataset.PixelData = stored.tobytes()


def make_enhanced(scan: Scan) -> None:
    """Replace the slices by one enhanced object, frames shuffled."""
    # In an object the order of frames says no more of their places than that of files in a folder.
    shuffled = np.random.default_rng(scan.seed).permutation(len(scan.datasets))
    frames = [scan.datasets[index] for index in shuffled]
    whole, first = identified(scan, "enhanced"), frames[0]
    whole.SOPClassUID = EnhancedCTImageStorage
    whole.Modality, whole.ImageType = "CT", ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    whole.SeriesInstanceUID, whole.SeriesNumber, whole.InstanceNumber = first.SeriesInstanceUID, 1, 1
    for keyword in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"):
        setattr(whole, keyword, getattr(first, keyword))
    whole.PhotometricInterpretation, whole.NumberOfFrames = first.PhotometricInterpretation, len(frames)
    whole.SharedFunctionalGroupsSequence = Sequence(
        [
            _item(
                PlaneOrientationSequence=_item(ImageOrientationPatient=first.ImageOrientationPatient),
                PixelMeasuresSequence=_item(PixelSpacing=first.PixelSpacing, SliceThickness=first.SliceThickness),
            )
        ]
    )
    whole.PerFrameFunctionalGroupsSequence = Sequence(
        [
            _item(
                PlanePositionSequence=_item(ImagePositionPatient=frame.ImagePositionPatient),
                FrameContentSequence=_item(FrameAcquisitionNumber=int(frame.AcquisitionNumber)),
                PixelValueTransformationSequence=_item(
                    RescaleIntercept=frame.RescaleIntercept, RescaleSlope=frame.RescaleSlope, RescaleType="HU"
                ),
            )
            for frame in frames
        ]
    )
    whole.PixelData = b"".join(frame.PixelData for frame in frames)
    scan.datasets = [whole]


def _item(**values: Any) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, Sequence([value]) if isinstance(value, Dataset) else value)
    return item
