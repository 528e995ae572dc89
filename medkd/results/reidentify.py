"""Results of a published study led back to the original one: patient, study and references as they were, voxels and own identifiers as they are.

Inside the hospital only, by its vault (``medkd.dicom.confidentiality.vault``): what comes out names the patient.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread

from data_contracts import MissingDependencyError, ReadBack, ResultSet, SourceError, VaultEntry, VaultError, load_record
from data_contracts.private import private_folder
from medkd.dicom.confidentiality.vault import ATTRIBUTES, open_vault
from medkd.dicom.write_seg import complete
from medkd.results.common import save
from medkd.results.readers import named, require_readers, validate
from medkd.storage.output import RESULTS, claim, require_apart, require_source
from medkd.storage.store import sha256_file, write_bytes

RECORD = "result_set.json"
#: What says that an object names nobody; of one that names somebody it would be wrong (PS3.3 C.12.1.1.1, C.7.1.1).
_SAYS_NOBODY = (
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified",
)
#: UIDs that an object refers to others by: those of a published study must lead back.
_REFERENCES = frozenset({"ReferencedSOPInstanceUID", "FrameOfReferenceUID", "ReferencedFrameOfReferenceUID", "StudyInstanceUID"})
#: What de-identification made (a UUID, PS3.5 B.2).
_PUBLISHED = "2.25."


@dataclass(frozen=True)
class Reidentified:
    """What came out.

    Attributes:
        objects: DICOM files that were written.
        studies: published StudyInstanceUIDs that they belonged to.
    """

    objects: tuple[Path, ...]
    studies: tuple[str, ...]


def reidentify_results(source: Path, vault: Path, out: Path) -> Reidentified:
    """Write a copy of DICOM results with the original patient, study and referenced instances.

    New instance and series UIDs of the results stay: sent again, an object is the same object. The record of a set has the sums of the copy; of its
    certificate stays what was found of voxels, which are the same byte for byte, and dciodvfy reads the copies where it is installed.

    Args:
        source: folder of a result set, or of several; every DICOM file in it is a result of a published study.
        vault: of this site.
        out: folder for the copy.

    Raises:
        SourceError: ``RESULTS_MISSING`` where there is no DICOM, ``RESULTS_ALTERED`` where a set is not as it was published.
        VaultError: ``VAULT_ENTRY_MISSING`` for a study or an instance that the vault does not hold; otherwise as
            :func:`medkd.dicom.confidentiality.vault.open_vault`. Nothing is written then.
        OutputError: where the output is not ours or holds the source or the vault.
    """
    require_source(source)
    for folder, called in ((source, "the results"), (vault, "the vault")):
        require_apart(folder, out, called=called)
    paths = sorted(path for path in source.rglob("*.dcm") if path.is_file())
    if not paths:
        raise SourceError("RESULTS_MISSING", f"expected DICOM results (*.dcm) in {source}, there are none")
    _require_whole(source)
    found = {path: dcmread(path) for path in paths}
    studies = tuple(dict.fromkeys(str(dataset.get("StudyInstanceUID", "")) for dataset in found.values()))
    with open_vault(vault) as opened:
        entries = opened.read(studies, f"{len(paths)} results")
    own = {str(dataset.SOPInstanceUID) for dataset in found.values()}
    for dataset in found.values():
        lead_back(dataset, entries[str(dataset.StudyInstanceUID)], own)
    claim(out, RESULTS)
    with tempfile.TemporaryDirectory(prefix=".medkd-", dir=out) as name:
        staged = private_folder(Path(name) / "results")
        for path, dataset in found.items():
            save(dataset, staged / path.relative_to(source))
        for path in source.rglob(RECORD):
            _write_record(path, staged / path.relative_to(source))
        placed = [_place(staged, path.relative_to(source), out) for path in paths]
        for path in source.rglob(RECORD):  # last: a set without its record is none
            _place(staged, path.relative_to(source), out)
    return Reidentified(tuple(placed), studies)


def lead_back(dataset: Dataset, entry: VaultEntry, own: Iterable[str]) -> None:
    """Give an object, in place, its original patient and study, and the UIDs that it refers to.

    Args:
        dataset: result of a published study.
        entry: of that study.
        own: instance UIDs of results, which stay.

    Raises:
        VaultError: ``VAULT_ENTRY_MISSING`` for a referenced UID of a published study that the entry does not hold.
    """
    _restore_uids(dataset, entry, frozenset(own))
    original = Dataset.from_json(entry.attributes)
    for keyword in (*ATTRIBUTES, *_SAYS_NOBODY):
        if keyword in dataset and keyword != "StudyInstanceUID":
            del dataset[keyword]
    if "SpecificCharacterSet" in original or not str(dataset.get("SpecificCharacterSet", "")):
        # In one that has every character of the hospital's names and of our own words.
        dataset.SpecificCharacterSet = "ISO_IR 192"
    for keyword in ATTRIBUTES:
        if keyword in original:
            dataset[keyword] = original[keyword]
    complete([dataset])


def _restore_uids(dataset: Dataset, entry: VaultEntry, own: frozenset[str]) -> None:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value or ():
                _restore_uids(item, entry, own)
        elif element.VR == "UI" and element.value:
            values = [str(value) for value in ([element.value] if element.VM == 1 else element.value)]
            restored = [entry.uids.get(value, value) for value in values]
            for before, after in zip(values, restored, strict=True):
                if before == after and before.startswith(_PUBLISHED) and before not in own and element.keyword in _REFERENCES:
                    raise VaultError(
                        "VAULT_ENTRY_MISSING",
                        f"expected {element.keyword} {before} in the vault's entry of the study {entry.study}, it is not: de-identify the whole study "
                        "again with --vault",
                    )
            element.value = restored if len(restored) > 1 else restored[0]


def _require_whole(source: Path) -> None:
    for path in source.rglob(RECORD):
        for one in load_record(path, ResultSet).objects:
            file = path.parent / one.file
            if not file.is_file() or sha256_file(file) != one.sha256:
                raise SourceError(
                    "RESULTS_ALTERED", f"expected {file} as it was published, it is missing or altered; write the results again"
                )


def _write_record(path: Path, target: Path) -> None:
    """Write a set's record with the sums of the files that lie beside it now, and what a validator says of these.

    What readers found of voxels stays, since the voxels did; headers are the hospital's own now, and are counted as they are.
    """
    record = load_record(path, ResultSet)
    objects = tuple(one.model_copy(update={"sha256": sha256_file(target.parent / one.file)}) for one in record.objects)
    read = tuple(one for one in record.certificate if one.voxels)
    certificate = (*read, *(_validated(target.parent / one.file) for one in objects)) if _may_validate() else read
    write_bytes(target, record.model_copy(update={"objects": objects, "certificate": certificate}).canonical_json())


def _may_validate() -> bool:
    try:
        require_readers()
    except MissingDependencyError:
        return False
    return True


def _validated(path: Path) -> ReadBack:
    return ReadBack(file=path.name, reader=named("dicom3tools"), errors=validate(path)[0])


def _place(staged: Path, name: Path, out: Path) -> Path:
    private_folder((out / name).parent)
    return (staged / name).replace(out / name)
