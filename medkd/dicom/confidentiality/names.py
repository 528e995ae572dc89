"""Classes that labels state, and names of segments in stores of earlier versions: free text that nobody checked, cleaned before it is kept.

Names of structures that are read today are chosen in ``medkd/dicom/labels/names.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pydicom import Dataset

from data_contracts import Segment
from medkd.dicom.confidentiality.deidentify import identifying_words
from medkd.dicom.confidentiality.words import clean_name

_MADE_FROM = {"nifti": "label", "rtstruct": "region"}


def clean_segments(
    segments: Sequence[Segment], class_label: str | None, source: str, headers: Iterable[Dataset | None]
) -> tuple[tuple[Segment, ...], str | None]:
    """Return segments and class of a label without what may name anybody.

    Of names the words of anatomy and pathology stay, of no name any part of a name or number of the headers; one of which nothing is left
    becomes ``segment N`` (``region N``, ``label N``), N its value, and so does one that would repeat another's. A tracking id stays only
    where every part of it may. A class that is no such word is none: the study then counts as one without a label.

    Args:
        segments: as the label's reader gave them.
        class_label: of the study, or None.
        source: ``dicom-seg``, ``rtstruct`` or ``nifti``.
        headers: of the label and of its images: whose names are looked for.
    """
    forbidden = frozenset(word for header in headers if header is not None for word in identifying_words(header))
    names: list[str] = []
    for segment in segments:
        name = clean_name(segment.name, forbidden)
        lost = name != segment.name.strip()
        if not name or (lost and name in names):
            name = f"{name} {segment.value}" if name else f"{_MADE_FROM.get(source, 'segment')} {segment.value}"
        names.append(name)
    cleaned = tuple(
        segment.model_copy(update={"name": name, "tracking_id": _whole(segment.tracking_id, forbidden)})
        for segment, name in zip(segments, names, strict=True)
    )
    return cleaned, _clean_class(class_label, forbidden)


def clean_class_label(class_label: str | None, headers: Iterable[Dataset | None]) -> str | None:
    """Return the class of a study as a label states it, None where it is no word that may stay (as :func:`clean_segments`)."""
    return _clean_class(class_label, frozenset(word for header in headers if header is not None for word in identifying_words(header)))


def _clean_class(class_label: str | None, forbidden: frozenset[str]) -> str | None:
    return None if class_label is None else _whole(class_label, forbidden) or None


def _whole(text: str, forbidden: frozenset[str]) -> str:
    kept = clean_name(text, forbidden)
    return text if kept and re.sub(r"\W|_", "", kept) == re.sub(r"\W|_", "", text) else ""
