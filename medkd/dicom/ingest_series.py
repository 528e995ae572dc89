"""Groups of slices become volumes of the store: verified, decoded, remembered; or all their files are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from data_contracts import Action, IngestCode, IngestError, IngestPolicy, VolumeRef
from medkd.dicom.assemble import SeriesKeys, store_volume
from medkd.dicom.assemble_picture import store_picture
from medkd.dicom.comparison_cache import ComparisonCache
from medkd.dicom.confidentiality.secret import pseudonym
from medkd.dicom.decoders import Decoders
from medkd.dicom.findings import Findings
from medkd.dicom.found_file import FoundFile
from medkd.dicom.group import SliceGroup
from medkd.dicom.ingest_cache import IngestCache
from medkd.dicom.judge_headers import judge_headers
from medkd.dicom.ledger import Ledger
from medkd.dicom.raw_values import text_of
from medkd.dicom.solve_geometry import solve_geometry
from medkd.dicom.split_repeated import split_repeated
from medkd.storage.store import Store

_Flags = dict[FoundFile, dict[IngestCode, dict[str, Any]]]


class SeriesIngestion:
    """What one ingestion makes of its series.

    Args:
        secret: key of the pseudonyms.
        store: where volumes go.
        policy: of the site.
        cache: what earlier ingestions into the store found.
        ledger: of this ingestion.
        pool: decodes slices.

    Attributes:
        comparisons: compares slices and files.
        volumes: accepted volumes with the slices they were made of, by series key.
        refused_keys: series keys that an earlier ingestion may have accepted and this one does not, with the first file of each.
        pictures: how many pictures were decoded.
    """

    def __init__(self, secret: bytes, store: Store, policy: IngestPolicy, cache: IngestCache, ledger: Ledger, pool: Decoders) -> None:
        self.secret, self.store, self.policy = secret, store, policy
        self.cache, self.ledger, self.pool = cache, ledger, pool
        self.comparisons = ComparisonCache(cache)
        self.volumes: dict[str, tuple[VolumeRef, SliceGroup]] = {}
        self.refused_keys: dict[str, str] = {}
        self.pictures = 0

    def ingest_series(self, group: SliceGroup, flags: _Flags) -> None:
        """Verify, decode and store what one group of slices gives; a refusal is the outcome of all its files.

        Args:
            group: slices of one series that may form a volume, or the frames of a picture.
            flags: what was accepted or repaired in headers before, by file and code.
        """
        findings = Findings(self.policy)
        for file in group.files:
            self.ledger.note(file, file.notes)
        try:
            self._judge_files(group, flags, findings)
            # Frames of a cine share no positions: they have none.
            parts = (group,) if group.is_picture else split_repeated(group, findings, self.comparisons.same_slice)
        except IngestError as error:
            self._refuse(group.files, error, findings)
            return
        except Exception as error:  # one broken series must not stop the others
            named = IngestError(IngestCode.UNREADABLE_HEADER, "expected readable headers", {"error": type(error).__name__})
            self._refuse(group.files, named, findings)
            return
        for part in parts:
            self._ingest_volume(part, replace(findings, flags=dict(findings.flags)))

    def _judge_files(self, group: SliceGroup, flags: _Flags, findings: Findings) -> None:
        """Settle what the files themselves lack, before the geometry: that is the cause which is to be named."""
        for file in group.files:
            if file.code is IngestCode.MISSING_META:
                findings.note(file.code, {"action": Action.REPAIR.value})
            for code, evidence in flags.get(file, {}).items():
                findings.note(code, evidence)
            if file.pixels is not None and not file.pixels.whole:
                few = len(group.slices) > 2 * sum(1 for item in group.slices if item.file is file)
                message = "expected whole pixel data, they reach beyond the end of the file"
                findings.resolve(IngestCode.TRUNCATED_PIXELS, message, {"file": file.relative}, repairable=few)
        judge_headers(group, findings)
        if group.lone is not None:
            raise IngestError(
                group.lone, f"expected slices like the rest of their series, {len(group.slices)} differ", {"slices": len(group.slices)}
            )

    def _ingest_volume(self, group: SliceGroup, findings: Findings) -> None:
        key = self._series_key(group)
        files = group.files
        # Which slices of which bytes: files may be renamed, moved or joined by others between two ingestions.
        content = self.cache.content([item.place for item in group.slices])
        try:
            if group.refusal is not None:
                raise group.refusal
            for code, message, evidence in group.notes:
                findings.resolve(code, message, evidence)
            volume = self.cache.recall_volume(key, content)
            if volume is None:
                volume = self._store_volume(group, findings, key)
            else:
                # Labels are bound anew: another one may have come, or none.
                volume = volume.model_copy(update={"label": None, "further_labels": (), "class_label": None})
            self.cache.keep(f"volume:{key}", content)
        except IngestError as error:
            self.cache.keep_refusal(content, error)
            self.refused_keys[key] = files[0].relative
            self._refuse(files, error, findings)
            return
        except Exception as error:  # one broken series must not stop the others
            self.refused_keys[key] = files[0].relative
            named = IngestError(IngestCode.UNREADABLE_HEADER, "expected readable pixels", {"error": type(error).__name__})
            self._refuse(files, named, findings)
            return
        self.volumes[key] = volume, group
        for file in files:
            self.ledger.note(file, set(volume.flags))
            self.ledger.accept(file)

    def _store_volume(self, group: SliceGroup, findings: Findings, key: str) -> VolumeRef:
        header = group.header
        frame = text_of(header, "FrameOfReferenceUID")
        keys = SeriesKeys(
            # The policy let the study stand for a person who has no identifier; medkd deidentify does the same.
            patient=pseudonym(self.secret, "patient", text_of(header, "PatientID").strip() or text_of(header, "StudyInstanceUID")),
            study=pseudonym(self.secret, "study", text_of(header, "StudyInstanceUID")),
            series=key,
            frame_of_reference=pseudonym(self.secret, "frame", frame) if frame else None,
        )
        if group.is_picture:
            self.pictures += 1
            return store_picture(group, keys, self.store, findings)
        solution = solve_geometry(group.planes(), findings)
        return store_volume(group, solution, keys, self.store, findings, self.pool)

    def _series_key(self, group: SliceGroup) -> str:
        """Return the key of a volume: of its series, and of what splits a series into several volumes; of a picture, of the object itself."""
        first = group.slices[0]
        if group.is_picture:
            uids = [text_of(group.header, keyword) for keyword in ("SeriesInstanceUID", "SOPInstanceUID")]
            return pseudonym(self.secret, "series", "|".join(uids))
        # Adding 0.0 makes -0.0 to 0.0: the text of both is in the key.
        orientation = (np.round(first.orientation, 3) + 0.0).tolist()
        split = (orientation, first.matrix, [round(v, 4) for v in first.spacing_mm], first.contrast, group.acquisition_key)
        return pseudonym(self.secret, "series", f"{text_of(group.header, 'SeriesInstanceUID')}|{split}")

    def _refuse(self, files: tuple[FoundFile, ...], error: IngestError, findings: Findings) -> None:
        refuse_files(self.ledger, files, error, findings)


def refuse_files(ledger: Ledger, files: tuple[FoundFile, ...], error: IngestError, findings: Findings) -> None:
    """Note a refusal as the outcome of files, with what was found in them before.

    Args:
        ledger: of the ingestion.
        files: that share the outcome.
        error: why they are refused.
        findings: of the series that they belong to.
    """
    for file in files:
        ledger.note(file, set(findings.flags))
        ledger.refuse(file, error.ingest_code, {"what": error.message, **error.evidence})
