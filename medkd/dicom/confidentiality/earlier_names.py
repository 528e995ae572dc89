"""Names of segments in stores of versions that kept free text: cleaned when such a store is opened again.

There are two rules for names of structures, because there are two things to keep. Today a name is said whole or not at all, and a keyed
pseudonym of it is kept beside (:mod:`medkd.dicom.labels.names`): a recipe still finds what is not said. An earlier store has the name and
nothing else; refused whole, ``Tumor of N.N.`` would be found by nobody. So words go and the others stay (:func:`clean_name`).
"""

from __future__ import annotations

from collections.abc import Sequence

from data_contracts import Segment
from medkd.dicom.confidentiality.class_label import known_whole
from medkd.dicom.confidentiality.words import clean_name

_MADE_FROM = {"nifti": "label", "rtstruct": "region"}


def clean_segments(segments: Sequence[Segment], source: str) -> tuple[Segment, ...]:
    """Return the segments of a stored label without what may name anybody.

    Of names the words of anatomy and pathology stay; one of which nothing is left becomes ``segment N`` (``region N``, ``label N``), N its
    value, and so does one that would repeat another's. A tracking id stays only where every part of it may.

    Args:
        segments: as they were stored.
        source: ``dicom-seg``, ``rtstruct`` or ``nifti``.
    """
    names: list[str] = []
    for segment in segments:
        name = clean_name(segment.name)
        lost = name != segment.name.strip()
        # Two names may differ in nothing but the word that went: segments are told apart by their names.
        if not name or (lost and name in names):
            name = f"{name} {segment.value}" if name else f"{_MADE_FROM.get(source, 'segment')} {segment.value}"
        names.append(name)
    return tuple(
        segment.model_copy(update={"name": name, "tracking_id": known_whole(segment.tracking_id)})
        for segment, name in zip(segments, names, strict=True)
    )
