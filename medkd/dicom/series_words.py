"""Say of a series what tells it from others and identifies nobody: modality, plane, size, spacing, how it was acquired.

Numbers and codes of the header are said as they are; of free text only words of a closed list of sequences, and none of them that is part
of the patient's own name. Times of day are never said: they are dates to whoever knows the list of the day.
"""

from __future__ import annotations

import re

from pydicom import Dataset

from data_contracts import DisplayRule, Geometry, PictureGrid, VolumeRef
from medkd.dicom.raw_values import text_of

#: ScanningSequence (0018,0020).
_SEQUENCES = {"SE": "spin echo", "GR": "gradient echo", "IR": "inversion recovery", "EP": "echo planar"}
#: Words of a description or protocol that may be said, as they are said; longer ones first.
_KNOWN = [
    "MP2RAGE",
    "MPRAGE",
    "FLAIR",
    "STIR",
    "FSPGR",
    "VIBE",
    "HASTE",
    "BOLD",
    "DIXON",
    "DWI",
    "DTI",
    "ADC",
    "SWI",
    "TOF",
    "DCE",
    "DSC",
    "ASL",
    "T2*",
    "T1",
    "T2",
    "PD",
]
#: A word of the list by itself, or with what is commonly written behind it: T1post, T2w, FLAIR_reg.
_WORD = re.compile(rf"(?<![A-Za-z0-9])({'|'.join(map(re.escape, _KNOWN))})(?=w|wi|post|pre|[^A-Za-z0-9*]|$)", re.IGNORECASE)
#: ImageType (0008,0008) from its third value on: how an image was computed.
_COMPUTED = {"MPR", "MIP", "MINIP", "ADC", "TRACE", "TRACEW", "FA", "WATER", "FAT", "IN_PHASE", "OPP_PHASE", "SUB", "LOCALIZER"}
#: Third value of ImageType of MR: what of the complex signal is shown; the magnitude goes without saying.
_COMPLEX = {"P": "phase", "PHASE": "phase", "R": "real", "REAL": "real", "I": "imaginary", "IMAGINARY": "imaginary"}
#: ConvolutionKernel (0018,1210): as vendors name them.
_KERNEL = re.compile(r"[A-Z][a-z]?\d{2}[a-z]{0,2}|STANDARD|SOFT|BONE|BONEPLUS|LUNG|DETAIL|EDGE", re.IGNORECASE)
_TIMES = (("TR", "RepetitionTime"), ("TE", "EchoTime"), ("TI", "InversionTime"))
#: Keywords of moments that are never said; the place of a moment among the others is (:data:`TIME_POINT`).
TIMES_OF_DAY = (
    *("AcquisitionTime", "ContentTime", "AcquisitionDateTime", "FrameAcquisitionDateTime", "FrameReferenceDateTime", "AcquisitionDate"),
    *("SeriesTime", "SeriesDate", "PerformedProcedureStepStartTime", "RadiopharmaceuticalStartTime"),
)
#: What is said in the place of a value that is not: which of the values of its series it is.
TIME_POINT, PART = "TimePoint", "Part"
#: What tells time points apart that share their positions, and its unit.
_MOMENTS = {
    "TemporalPositionIdentifier": ("time point", ""),
    "TemporalPositionIndex": ("time point", ""),
    TIME_POINT: ("time point", ""),
    PART: ("part", ""),
    "Stack": ("stack", ""),
    "EchoNumbers": ("echo", ""),
    "EchoTime": ("TE", " ms"),
    "EffectiveEchoTime": ("TE", " ms"),
    "DiffusionBValue": ("b", ""),
    "InversionTime": ("TI", " ms"),
    "InversionTimes": ("TI", " ms"),
    "RepetitionTime": ("TR", " ms"),
    "FlipAngle": ("flip angle", " degrees"),
    "KVP": ("tube voltage", " kV"),
    "ReconstructionDiameter": ("reconstruction diameter", " mm"),
    "FrameReferenceTime": ("frame at", " ms"),
    "TemporalPositionTimeOffset": ("time offset", " s"),
    "CardiacCyclePosition": ("cardiac phase", ""),
    "TriggerTime": ("trigger", " ms"),
    "NominalCardiacTriggerDelayTime": ("trigger", " ms"),
    "NominalPercentageOfCardiacPhase": ("cardiac phase", " %"),
    "StackID": ("stack", ""),
    "AcquisitionNumber": ("acquisition", ""),
    "FrameAcquisitionNumber": ("acquisition", ""),
}
_DIRECTION = "DiffusionGradientOrientation"
#: RescaleType (0028,1054), as far as it is a defined term.
UNITS = frozenset({"HU", "US", "OD", "MGML", "Z_EFF", "ED", "EDW", "HU_MOD", "PCT", "BQML", "CNTS", "GML"})
#: What the spacing of a picture is measured at.
_SPACINGS = {
    "calibrated": "in the patient",
    "stated": "as stated",
    "detector": "at the detector",
    "scanned": "on the film",
    "ultrasound region": "in its region",
}
#: The magnitude, which goes without saying in words.
_MAGNITUDE = {"M", "MAGNITUDE"}
_AXES = ("sagittal", "coronal", "axial")
#: Cosine of 20 degrees: a plane that leans more is said to be oblique.
_STRAIGHT = 0.94


