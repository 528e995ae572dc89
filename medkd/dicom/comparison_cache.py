"""Comparisons of pixels that earlier ingestions into a store made need not be made again."""

from __future__ import annotations

from data_contracts import IngestCode
from medkd.dicom.compare import same_image, same_slice
from medkd.dicom.found_file import FoundFile
from medkd.dicom.ingest_cache import IngestCache
from medkd.dicom.slices import Slice
from medkd.dicom.whole_object import decode_error


class ComparisonCache:
    """Comparisons of what one ingestion found, remembered from one ingestion to the next.

    Attributes:
        decoded: how many objects had to be decoded for it.
    """

    def __init__(self, cache: IngestCache) -> None:
        self._cache, self.decoded = cache, 0

    def same_slice(self, first: Slice, second: Slice) -> bool:
        """Return whether two slices hold the same, as :func:`same_slice`."""
        # Sorted: the question is the same whichever of the two is asked first.
        name = "same:" + "|".join(sorted((first.place, second.place)))
        known = self._cache.recall(name)
        if known is None:
            self.decoded += 2
            known = same_slice(first, second)
            self._cache.keep(name, known)
        return bool(known)

    def same_image(self, first: FoundFile, second: FoundFile) -> bool:
        """Return whether two objects say the same, as :func:`same_image`."""
        return same_image(first, second, self.same_slice)

    def faults_of_pixels(self, file: FoundFile) -> set[IngestCode]:
        """Return whether the pixels of a refused image could not be decoded or used: what else is wrong with it belongs into the ledger too."""
        if file.header is None or file.pixels is None or "Rows" not in file.header:
            return set()
        # The name that memories of existing stores hold: under another one everything would be decoded again.
        name = f"autopsy:{file.digest}"
        known = self._cache.recall(name)
        if known is None:
            self.decoded += 1
            # Empty where nothing is wrong: None stands for what was never asked.
            known = decode_error(file) or ""
            self._cache.keep(name, known)
        lookup = {IngestCode.NONLINEAR_LUT} if "ModalityLUTSequence" in file.header else set()
        return lookup | ({IngestCode(known)} if known else set())
