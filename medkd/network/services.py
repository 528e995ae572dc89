"""What is spoken: roles, SOP classes and transfer syntaxes, as lists that programs negotiate with and documents are written from."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.uid import UID
from pynetdicom import ALL_TRANSFER_SYNTAXES
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import _STORAGE_CLASSES

#: PS3.4 A.4, C.6.2, C.4 and J.3; PS3.6 table A-1.
VERIFICATION = "1.2.840.10008.1.1"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
GET = "1.2.840.10008.5.1.4.1.2.2.3"
MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
COMMITMENT = "1.2.840.10008.1.20.1"
#: SOP classes of stored objects, by their UIDs.
STORAGE_CLASSES = tuple(sorted({str(uid) for uid in _STORAGE_CLASSES.values()}))
#: Everything that the standard has for objects: they are stored as they come and decoded, or refused with a reason, by ingestion.
TRANSFER_SYNTAXES = tuple(str(uid) for uid in ALL_TRANSFER_SYNTAXES)
#: What is offered for queries, commands and reports.
PLAIN_SYNTAXES = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")


@dataclass(frozen=True)
class Service:
    """A service of the network and how it is taken part in.

    Attributes:
        name: of it.
        role: SCU, SCP or both; user agent or origin server of a web service.
        command: of medkd, by which it is used.
        classes: UIDs of SOP classes; empty for web services.
        syntaxes: UIDs of transfer syntaxes.
    """

    name: str
    role: str
    command: str
    classes: tuple[str, ...] = ()
    syntaxes: tuple[str, ...] = ()


SERVICES = (
    Service("Verification (C-ECHO)", "SCP", "medkd receive", (VERIFICATION,), PLAIN_SYNTAXES),
    Service("Storage (C-STORE)", "SCP", "medkd receive, medkd ingest dimse://", STORAGE_CLASSES, TRANSFER_SYNTAXES),
    Service("Storage (C-STORE)", "SCU", "medkd send", STORAGE_CLASSES, TRANSFER_SYNTAXES),
    Service("Query, study root (C-FIND)", "SCU", "medkd ingest dimse://, medkd send", (FIND,), PLAIN_SYNTAXES),
    Service("Retrieve, study root (C-GET)", "SCU", "medkd ingest dimse://", (GET,), PLAIN_SYNTAXES),
    Service("Retrieve, study root (C-MOVE)", "SCU", "medkd ingest dimse://…?move=AE:PORT", (MOVE,), PLAIN_SYNTAXES),
    Service("Storage commitment, push model (N-ACTION, N-EVENT-REPORT)", "SCU", "medkd send", (COMMITMENT,), PLAIN_SYNTAXES),
    Service("QIDO-RS", "user agent", "medkd ingest dicomweb://, medkd send"),
    Service("WADO-RS", "user agent", "medkd ingest dicomweb://", (), TRANSFER_SYNTAXES),
    Service("STOW-RS", "user agent", "medkd send", STORAGE_CLASSES, TRANSFER_SYNTAXES),
)


def accepted_contexts(requested: list[tuple[str, list[str]]]) -> list[object]:
    """Return the presentation contexts of a peer's request that the receiver supports.

    Args:
        requested: SOP classes with the transfer syntaxes that the peer offers for each, in its order.

    Returns:
        pynetdicom's contexts: verification, and each storage class with those of the offered syntaxes that are known.
    """
    syntaxes: dict[str, list[str]] = {}
    for sop_class, offered in requested:
        known = PLAIN_SYNTAXES if sop_class == VERIFICATION else TRANSFER_SYNTAXES if _is_storage(sop_class) else ()
        syntaxes.setdefault(sop_class, []).extend(one for one in offered if one in known and one not in syntaxes.get(sop_class, ()))
    return [build_context(sop_class, found) for sop_class, found in syntaxes.items() if found]


def _is_storage(sop_class: str) -> bool:
    # A private class is stored as any other; what becomes of it is said by ingestion.
    return sop_class in _STORAGE or UID(sop_class).is_private


_STORAGE = frozenset(STORAGE_CLASSES)


def conformance_tables() -> str:
    """Return the tables of services, SOP classes and transfer syntaxes in Markdown."""
    lines = ["| service | role | used by | SOP classes |", "|---|---|---|---|"]
    for one in SERVICES:
        classes = f"{len(one.classes)}, see below" if len(one.classes) > 1 else " ".join(f"`{uid}`" for uid in one.classes)
        lines.append(f"| {one.name} | {one.role} | `{one.command}` | {classes} |")
    lines += ["", "| SOP class of stored objects | UID |", "|---|---|"]
    lines += [f"| {UID(uid).name} | `{uid}` |" for uid in STORAGE_CLASSES]
    lines += ["", "| transfer syntax | UID |", "|---|---|"]
    lines += [f"| {UID(uid).name} | `{uid}` |" for uid in TRANSFER_SYNTAXES]
    return "\n".join(lines) + "\n"