def plane_of(geometry: Geometry) -> str:
    """Return the plane that is nearest to the slices: axial, coronal or sagittal."""
    return _AXES[_normal(geometry)[0]]


def series_words(volume: VolumeRef, acquisition: str = "") -> str:
    """Return one line about a volume: modality and plane, slices x rows x columns, spacing in mm, and how it was acquired.

    Of a picture: modality, side and view, the number of frames, rows x columns, and what kind of spacing it states.
    """
    geometry = volume.geometry
    if isinstance(geometry, PictureGrid):
        words = f"{picture_words(volume, geometry)}, {geometry.shape[1]} x {geometry.shape[2]} pixels, {spacing_words(geometry)}"
        return f"{words}, {acquisition}" if acquisition else words
    oblique = "oblique " if _normal(geometry)[1] < _STRAIGHT else ""
    spacing = " x ".join(f"{value:.2f}" for value in geometry.spacing_mm)
    words = f"{volume.modality} {oblique}{plane_of(geometry)}, {size_of(volume, ' x ')}, {spacing} mm"
    return f"{words}, {acquisition}" if acquisition else words


def picture_words(volume: VolumeRef, picture: PictureGrid) -> str:
    """Return modality, side and view of a picture, and how many frames it has: ``MG L CC``, ``DX PA``, ``US cine 45 frames``."""
    cine = f"cine {picture.shape[0]} frames" if picture.shape[0] > 1 else ""
    return " ".join(part for part in (volume.modality, picture.laterality, picture.view, cine) if part)


def spacing_words(picture: PictureGrid) -> str:
    """Return the spacing of a picture and what it is measured at; that it is unknown where it is."""
    spacing = picture.spacing
    if spacing is None:
        return "spacing unknown"
    return f"{spacing.between_rows_mm:.3g} x {spacing.between_columns_mm:.3g} mm {_SPACINGS[spacing.kind]}"


def display_words(rule: DisplayRule) -> str:
    """Return how the values of a picture were brought to what is shown."""
    chosen = "whole range of the header" if rule.values_of_interest == "whole range" else f"values of interest by {rule.values_of_interest}"
    if rule.centre is not None and rule.width is not None:
        chosen = f"window {rule.centre:g} ± {rule.width / 2:g} ({rule.values_of_interest})"
    table = "modality table, " if rule.modality_table else ""
    grey = f"{rule.photometric} by {rule.colours}" if rule.colours else rule.photometric
    return f"{table}{chosen}, {grey}, {'inverted once' if rule.inverted else 'not inverted'}: larger is brighter"


def size_of(volume: VolumeRef, between: str) -> str:
    """Return slices, rows and columns of a volume."""
    return between.join(str(size) for size in volume.geometry.shape)


def nifti_name(volume: VolumeRef) -> str:
    """Return the name of a volume's NIfTI file, such as ``mr-axial-22x320x280-s6596c864dd89d8df.nii.gz``; a picture has none, and a name."""
    modality = re.sub(r"[^a-z0-9]", "", volume.modality.lower()) or "image"
    plane = "picture" if volume.space is None else plane_of(volume.space)
    return f"{modality}-{plane}-{size_of(volume, 'x')}-{volume.series_key}.nii.gz"


