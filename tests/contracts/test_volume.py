from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import LabelRef, Segment, StoreManifest, read_record

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def manifest():
    return read_record((GOLDEN / "store_1.json").read_bytes(), StoreManifest)


def test_every_label_of_a_volume_is_given_the_first_one_first(manifest):
    volume = manifest.volumes[0]
    other = volume.label.model_copy(update={"source": "rtstruct"})
    assert volume.model_copy(update={"label": None}).labels == ()
    assert volume.labels == (volume.label,)
    assert volume.model_copy(update={"further_labels": (other,)}).labels == (volume.label, other)


@pytest.mark.parametrize("field", ["volumes", "series"])
def test_a_series_is_listed_once(manifest, field):
    twice = {**manifest.model_dump(), field: (*getattr(manifest, field), *getattr(manifest, field))}
    with pytest.raises(ValueError, match=r"every series once in a store manifest, got twice: \['s1'\]"):
        StoreManifest.model_validate(twice)


def test_a_structure_is_no_background():
    with pytest.raises(ValueError, match="value"):
        Segment(value=0, name="background")


def test_a_label_keeps_what_it_was_bound_to():
    label = read_record((GOLDEN / "label_1.json").read_bytes(), LabelRef)
    assert label.segments[0].value >= 1
    assert label.max_deviation_mm >= 0
