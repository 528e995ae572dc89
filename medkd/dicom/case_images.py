"""Which volumes of a study are the images of one case, by the rules that say so (:class:`data_contracts.SeriesRule`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from data_contracts import DataError, SeriesRecord, SeriesRule, StoreManifest, VolumeRef
from medkd.dicom.series_rule import fits
from medkd.dicom.series_words import series_words


@dataclass(frozen=True)
class CaseImages:
    """The volumes of one case, in the order of the channels: the label lies on the first, and its grid is the case's."""

    volumes: tuple[VolumeRef, ...]

    @property
    def first(self) -> VolumeRef:
        """Return the volume that the case is called by."""
        return self.volumes[0]


@dataclass(frozen=True)
class Refused:
    """Why volumes are no case."""

    code: str
    what: str


def images_of_cases(
    volumes: Sequence[VolumeRef], series: Mapping[str, SeriesRecord], rules: Mapping[str, SeriesRule]
) -> tuple[list[CaseImages], dict[str, Refused]]:
    """Return the volumes of each study that are the images of one case, and why those of other studies are none.

    A case has one volume for each rule, all of one patient, study and frame of reference. A study that has none of them is none of the
    recipe's concern.

    Args:
        volumes: of a store.
        series: what is said of each, by its key.
        rules: by the name of the channel.

    Returns:
        The cases, and by the key of a volume that a rule found: ``CHANNEL_MISSING``, ``CHANNEL_AMBIGUOUS``, ``CHANNEL_FRAME``.
    """
    studies: dict[tuple[str, str], list[VolumeRef]] = defaultdict(list)
    for volume in volumes:
        studies[volume.patient_key, volume.study_key].append(volume)
    cases: list[CaseImages] = []
    refused: dict[str, Refused] = {}
    for held in studies.values():
        found = {name: [volume for volume in held if fits(rule, volume, series.get(volume.series_key))] for name, rule in rules.items()}
        places = {volume.frame_of_reference_key or "" for matching in found.values() for volume in matching}
        for place in sorted(places):
            here = {name: [one for one in matching if (one.frame_of_reference_key or "") == place] for name, matching in found.items()}
            why = (
                _mistake(here, found, series) if place else Refused("CHANNEL_FRAME", "expected a frame of reference, the series state none")
            )
            if why is None:
                cases.append(CaseImages(tuple(one[0] for one in here.values())))
            else:
                refused[next(one.series_key for matching in here.values() for one in matching)] = why
    return cases, refused


def images_of_store(manifest: StoreManifest, rules: Mapping[str, SeriesRule]) -> tuple[list[CaseImages], dict[str, Refused]]:
    """Return what a model is asked about in a whole store: every volume for itself, or of a model that sees several images those of each study.

    Args:
        manifest: of the store.
        rules: which volume of a study is which image, by the names of the images; fewer than two of a model that sees one.

    Returns:
        As :func:`images_of_cases`.
    """
    if len(rules) < 2:
        return [CaseImages((volume,)) for volume in manifest.volumes], {}
    return images_of_cases(manifest.volumes, {one.series_key: one for one in manifest.series}, rules)


def require_images_of_store(manifest: StoreManifest, rules: Mapping[str, SeriesRule]) -> tuple[list[CaseImages], dict[str, Refused]]:
    """Return what :func:`images_of_store` does.

    Raises:
        DataError: ``CHANNEL_MISSING`` where no volume of the store is any of several images.
    """
    cases, refused = images_of_store(manifest, rules)
    if not cases and not refused:
        wanted = "; ".join(f"{name}: {rule.text()}" for name, rule in rules.items())
        raise DataError(
            "CHANNEL_MISSING",
            f"expected a study with the images that the model sees ({wanted}), none of {len(manifest.volumes)} volumes is one of them",
        )
    return cases, refused


def _mistake(
    here: Mapping[str, Sequence[VolumeRef]], found: Mapping[str, Sequence[VolumeRef]], series: Mapping[str, SeriesRecord]
) -> Refused | None:
    """Return why the volumes of one frame of reference are no case; ``found`` are those of the whole study."""
    for name, matching in here.items():
        if len(matching) > 1:
            listed = "; ".join(_words(volume, series) for volume in matching)
            return Refused(
                "CHANNEL_AMBIGUOUS", f"expected one volume as {name}, its rule finds {len(matching)}: {listed}. Say more in data.channels"
            )
        if not matching and found[name]:
            there = _words(found[name][0], series)
            text = f"expected {name} in the frame of reference of the other images, it is in another ({there}): register it and write it in theirs"
            return Refused("CHANNEL_FRAME", text)
        if not matching:
            other = next(_words(one[0], series) for one in here.values() if one)
            return Refused("CHANNEL_MISSING", f"expected a volume as {name} in the study, its rule finds none beside {other}")
    keys = [matching[0].series_key for matching in here.values()]
    if len(set(keys)) < len(keys):
        shared = next(name for place, (name, _) in enumerate(here.items()) if keys[place] in keys[:place])
        first = next(name for name, matching in here.items() if matching[0].series_key == here[shared][0].series_key)
        text = f"expected a volume of its own for each channel, {first} and {shared} find the same: {_words(here[shared][0], series)}"
        return Refused("CHANNEL_AMBIGUOUS", f"{text}. Say more in data.channels")
    return None


def _words(volume: VolumeRef, series: Mapping[str, SeriesRecord]) -> str:
    said = series.get(volume.series_key)
    return series_words(volume, "" if said is None else said.acquisition)