def acquisition_words(header: Dataset, clean: Dataset, acquisition_key: str) -> str:
    """Return how a series was acquired, "" where nothing is known.

    Args:
        header: of the source; only words of a closed list are taken from its free text.
        clean: the de-identified header; codes and numbers are taken from it.
        acquisition_key: ``KEYWORD=VALUE`` that tells the series from others at the same positions, or "".
    """
    words = [*_known_words(header), *(_SEQUENCES[code] for code in _values(clean, "ScanningSequence") if code in _SEQUENCES)]
    words += [value.lower().replace("_", " ") for value in _values(clean, "ImageType")[2:] if value in _COMPUTED]
    words += [_COMPLEX[value] for value in _values(clean, "ImageType")[2:4] if value in _COMPLEX]
    words += [f"{short} {value:g} ms" for short, keyword in _TIMES if (value := _number(text_of(clean, keyword))) is not None]
    b_value = _number(text_of(clean, "DiffusionBValue"))
    words += [f"b {b_value:g}"] if b_value is not None else []
    words += [f"kernel {kernel}" for kernel in _values(clean, "ConvolutionKernel")[:1] if _KERNEL.fullmatch(kernel)]
    if text_of(header, "ContrastBolusAgent").strip().upper() not in ("", "NO", "NONE"):
        words.append("with contrast")
    words += _moment_words(acquisition_key)
    return ", ".join(dict.fromkeys(words))


def _known_words(header: Dataset) -> list[str]:
    text = f"{text_of(header, 'SeriesDescription')} {text_of(header, 'ProtocolName')}".replace("_", " ")
    name = set(re.findall(r"[a-z0-9]+", text_of(header, "PatientName").lower()))
    return [word.upper() for word in _WORD.findall(text) if word.lower() not in name]


def sayable(keyword: str, value: str) -> bool:
    """Return whether what tells a series from others may be said as it is: a number of the acquisition, or a word of a closed list."""
    if keyword in TIMES_OF_DAY:
        return False
    return bool(_moment_words(f"{keyword}={value}")) or (keyword == _DIRECTION and value == "none")


def known_image_type(text: str) -> str:
    """Return the values of an ImageType or FrameType, from the third on, that are of a closed list: how an image was computed, what of a signal."""
    return "\\".join(value for value in text.split("\\")[2:] if value in _COMPUTED | _COMPLEX.keys() | _MAGNITUDE)


def _moment_words(acquisition_key: str) -> list[str]:
    words = []
    for part in acquisition_key.split("; ") if acquisition_key else ():
        keyword, _, text = part.partition("=")
        value = _number(text)
        if keyword == _DIRECTION:
            # Numbers of a direction, each between -1 and 1.
            parts = [_number(one) for one in text.split("\\")]
            words += [f"direction {' '.join(f'{one:g}' for one in parts)}"] if len(parts) == 3 and None not in parts else []
        elif keyword == "ConvolutionKernel" and _KERNEL.fullmatch(text):
            words.append(f"kernel {text}")
        elif keyword == "RescaleType" and text in UNITS:
            words.append(f"values in {text}")
        elif keyword in _MOMENTS and value is not None:
            said, unit = _MOMENTS[keyword]
            words.append(f"{said} {value:g}{unit}")
    return words


def _values(header: Dataset, keyword: str) -> list[str]:
    """Return the values of a code, however many there are."""
    value = header.get(keyword) or ()
    return [str(part) for part in ([value] if isinstance(value, str) else value)]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _normal(geometry: Geometry) -> tuple[int, float]:
    """Return the axis of the patient that the normal of the slices is nearest to, and the cosine between them."""
    rows, columns = ([line[axis] for line in geometry.affine_lps_mm[:3]] for axis in (1, 2))
    normal = [rows[i - 2] * columns[i - 1] - rows[i - 1] * columns[i - 2] for i in range(3)]
    length = sum(part * part for part in normal) ** 0.5
    cosines = [abs(part) / length for part in normal]
    nearest = cosines.index(max(cosines))
    return nearest, cosines[nearest]
