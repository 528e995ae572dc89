"""Which volumes of ingested DICOM are meant: by their coordinates, and as the images of one case. Nothing is guessed, and nothing is moved to fit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from data_contracts import Coordinate, DataError, DicomData, Ref, SeriesRecord, SeriesRule, StoreManifest, VolumeRef
from medkd.cohorts.case_inputs import channel_key
from medkd.cohorts.folder_names import few
from medkd.cohorts.shards import AFFINE, IMAGE, SYNTHETIC, VOLUME
from medkd.dicom.series_rule import fits, has_coordinates
from medkd.dicom.series_words import series_words
from medkd.storage.store import Store
from medkd.volumes.onto_grid import onto_grid
from medkd.volumes.orientation import Grid, require_space

#: Least share of the first image's grid that each other one reaches: less is another part of the body.
LEAST_REACHED = 0.25


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


def with_coordinates(manifest: StoreManifest, data: DicomData) -> list[VolumeRef]:
    """Return the volumes of a store that have the coordinates that are asked for, all where none is.

    Raises:
        DataError: ``COHORT_EMPTY`` where none has them.
    """
    if not data.coordinates:
        return list(manifest.volumes)
    stated = {one.series_key: one.coordinates for one in manifest.series}
    kept = [volume for volume in manifest.volumes if has_coordinates(stated.get(volume.series_key, {}), data.coordinates)]
    if not kept:
        wanted = ", ".join(f"{name} {_said(value)}" for name, value in data.coordinates.items())
        message = f"expected volumes with {wanted} in {data.path}, as data.coordinates asks, the {len(manifest.volumes)} there have {_held(stated)}"
        raise DataError("COHORT_EMPTY", message)
    return kept


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


def write_images(images: CaseImages, channels: Sequence[str], stores: tuple[Store, Store], key: str) -> Ref:
    """Write the images of a case to one file, all on the grid of the first.

    Voxels that an image does not reach, or that no scanner measured, are marked: nothing is learnt from them and nothing scored.

    Args:
        images: of the case, each a volume.
        channels: their names.
        stores: that the volumes are read from, and that the file goes to.
        key: of the file.

    Raises:
        DataError: ``CHANNEL_LABEL`` when the label lies on another image than the first, ``CHANNEL_OUTSIDE`` when one hardly reaches the first's grid.
    """
    labelled = next((name for name, volume in zip(channels, images.volumes, strict=True) if volume.labels), channels[0])
    if not images.first.labels and labelled != channels[0]:
        text = f"expected the label on {channels[0]}, the first of data.channels, it lies on {labelled}: put that one first"
        raise DataError("CHANNEL_LABEL", text)
    source, target = stores
    grid = _grid(images.first)
    arrays = {AFFINE: torch.from_numpy(grid.affine_lps_mm)}
    unmeasured = np.zeros(grid.shape, dtype=bool)
    for number, (name, volume) in enumerate(zip(channels, images.volumes, strict=True)):
        held = source.read_arrays(volume.array)
        values, reached = onto_grid(held[VOLUME], _grid(volume), grid)
        if reached.mean() < LEAST_REACHED:
            text = f"expected {name} to reach a quarter of {channels[0]}'s volume or more, it reaches {reached.mean():.0%}: another part of the body"
            raise DataError("CHANNEL_OUTSIDE", text)
        unmeasured |= ~reached
        if SYNTHETIC in held:
            # What took anything from a voxel that was not measured was not measured either.
            unmeasured |= onto_grid(held[SYNTHETIC], _grid(volume), grid)[0] > 0
        arrays[channel_key(IMAGE, number, name)] = torch.from_numpy(values)
    if unmeasured.any():
        arrays[SYNTHETIC] = torch.from_numpy(unmeasured.astype(np.uint8))
    return target.write_tensors(key, arrays)


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


def _grid(volume: VolumeRef) -> Grid:
    geometry = require_space(volume, "several images of a case")
    return Grid(geometry.shape, np.asarray(geometry.affine_lps_mm))


def _held(stated: Mapping[str, Mapping[str, Coordinate]]) -> str:
    """Say which coordinates the volumes of a store have."""
    values: dict[str, dict[str, None]] = defaultdict(dict)
    for name, value in sorted((pair for one in stated.values() for pair in one.items()), key=str):
        values[name][_said(value)] = None
    return "; ".join(f"{name} {few(said)}" for name, said in values.items()) or "none: each series is one volume"


def _said(value: Coordinate) -> str:
    return value if isinstance(value, str) else " ".join(f"{one:g}" for one in (value if isinstance(value, tuple) else (value,)))
