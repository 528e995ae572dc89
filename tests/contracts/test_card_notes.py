from __future__ import annotations

import pytest

from data_contracts import CardNotes, DataSource, ModelCard, Recipe, read_record
from tests.contracts.test_recipe import GOLDEN

SOURCE = DataSource(
    name="A data set (Somebody et al. 2020)",
    modality="MR",
    body_part="hippocampus",
    address="https://example.org/data",
    licence="CC-BY-SA-4.0",
    attribution="Data by Somebody et al.",
)


def test_what_the_data_are_is_said_in_one_phrase():
    assert SOURCE.kind == "MR, hippocampus"
    assert SOURCE.unit == "raw"


@pytest.mark.parametrize(
    ("field", "value"), [("modality", "magnetic resonance"), ("address", "somewhere"), ("licence", ""), ("attribution", "")]
)
def test_terms_and_places_that_nobody_could_use_are_refused(field, value):
    with pytest.raises(ValueError, match=field):
        DataSource.model_validate({**SOURCE.model_dump(), field: value})


def test_a_recipe_that_says_nothing_segments_lesions_of_unnamed_patients():
    assert CardNotes() == CardNotes(structures="lesion", data=None, name_patients=False)


def test_patients_are_named_only_by_a_table_that_names_them():
    recipe = read_record(GOLDEN.read_bytes(), Recipe)
    with pytest.raises(ValueError, match=r"a table that names patients for card.name_patients, got phantom"):
        Recipe.model_validate({**recipe.model_dump(), "card": {"name_patients": True}})
    folder = {"kind": "image_folder", "path": "pictures"}
    assert Recipe.model_validate({**recipe.model_dump(), "data": folder, "card": {"name_patients": True}}).card.name_patients
    volumes = {"kind": "volume_folder", "path": "volumes", "patient_pattern": "odd-even"}
    with pytest.raises(ValueError, match="got volume_folder without one"):
        Recipe.model_validate({**recipe.model_dump(), "data": volumes, "card": {"name_patients": True}})


def test_a_card_of_before_says_nothing_of_its_data():
    earlier = (GOLDEN.parent / "model_card_2.json").read_bytes()
    card = read_record(earlier, ModelCard)
    assert (card.structures, card.data, card.patients, card.trained_on) == ("lesion", None, {}, "")
    assert read_record((GOLDEN.parent / "model_card_3.json").read_bytes(), ModelCard).trained_on == "MR, hippocampus"
