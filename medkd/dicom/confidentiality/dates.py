"""Dates and times moved by a secret amount per patient: intervals stay, days do not."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from medkd.dicom.confidentiality.secret import keyed_number

#: Dates move back by one to ten years, times by one minute to a day.
_FEWEST_DAYS, _MOST_DAYS = 365, 3650
_FEWEST_SECONDS, _DAY = 60, 86400
_DATE = re.compile(r"^(\d{4})\.?(\d{2})\.?(\d{2})$")
_TIME = re.compile(r"^(\d{2}):?(?:(\d{2})(?::?(\d{2})(\.\d{1,6})?)?)?$")
_DATETIME = re.compile(r"^(\d{8})(\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?)?([+-]\d{4})?$")


class DateShift:
    """The shift of one patient.

    Args:
        secret: of the site.
        patient: identifier whose dates move together.
    """

    def __init__(self, secret: bytes, patient: str) -> None:
        number = keyed_number(secret, "dates", patient)
        self._days = timedelta(days=-(_FEWEST_DAYS + number % (_MOST_DAYS - _FEWEST_DAYS)))
        self._seconds = timedelta(seconds=_FEWEST_SECONDS + (number >> 32) % (_DAY - 2 * _FEWEST_SECONDS))

    @property
    def amount(self) -> tuple[int, float]:
        """Return the days by which dates move and the seconds by which times move besides."""
        return self._days.days, self._seconds.total_seconds()

    def date(self, value: str) -> str | None:
        """Return a DA value moved by whole days, None where it is no date."""
        moment = _parse_date(value)
        return None if moment is None else _moved(moment, self._days, "%Y%m%d")

    def time(self, value: str) -> str | None:
        """Return a TM value moved around the clock, None where it is no time."""
        parsed = _parse_time(value)
        if parsed is None:
            return None
        return (datetime(2000, 1, 1) + parsed + self._seconds).strftime("%H%M%S") + _fraction(value)

    def pair(self, date: str, time: str) -> tuple[str, str] | None:
        """Return a date and its time moved together, so that a night does not tear them apart."""
        day, clock = _parse_date(date), _parse_time(time)
        if day is None or clock is None:
            return None
        try:
            moved = day + clock + self._days + self._seconds
        except OverflowError:
            return None
        return moved.strftime("%Y%m%d").rjust(8, "0"), moved.strftime("%H%M%S") + _fraction(time)

    def datetime(self, value: str) -> str | None:
        """Return a DT value moved by days and seconds; without a time of day by days alone."""
        match = _DATETIME.match(value.strip())
        if match is None:
            return None
        date, time, zone = match.group(1), match.group(2), match.group(3) or ""
        if time is None:
            moved = self.date(date)
            return None if moved is None else moved + zone
        both = self.pair(date, time)
        return None if both is None else "".join(both) + zone


def _parse_date(value: str) -> datetime | None:
    match = _DATE.match(value.strip())
    try:
        return datetime(int(match[1]), int(match[2]), int(match[3])) if match else None
    except ValueError:
        return None


def _parse_time(value: str) -> timedelta | None:
    match = _TIME.match(value.strip())
    if match is None:
        return None
    hours, minutes, seconds = int(match[1]), int(match[2] or 0), int(match[3] or 0)
    # A second of 60 is a leap second (PS3.5 6.2, TM).
    return timedelta(hours=hours, minutes=minutes, seconds=seconds) if hours < 24 and minutes < 60 and seconds < 61 else None


def _fraction(value: str) -> str:
    match = _TIME.match(value.strip())
    return (match[4] or "") if match else ""


def _moved(moment: datetime, by: timedelta, form: str) -> str | None:
    try:
        # Years before 1000 are written with fewer digits.
        return (moment + by).strftime(form).rjust(8, "0")
    except OverflowError:
        return None
