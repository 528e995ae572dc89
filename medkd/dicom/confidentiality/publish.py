"""De-identify a folder of DICOM into a folder that may be handed on: study by study, checked on the written bytes, all or nothing."""

from __future__ import annotations

import os
import shlex
import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom import Dataset, config, dcmread
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage, SegmentationStorage

from data_contracts import Action, IngestCode, IngestError, IngestPolicy, IngestReport
from data_contracts.private import make_ordinary
from medkd.dicom.classify import LABELMAP_STORAGE, states_text
from medkd.dicom.compare import same_image
from medkd.dicom.confidentiality.burned_in import TextBox, blank_text, find_text
from medkd.dicom.confidentiality.deidentify import CLEAN_PIXELS, Deidentified, deidentify, method_code
from medkd.dicom.confidentiality.residual import find_residuals
from medkd.dicom.confidentiality.secret import pseudonym
from medkd.dicom.confidentiality.vault import ATTRIBUTES, Original, Vault, open_vault
from medkd.dicom.confidentiality.vault_key import key_file, require_key_apart
from medkd.dicom.discover import discover
from medkd.dicom.file_conflicts import find_conflicts
from medkd.dicom.findings import Findings
from medkd.dicom.found_file import FoundFile
from medkd.dicom.ledger import Ledger
from medkd.dicom.quarantine import write_quarantine
from medkd.dicom.quiet_dicom import quiet_dicom
from medkd.dicom.raw_values import text_of
from medkd.dicom.source import check_source
from medkd.dicom.walk_source import readable_name
from medkd.dicom.whole_object import decode_frames
from medkd.progress import progress_bar
from medkd.storage.output import QUARANTINE, claim, claim_unmarked, refuse_foreign, require_apart
from medkd.storage.store import write_bytes

_SCRATCH, _STAGING = ".medkd-unpacked", ".medkd-staging"
#: Names in a folder that is handed on: keyed patients.
_PATIENTS = r"p[0-9a-f]{16}"
_TO_LOOK = "pixels to look for text in"
_LABELS = (SegmentationStorage, RTStructureSetStorage, LABELMAP_STORAGE)


@dataclass(frozen=True)
class DeidentifyRequest:
    """What is de-identified, and where to.

    Attributes:
        source: folder, file, zip archive or DICOMDIR.
        out: folder to hand on: ``PATIENT/STUDY/SERIES/INSTANCE.dcm``, nothing else.
        kept: folder of this site for quarantine and report, never inside ``out``; by default ``out`` with ``.quarantine`` appended.
        policy: what is done about burned-in text and missing file headers.
        progress: show progress bars.
        vault: folder of this site that keeps, encrypted, what each published study was; None keeps nothing.
    """

    source: Path
    out: Path
    kept: Path | None = None
    policy: IngestPolicy = field(default_factory=IngestPolicy)
    progress: bool = False
    vault: Path | None = None

    def local_folder(self) -> Path:
        """Return the folder for what stays at the site."""
        return self.kept or self.out.with_name(self.out.name + ".quarantine")


def deidentify_folder(request: DeidentifyRequest, *, secret: bytes) -> IngestReport:
    """De-identify every image, segmentation and structure set below a source.

    A study is published when not one of its files holds an original identifier any more, by atomic rename; else all its files are
    quarantined as ``DEID_RESIDUAL``. The original identifiers are never written outside the quarantine.

    Raises:
        SourceError: when the source cannot be read at all, or was made by us.
        OutputError: when one of the folders is not ours, holds another or the source, or cannot be written to.
        VaultError: when the vault that is asked for cannot be opened: nothing is published then.
    """
    local_folder = request.local_folder()
    check_source(request.source, request.out, local_folder, *([request.vault] if request.vault else []))
    if request.vault is not None:
        require_apart(request.out, request.vault, called="what is handed on")
        require_apart(local_folder, request.vault, called="the quarantine")
        require_key_apart(key_file(), request.source, request.out, local_folder, request.vault)
    require_apart(request.out, local_folder, called="what is handed on")
    refuse_foreign(local_folder, QUARANTINE)
    claim_unmarked(request.out, _PATIENTS)
    claim(local_folder, QUARANTINE)
    staging = request.out / _STAGING
    with _lenient(), open_vault(request.vault, make=True) if request.vault else nullcontext() as vault:
        try:
            follow = request.policy.action(IngestCode.LINK_OUTSIDE) is Action.ACCEPT_WITH_FLAG
            found = discover(
                request.source, local_folder / _SCRATCH, without=(request.out, local_folder), follow=follow, progress=request.progress
            )
            ledger = Ledger()
            conflicts = find_conflicts([file for file in found if file.header is not None], same_image)
            studies: dict[str, list[FoundFile]] = defaultdict(list)
            for file in found:
                if file.relative in conflicts:
                    ledger.refuse(file, conflicts[file.relative])
                elif _publishable(file, ledger, Findings(request.policy)) and file.header is not None:
                    studies[text_of(file.header, "StudyInstanceUID") or file.relative].append(file)
            bar = progress_bar(studies.values(), title="de-identify", unit="study", enabled=request.progress)
            for files in bar:
                _publish_study(files, request, secret, ledger, staging, vault)
            report = IngestReport(files=ledger.rows(found), series=())
            again = f'medkd deidentify {shlex.quote(readable_name(os.path.abspath(request.source)))} --out "$(mktemp -d)/share" --json'
            write_quarantine(local_folder, ledger, report, again=again, progress=request.progress)
            write_bytes(local_folder / "deidentification.json", report.canonical_json())
            return report
        finally:
            shutil.rmtree(local_folder / _SCRATCH, ignore_errors=True)
            shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def _lenient() -> Iterator[None]:
    """Let values of the original be written as they were read: what they may say was decided by the profile."""
    before = config.settings.writing_validation_mode
    config.settings.writing_validation_mode = config.IGNORE
    try:
        with quiet_dicom():
            yield
    finally:
        config.settings.writing_validation_mode = before


