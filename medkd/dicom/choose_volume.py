"""Which volume of an ingested study is meant; nothing is guessed."""

from __future__ import annotations

from collections.abc import Callable

from data_contracts import DataError, IngestReport, SeriesRule, StoreManifest, VolumeRef
from medkd.dicom.series_rule import fits
from medkd.dicom.series_words import series_words


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
    acquired = {one.series_key: one.acquisition for one in manifest.series}
    listed = "".join(f"\n  {v.series_key}  {series_words(v, acquired.get(v.series_key, ''))}" for v in manifest.volumes)
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
    said = {one.series_key: one for one in manifest.series}
    fitting = [volume for volume in manifest.volumes if fits(wanted, volume, said.get(volume.series_key))]
    if len(fitting) != 1:
        raise DataError(
            "WHICH_SERIES",
            f"expected one series that the model is for ({wanted.text()}) in the source, {len(fitting)} of {len(manifest.volumes)} are; "
            f"choose with --series:{listed}",
        )
    return fitting[0]
