"""Whether the series that a model is asked about are those that it is for, as its card says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from data_contracts import Caveat, DataError, ModelCard, SeriesRule, VolumeRef
from medkd.dicom.ingest_cache import MANIFEST, read_manifest
from medkd.dicom.series_rule import fits
from medkd.dicom.series_words import series_words
from medkd.wording import require_neutral

SERIES_OTHER = "SERIES_OTHER"


def rules_of(card: ModelCard | None) -> dict[str, SeriesRule | None]:
    """Return what a card says of the images that its network sees, in their order; None of one that it says nothing of."""
    return {} if card is None else {name: card.series.get(name) for name in card.task.image_names}


def require_rules(names: Sequence[str], rules: Mapping[str, SeriesRule | None], model: str) -> dict[str, SeriesRule]:
    """Return which volumes of a study a network sees, by the names of its images and in their order; nothing of one image that nothing is said of.

    Args:
        names: of the images that it sees.
        rules: as :func:`rules_of`.
        model: what the version is called.

    Raises:
        DataError: ``TASK_INPUTS`` for a network of several images, of one of which nothing is said.
    """
    said = {name: rule for name in names if (rule := rules.get(name)) is not None}
    missing = next((name for name in names if name not in said), None)
    if missing is not None and len(names) > 1:
        raise DataError(
            "TASK_INPUTS",
            f"expected the card of {model} to say which volume of a study is {missing!r}, one of {len(names)} images that it sees, it does not: "
            "ask a student of it that sees one image",
        )
    return said


def series_caveats(rules: Mapping[str, SeriesRule | None], images: Iterable[VolumeRef], store: Path) -> tuple[Caveat, ...]:
    """Return which images of a study are not what a model is for.

    A person may ask about any series by its key, and a study with one series is asked about without one: what was trained for a T1 answers a T2 too.

    Args:
        rules: as :func:`rules_of`.
        images: that the model is asked about, in the order of its channels.
        store: folder of their store; where it lists no series nothing is known of them, and nothing said.
    """
    if not any(rules.values()) or not (store / MANIFEST).is_file():
        return ()
    said = {one.series_key: one for one in read_manifest(store).series}
    found = []
    for (name, rule), volume in zip(rules.items(), images, strict=False):
        known = said.get(volume.series_key)
        if rule is None or known is None or fits(rule, volume, known):
            continue
        series = series_words(volume, known.acquisition)
        text = f"the model is for {rule.text()} as {name}, it was asked about another series ({series}); what it says of it was never measured."
        found.append(Caveat(code=SERIES_OTHER, text=require_neutral(text), severity=3))
    return tuple(found)
