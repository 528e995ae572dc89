"""Files whose identity contradicts another's."""

from __future__ import annotations

import filecmp
from collections import defaultdict
from collections.abc import Callable

from data_contracts import IngestCode
from medkd.dicom.found_file import FoundFile
from medkd.dicom.raw_values import raw_text

#: PatientID, StudyInstanceUID, SeriesInstanceUID.
_IDENTITY = (0x00100020, 0x0020000D, 0x0020000E)


def find_conflicts(files: list[FoundFile], same: Callable[[FoundFile, FoundFile], bool]) -> dict[str, IngestCode]:
    """Return the files (by relative path) whose identity contradicts another's; none of them is guessed to be the right one.

    ``DUPLICATE_FILE``: the same bytes again, or the same header and pixels in another encoding (all but the first).
    ``TRUNCATED_PIXELS``: the beginning of another file of the same instance, a copy that broke off: it contradicts nothing.
    ``DUPLICATE_UID_CONFLICT``: one instance UID, different content.
    ``PATIENT_ID_COLLISION``: one series UID under two patient ids.
    """
    conflicts: dict[str, IngestCode] = {}
    first_with: dict[str, FoundFile] = {}
    instances: dict[str, list[FoundFile]] = defaultdict(list)
    series: dict[str, list[FoundFile]] = defaultdict(list)
    # By name: which of two copies counts as the first must not depend on how the source was divided.
    for file in sorted(files, key=lambda one: one.relative):
        if not file.digest:
            continue  # a link to nothing has no bytes to compare
        first = first_with.setdefault(file.digest, file)
        # The digest is none of cryptography: equal ones are compared byte by byte before a file is set aside.
        if first is not file and filecmp.cmp(first.path, file.path, shallow=False):
            conflicts[file.relative] = IngestCode.DUPLICATE_FILE
        elif file.header is not None:
            instances[raw_text(file.header, 0x00080018) or file.relative].append(file)
            series[raw_text(file.header, _IDENTITY[2]) or file.relative].append(file)
    for together in instances.values():
        # A copy that broke off says nothing else than the whole file: without it the rest may agree.
        broken = [member for member in together if _breaks_off(member, together)] if len(together) > 1 else []
        conflicts |= {member.relative: IngestCode.TRUNCATED_PIXELS for member in broken}
        members = [member for member in together if member not in broken]
        if len(members) > 1 and all(same(members[0], other) for other in members[1:]):
            conflicts |= {member.relative: IngestCode.DUPLICATE_FILE for member in members[1:]}
        elif len(members) > 1:
            conflicts |= {member.relative: IngestCode.DUPLICATE_UID_CONFLICT for member in members}
    for members in series.values():
        if len({raw_text(member.header, _IDENTITY[0]) for member in members if member.header is not None}) > 1:
            conflicts |= {member.relative: IngestCode.PATIENT_ID_COLLISION for member in members}
    return conflicts


def _breaks_off(file: FoundFile, others: list[FoundFile]) -> bool:
    """Return whether a file holds the first bytes of another one and no more."""
    try:
        size = file.path.stat().st_size
        for other in others:
            if other is file or other.pixels is None or not other.pixels.whole or other.path.stat().st_size <= size:
                continue
            with file.path.open("rb") as short, other.path.open("rb") as whole:
                left = size
                while left and (chunk := short.read(min(left, 2**20))) and whole.read(len(chunk)) == chunk:
                    left -= len(chunk)
            if not left:
                return True
    except OSError:
        return False
    return False
