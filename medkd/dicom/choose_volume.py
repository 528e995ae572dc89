"""Which volume of an ingested study is meant, or which volumes are the images that a model sees; nothing is guessed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from data_contracts import DataError, IngestReport, SeriesRecord, SeriesRule, StoreManifest, VolumeRef
from medkd.dicom.case_images import images_of_cases
from medkd.dicom.series_rule import fits
from medkd.dicom.series_words import series_words


def choose_images(
    manifest: StoreManifest, ingested: IngestReport, series: str | None, rules: Callable[[], Mapping[str, SeriesRule]]
) -> tuple[VolumeRef, ...]:
    """Return the volumes that a model is asked about: one, or of a model that sees several images of a study one for each, in their order.

    Args:
        manifest: of the store that the study was ingested into.
        ingested: what became of its files.
        series: key of the series, where there are several; of several images that of the first.
        rules: gives what the model says of the images that it sees, by their names; asked where several volumes are there.

    Raises:
        DataError: as :func:`choose_volume`; ``CHANNEL_MISSING``, ``CHANNEL_AMBIGUOUS`` or ``CHANNEL_FRAME`` where the volumes of no study are the images.
    """
    wanted = rules() if len(manifest.volumes) > 1 else {}
    if len(wanted) < 2:
        return (choose_volume(manifest, ingested, series, lambda: next(iter(wanted.values()), None)),)
    said = {one.series_key: one for one in manifest.series}
    cases, refused = images_of_cases(manifest.volumes, said, wanted)
    fitting = [case for case in cases if series in (None, case.first.series_key)]
    if len(fitting) == 1:
        return fitting[0].volumes
    if not cases and refused:
        why = next(iter(refused.values()))
        raise DataError(why.code, why.what)
    rule = "; ".join(f"{name}: {one.text()}" for name, one in wanted.items())
    if not cases:
        listed = "".join(f"\n  {_line(volume, said)}" for volume in manifest.volumes)
        raise DataError(
            "CHANNEL_MISSING", f"expected a study with the images that the model sees ({rule}), the source holds none of them:{listed}"
        )
    listed = "".join(f"\n  {_line(one.first, said)}" for one in cases)
    raise DataError(
        "WHICH_SERIES",
        f"expected one study with the images that the model sees ({rule}), {len(fitting)} are; choose with --series:{listed}",
    )


def _line(volume: VolumeRef, said: Mapping[str, SeriesRecord]) -> str:
    acquired = said.get(volume.series_key)
    return f"{volume.series_key}  {series_words(volume, '' if acquired is None else acquired.acquisition)}"


def choose_volume(
    manifest: StoreManifest, ingested: IngestReport, series: str | None, rule: Callable[[], SeriesRule | None] = lambda: None
) -> VolumeRef:
    """Return the one volume that is meant.

    Args:
        manifest: of the store that the study was ingested into.
        ingested: what became of its files.
        series: key of the series, where there are several.
        rule: gives what the model that is asked says of the image that it sees, None where it says nothing; asked where several volumes are there
            and none was named.

    Raises:
        DataError: ``NO_VOLUME`` when nothing could be verified, ``WHICH_SERIES`` when several volumes could be meant.
    """
    if not manifest.volumes:
        raise DataError(
            "NO_VOLUME",
            f"expected a series whose geometry can be verified, none of {len(ingested.files)} files gives one: {ingested.codes()}",
        )
    said = {one.series_key: one for one in manifest.series}
    listed = "".join(f"\n  {_line(volume, said)}" for volume in manifest.volumes)
    # Asked for by key, the only volume must be that one too: a key of another study would pass otherwise.
    if series is not None:
        chosen = [volume for volume in manifest.volumes if volume.series_key == series]
        if not chosen:
            raise DataError("WHICH_SERIES", f"expected one of the series of the source, got {series!r}; choose with --series:{listed}")
        return chosen[0]
    if len(manifest.volumes) == 1:
        return manifest.volumes[0]
    wanted = rule()
    if wanted is None:
        raise DataError(
            "WHICH_SERIES", f"expected one series in the source, it holds {len(manifest.volumes)}; choose with --series:{listed}"
        )
    fitting = [volume for volume in manifest.volumes if fits(wanted, volume, said.get(volume.series_key))]
    if len(fitting) != 1:
        raise DataError(
            "WHICH_SERIES",
            f"expected one series that the model is for ({wanted.text()}) in the source, {len(fitting)} of {len(manifest.volumes)} are; "
            f"choose with --series:{listed}",
        )
    return fitting[0]
