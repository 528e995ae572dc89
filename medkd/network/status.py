"""Answers to C-STORE (PS3.4 table B.2-1) that the receiver gives."""

from __future__ import annotations

from enum import IntEnum


class StoreStatus(IntEnum):
    """Status of a C-STORE response."""

    SUCCESS = 0x0000
    INVALID_INSTANCE = 0x0117
    OUT_OF_RESOURCES = 0xA700
    DATA_SET_DIFFERS = 0xA900
    CANNOT_UNDERSTAND = 0xC000

    @property
    def comment(self) -> str:
        """Return what is said beside it, (0000,0902), at most 64 characters."""
        return _COMMENTS[self]


_COMMENTS = {
    StoreStatus.SUCCESS: "",
    StoreStatus.INVALID_INSTANCE: "SOP Instance UID is no UID",
    StoreStatus.OUT_OF_RESOURCES: "too little free disk; send again later",
    StoreStatus.DATA_SET_DIFFERS: "data set is not the object that was announced",
    StoreStatus.CANNOT_UNDERSTAND: "data set is cut off or does not parse; send again",
}