def _publishable(file: FoundFile, ledger: Ledger, findings: Findings) -> bool:
    """Return whether a file is an object that the profile is made for; otherwise it gets its outcome."""
    try:
        if not ledger.admit(file, findings) or file.header is None:
            return False
        header = file.header
        if "Rows" not in header and text_of(header, "SOPClassUID") not in _LABELS:
            sop_class = text_of(header, "SOPClassUID") or "no SOP class"
            raise IngestError(IngestCode.NON_IMAGE_SOP, f"expected an image, a segmentation or a structure set, got {sop_class}")
        if not text_of(header, "SOPInstanceUID") or not text_of(header, "StudyInstanceUID"):
            missing = [name for name in ("StudyInstanceUID", "SOPInstanceUID") if not text_of(header, name)]
            raise IngestError(IngestCode.PATIENT_ID_MISSING, f"expected study and instance UIDs, got no {' and no '.join(missing)}")
        if file.pixels is not None and not file.pixels.whole:
            raise IngestError(
                IngestCode.TRUNCATED_PIXELS, f"expected whole pixel data, the file ends within its {file.pixels.length} bytes"
            )
        return True
    except IngestError as error:
        ledger.refuse(file, error.ingest_code, {"what": error.message, **error.evidence})
        return False


def _publish_study(
    files: list[FoundFile], request: DeidentifyRequest, secret: bytes, ledger: Ledger, staging: Path, vault: Vault | None
) -> None:
    """Write a study to staging, scan what was written, and move it into place."""
    written: list[tuple[FoundFile, Path]] = []
    originals: list[Original] = []
    for file in files:
        try:
            place, original = _write(file, request, secret, staging, ledger)
        except IngestError as error:
            if error.ingest_code is not IngestCode.DEID_RESIDUAL:
                ledger.refuse(file, error.ingest_code, {"what": error.message, **error.evidence})
                continue
            # One leak condemns the study: its other files come from the same hands.
            for other in files:
                ledger.refuse(other, error.ingest_code, {"what": error.message, "file": file.relative, **error.evidence})
            shutil.rmtree(staging, ignore_errors=True)
            return
        except Exception as error:  # one broken object must not stop the others
            ledger.refuse(file, IngestCode.UNREADABLE_HEADER, {"error": type(error).__name__})
            continue
        written.append((file, place))
        originals.append(original)
    if vault is not None:
        # Before anything is handed on: what is out can be found back.
        for study_uid in dict.fromkeys(one.study for one in originals):
            vault.record([one for one in originals if one.study == study_uid])
    for study in {place.relative_to(staging).parts[:2] for _, place in written}:
        make_ordinary(staging.joinpath(*study))  # what is handed on is for others to read
        _move_into_place(staging.joinpath(*study), request.out.joinpath(*study))
    for file, _ in written:
        ledger.accept(file)


def _move_into_place(new: Path, final: Path) -> None:
    """Replace a published study by a newer one in two renames; instances that were published before and are not new are kept."""
    if not final.parent.is_dir():
        final.parent.mkdir(parents=True)
        make_ordinary(final.parent)
    retired = final.with_name(f".{final.name}.retired")
    if retired.exists() and not final.exists():
        retired.rename(final)  # an earlier move was cut short between its two renames
    if not final.exists():
        new.rename(final)
        return
    for old in (path for path in final.rglob("*") if path.is_file()):
        target = new / old.relative_to(final)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(old, target)  # both are folders of ours: the older one goes in the next line but one
    shutil.rmtree(retired, ignore_errors=True)
    final.rename(retired)
    new.rename(final)
    shutil.rmtree(retired)


