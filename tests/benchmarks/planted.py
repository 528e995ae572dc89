"""Planting: a value is put into a dataset and what is required of it is written down in one call; and who it is planted of."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

from pydicom import Dataset, Sequence

from tests.benchmarks.planted_values import FAMILY, GIVEN, HOSPITALS, OCCUPATIONS, STREETS, TOWNS
from tests.benchmarks.required_actions import Action, Place, Required


class Planted:
    """A dataset or an item of it, and what is required of everything that is put there."""

    def __init__(self, dataset: Dataset, file: str, patient: str, required: list[Required], place: Place = ()) -> None:
        self.dataset, self.file, self.patient, self.required, self.place = dataset, file, patient, required, place

    def require(self, action: Action, keyword: str, value: Any = None) -> None:
        place = (*self.place, keyword) if keyword else ()
        self.required.append(Required(action, self.file, place, value, self.patient))

    def keep(self, **values: Any) -> None:
        """Plant what must stay as it is."""
        for keyword, value in values.items():
            setattr(self.dataset, keyword, value)
            self.require(Action.TAG_RETAINED, keyword, value)

    def gone(self, tokens: tuple[str, ...] = (), **values: Any) -> None:
        """Plant what must go: no token of it may be anywhere in the file; without tokens, each value itself."""
        for keyword, value in values.items():
            setattr(self.dataset, keyword, value)
            for token in tokens or (value if isinstance(value, list) else [value]):
                self.require(Action.TEXT_REMOVED, keyword, token)

    def emptied(self, tokens: tuple[str, ...] = (), **values: Any) -> None:
        """Plant what must go while its attribute, of type 2, stays."""
        self.gone(tokens, **values)
        for keyword in values:
            self.require(Action.TAG_RETAINED, keyword)

    def described(self, keyword: str, words: str, *, typed: str = "", tokens: tuple[str, ...] = ()) -> None:
        """Plant a description: its words stay, what is typed of somebody beside them goes."""
        setattr(self.dataset, keyword, f"{words} {typed}".strip())
        self.require(Action.TEXT_RETAINED, keyword, words)
        for token in tokens:
            self.require(Action.TEXT_REMOVED, keyword, token)

    def dated(self, moment: datetime, *names: str, fraction: str = "") -> None:
        """Plant dates, each with its time."""
        for name in names:
            date, time = moment.strftime("%Y%m%d"), moment.strftime("%H%M%S") + fraction
            setattr(self.dataset, f"{name}Date", date)
            setattr(self.dataset, f"{name}Time", time)
            self.require(Action.DATE_SHIFTED, f"{name}Date", (date, time))

    def moment(self, keyword: str, moment: datetime) -> None:
        """Plant a date and time in one value."""
        value = moment.strftime("%Y%m%d%H%M%S") + ".250000"
        setattr(self.dataset, keyword, value)
        self.require(Action.DATE_SHIFTED, keyword, (value, "whole"))

    def uid(self, **values: str) -> None:
        """Plant UIDs: each becomes another, the same wherever it stands in the set."""
        for keyword, value in values.items():
            setattr(self.dataset, keyword, value)
            self.require(Action.UID_CHANGED, keyword, value)
            self.require(Action.UID_CONSISTENT, keyword, value)

    def item(self, keyword: str) -> Planted:
        """Return a new item of a sequence."""
        if keyword not in self.dataset:
            setattr(self.dataset, keyword, Sequence([]))
        number = len(self.dataset[keyword].value)
        self.dataset[keyword].value.append(Dataset())
        item = self.dataset[keyword].value[number]
        return Planted(item, self.file, self.patient, self.required, (*self.place, keyword, number))

    def coded(self, keyword: str, value: str, scheme: str, meaning: str) -> Planted:
        """Plant a code of a public scheme, which stays."""
        item = self.item(keyword)
        item.keep(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)
        return item


class Person:
    """An invented patient: number and generator decide who."""

    def __init__(self, number: int, draw: random.Random) -> None:
        self.family, self.given = FAMILY[number % len(FAMILY)], draw.choice(GIVEN)
        self.id = f"{draw.choice(('MRN', 'P-', '', 'STB'))}{draw.randrange(10**7, 10**8)}"
        self.birth = datetime(1930, 1, 1) + timedelta(days=draw.randrange(25_000))
        self.phone = f"555-{draw.randrange(100, 999)}-{draw.randrange(1000, 9999)}"
        self.mail = f"{self.given}.{draw.randrange(10**5, 10**6)}@example.org"
        self.ssn = f"{draw.randrange(100, 999)}-{draw.randrange(10, 99)}-{draw.randrange(1000, 9999)}"
        self.street, self.town = draw.choice(STREETS), draw.choice(TOWNS)
        self.hospital, self.job = draw.choice(HOSPITALS), draw.choice(OCCUPATIONS)
        self.doctor = f"{FAMILY[(number + 7) % len(FAMILY)]}^{draw.choice(GIVEN)}"
        self.tokens = tuple(part for part in (self.family, self.given) if len(part) > 3)

    def typed(self, draw: random.Random) -> tuple[str, tuple[str, ...]]:
        """Return something that a technician types beside a description, and what of it identifies."""
        doctor, (family, given) = self.doctor.split("^")[0], (self.family, self.given)
        day = self.birth.strftime("%d/%m/%Y")
        typed = (
            (f"{family}, {given}", self.tokens),
            (f"{given} {family}", self.tokens),
            (f"for Dr. {doctor}", (doctor,)),
            (f"MRN {self.id}", (self.id,)),
            (f"call {self.phone}", (self.phone,)),
            (f"DOB {day}", (day,)),
            (f"{self.mail}", (self.mail,)),
            (f"({self.hospital})", (self.hospital,)),
        )
        return draw.choice(typed)
