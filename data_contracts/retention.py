"""What is kept when a run is cleaned up."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from data_contracts.record import VersionedRecord


class RetentionPolicy(VersionedRecord):
    """What ``medkd gc`` keeps beside what an alias, a reader's feedback or the lineage of something kept needs, which it always keeps.

    Attributes:
        keep_days: versions, runs and stored files that are younger than so many days stay.
        keep_newest: so many newest versions of each name stay, at least the only one.
        keep_reported: versions with a report stay.
        stage_days: results of stages that are older than so many days go, unless a kept version is made of them; without a number all
            that can be used again stay, since making them again may mean a training.
        prefect_days: runs in Prefect's own records that ended longer ago than so many days go; without a number all stay.
    """

    SCHEMA: ClassVar[str] = "retention_policy/1"
    keep_days: int = Field(default=30, ge=0)
    keep_newest: int = Field(default=1, ge=1)
    keep_reported: bool = True
    stage_days: int | None = Field(default=None, ge=0)
    prefect_days: int | None = Field(default=30, ge=0)
