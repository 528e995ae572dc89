"""What a recipe says on the cards of its models: what is segmented, and where the training data come from."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from data_contracts.record import FrozenModel

#: What a segmentation outlines: something that should not be there, or an organ that everybody has.
Structures = Literal["lesion", "anatomy"]


class DataSource(FrozenModel):
    """Where training data come from, what they show, and under which terms they may be used.

    Attributes:
        name: of the data set, with its publication.
        modality: as DICOM calls it (``MR``, ``CT``, ``US``); it counts where the files do not say theirs, as NIfTI and PNG do not.
        unit: of the values, as ingestion calls it (``HU``, or ``raw`` where there is none); it counts where the files do not say theirs.
        body_part: what the images show, in words.
        address: where the data can be had.
        licence: SPDX identifier of the terms of use, or their name.
        attribution: what whoever passes on the models has to say of the data.
    """

    name: str = Field(min_length=1)
    modality: str = Field(pattern=r"^[A-Z]{2,16}$")
    unit: str = Field(default="raw", min_length=1)
    body_part: str = Field(min_length=1)
    address: str = Field(pattern=r"^https?://")
    licence: str = Field(min_length=1)
    attribution: str = Field(min_length=1)

    @property
    def kind(self) -> str:
        """Return modality and body part, as reports and lists say them."""
        return f"{self.modality}, {self.body_part}"


class CardNotes(FrozenModel):
    """What stands on the cards of a recipe's models. It is said at registration: a recipe that changes it trains nothing again.

    Attributes:
        structures: what a segmentation outlines: a ``lesion``, or ``anatomy``, which is there in everybody. Reports, and what they ask the
            reader, are worded by it.
        data: where the training data come from, and under which terms; None says nothing of it.
        name_patients: name the training patients and their cases on the card as the data's table does. Only for public data: elsewhere these
            are names of people.
    """

    structures: Structures = "lesion"
    data: DataSource | None = None
    name_patients: bool = False

    @property
    def trained_on(self) -> str:
        """Return modality and body part of the training data in words; empty where the recipe does not say."""
        return "" if self.data is None else self.data.kind
