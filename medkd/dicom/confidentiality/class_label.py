"""Classes of studies that labels state in free text: stored only where they are words of the vocabulary."""

from __future__ import annotations

import re
from collections.abc import Iterable, Set

from pydicom import Dataset

from medkd.dicom.confidentiality.identifiers import collect_identifiers
from medkd.dicom.confidentiality.words import clean_name


def clean_class_label(class_label: str | None, headers: Iterable[Dataset | None]) -> str | None:
    """Return the class of a study as a label states it, None where it is no word that may stay: the study then counts as one without a label.

    Args:
        class_label: as the label states it, or None.
        headers: of the label and of its images: no part of a name or number in them stays.
    """
    forbidden = frozenset(word for header in headers if header is not None for word in collect_identifiers(header).words)
    return None if class_label is None else known_whole(class_label, forbidden) or None


def known_whole(text: str, forbidden: Set[str] = frozenset()) -> str:
    """Return a text every word of which may stay, "" for any other: a class or an id is compared as a whole, a part of it is another one."""
    kept = clean_name(text, forbidden)
    return text if kept and re.sub(r"\W|_", "", kept) == re.sub(r"\W|_", "", text) else ""