def _write(file: FoundFile, request: DeidentifyRequest, secret: bytes, staging: Path, ledger: Ledger) -> tuple[Path, Original]:
    dataset = dcmread(file.path, force=file.code is IngestCode.MISSING_META)
    if not hasattr(dataset, "file_meta"):
        raise IngestError(IngestCode.MISSING_META, "expected a DICOM file header, there is none")
    if not dataset:
        raise IngestError(IngestCode.TRUNCATED_PIXELS, f"expected a whole dataset, it breaks off: {len(dataset)} elements could be read")
    findings = Findings(request.policy)
    boxes = _text_boxes(dataset, findings)
    result = deidentify(dataset, secret)
    if boxes:
        _blank(dataset, result, boxes)
    ledger.note(file, set(findings.flags))
    payload, header_bytes = _bytes(result.dataset)
    residuals = find_residuals(payload, result.originals, header_bytes)
    if residuals:
        raise IngestError(
            IngestCode.DEID_RESIDUAL,
            f"expected no original identifier in the written file, {len(residuals)} are left",
            {"attributes": residuals},
        )
    header = result.dataset
    patient = pseudonym(secret, "patient", text_of(dataset, "PatientID") or text_of(dataset, "StudyInstanceUID"))
    study = pseudonym(secret, "study", text_of(dataset, "StudyInstanceUID"))
    series = pseudonym(secret, "series", text_of(dataset, "SeriesInstanceUID"))
    place = staging / patient / study / series / f"{header.SOPInstanceUID}.dcm"
    write_bytes(place, payload)
    return place, _original(dataset, result)


def _original(dataset: Dataset, result: Deidentified) -> Original:
    """Return what a vault would keep of an object; its pixels are let go."""
    header = Dataset()
    for keyword in ("SpecificCharacterSet", *ATTRIBUTES):
        if keyword in dataset:
            header[keyword] = dataset[keyword]
    return Original(str(result.dataset.StudyInstanceUID), str(result.dataset.get("PatientID", "")), header, result.uids, result.shift)


def _bytes(dataset: Dataset) -> tuple[bytes, int]:
    """Return the file's bytes and where its pixel data begin."""
    if dataset.file_meta.TransferSyntaxUID.is_deflated:
        # Deflated bytes hide what they say from the scan: they are written plainly.
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    payload = buffer.getvalue()
    scratch = BytesIO(payload)
    dcmread(scratch, stop_before_pixels=True)
    return payload, scratch.tell()


def _text_boxes(dataset: Dataset, findings: Findings) -> list[tuple[TextBox, ...]]:
    """Settle burned-in text and return the boxes to blank, per frame; empty where nothing is to be done."""
    if "PixelData" not in dataset or str(dataset.get("SOPClassUID", "")) in _LABELS:
        return []
    stated = str(dataset.get("BurnedInAnnotation", "")).upper()
    expected = states_text(stated, str(dataset.get("Modality", "")))
    frames = decode_frames(dataset, purpose=_TO_LOOK)
    boxes = [find_text(frame) for frame in frames]
    count = sum(len(found) for found in boxes)
    if not expected and not count:
        return []
    evidence = {"stated": stated or "nothing", "lines_found": count}
    # Text that is stated and not found cannot be blanked.
    action = findings.resolve(IngestCode.BURNED_IN_TEXT, "expected pixels without text", evidence, repairable=count > 0)
    return boxes if action is Action.REPAIR else []


def _blank(original: Dataset, result: Deidentified, boxes: list[tuple[TextBox, ...]]) -> None:
    """Write pixels without the text that was found, uncompressed, and say so."""
    frames = [blank_text(frame, found) for frame, found in zip(decode_frames(original, purpose=_TO_LOOK), boxes, strict=True)]
    dataset = result.dataset
    stacked = np.stack(frames) if len(frames) > 1 else frames[0]
    dataset.PixelData = stacked.astype(stacked.dtype.newbyteorder("<")).tobytes()
    dataset["PixelData"].VR = "OB" if stacked.dtype.itemsize == 1 else "OW"
    dataset["PixelData"].is_undefined_length = False
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if stacked.ndim == 3 and len(frames) == 1:
        dataset.PlanarConfiguration = 0
    dataset.BurnedInAnnotation = "NO"
    dataset.DeidentificationMethodCodeSequence.append(method_code(*CLEAN_PIXELS))
