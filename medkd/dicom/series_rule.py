"""Whether a volume is what a rule asks for (:class:`data_contracts.SeriesRule`), by what may be said of its series."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from data_contracts import Coordinate, SeriesRecord, SeriesRule, VolumeRef


def fits(rule: SeriesRule, volume: VolumeRef, said: SeriesRecord | None) -> bool:
    """Return whether a volume is what a rule asks for; a picture, which has no place in the patient, never is.

    Args:
        rule: modality, words and coordinates.
        volume: of a store.
        said: what the store says of its series; None where it says nothing.
    """
    words = {word.strip().casefold() for word in ("" if said is None else said.acquisition).split(",")}
    return (
        volume.space is not None
        and rule.modality in (None, volume.modality)
        and all(word.strip().casefold() in words for word in rule.words)
        and not any(word.strip().casefold() in words for word in rule.without)
        and has_coordinates({} if said is None else said.coordinates, rule.coordinates)
    )


def has_coordinates(stated: Mapping[str, Coordinate], wanted: Mapping[str, Coordinate]) -> bool:
    """Return whether all wanted coordinates are stated; numbers as they are said, to five digits."""
    return all(_same(stated.get(name), value) for name, value in wanted.items())


def _same(stated: Coordinate | None, wanted: Coordinate) -> bool:
    if stated is None or isinstance(stated, str) or isinstance(wanted, str):
        return stated == wanted
    one, other = (np.atleast_1d(np.asarray(value, float)) for value in (stated, wanted))
    return one.shape == other.shape and bool(np.allclose(one, other, rtol=1e-5, atol=1e-6))
