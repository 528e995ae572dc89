"""The card of a version: terms of the data, training patients by their public names, what the recipe says where files say nothing."""

from __future__ import annotations

import re

import pytest

from data_contracts import (
    CardNotes,
    Checkpoint,
    DataError,
    DataSource,
    DicomData,
    Recipe,
    SeriesRule,
    TrainingDomain,
    TrainingManifest,
    read_record,
)
from medkd.cohorts.case_table import patient_key
from medkd.registry.model_card import LIMITS, limits_of, model_card, named_patients, registered_domain
from medkd.registry.recipe_result import RecipeResult
from tests.contracts.test_recipe import GOLDEN

SOURCE = DataSource(
    name="A data set", modality="MR", body_part="hippocampus", address="https://example.org", licence="CC-BY-SA-4.0", attribution="By them."
)


@pytest.fixture
def recipe(tmp_path):
    """Return a recipe whose data lie in a folder with a table of three people."""
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "cases.csv").write_text("ID,patient,label\na1,S1,benign\na2,S1,benign\nb1,S2,malignant\nc1,S3,benign\n")
    plain = read_record(GOLDEN.read_bytes(), Recipe)
    card = CardNotes(structures="anatomy", data=SOURCE, name_patients=True)
    return Recipe.model_validate({**plain.model_dump(), "data": {"kind": "image_folder", "path": "pictures"}, "card": card.model_dump()})


@pytest.fixture
def checkpoint():
    return read_record((GOLDEN.parent / "checkpoint_2.json").read_bytes(), Checkpoint)


def manifest(*people):
    return TrainingManifest(cohorts=("c" * 64,), patients=tuple(sorted(patient_key(one) for one in people)))


def test_a_card_says_what_is_outlined_whose_data_it_was_and_under_which_terms(recipe, checkpoint, tmp_path):
    card = model_card(RecipeResult(recipe, None), checkpoint, (), None, (manifest("S3", "S1"), tmp_path))
    assert (card.structures, card.data, card.patients) == ("anatomy", SOURCE, {"S1": ("a1", "a2"), "S3": ("c1",)})
    assert card.trained_on == "MR, hippocampus"
    assert card.limits


def test_patients_stay_keys_unless_the_recipe_names_them(recipe, checkpoint, tmp_path):
    silent = recipe.model_copy(update={"card": CardNotes()})
    card = model_card(RecipeResult(silent, None), checkpoint, (), None, (manifest("S1"), tmp_path / "nowhere"))
    assert (card.patients, card.data) == ({}, None)


def test_a_training_patient_who_is_not_in_the_table_is_not_left_out(recipe, tmp_path):
    with pytest.raises(DataError, match=re.escape("1 of 2 are not")) as caught:
        named_patients(recipe, tmp_path, manifest("S1", "S9").patients)
    assert caught.value.code == "PATIENT_UNNAMED"


@pytest.mark.parametrize(
    ("found", "expected"),
    [(TrainingDomain(), (("MR",), ("raw",))), (TrainingDomain(modalities=("CT",), units=("HU",)), (("CT",), ("HU",)))],
)
def test_what_files_say_of_themselves_stands_above_the_recipe(recipe, found, expected):
    domain = registered_domain(recipe.model_copy(update={"outside_training": "refuse"}), found)
    assert (domain.modalities, domain.units, domain.outside) == (*expected, "refuse")


def test_without_a_source_in_the_recipe_nothing_is_known(recipe):
    assert registered_domain(recipe.model_copy(update={"card": CardNotes()}), TrainingDomain()) == TrainingDomain()


def test_a_card_says_which_volumes_of_a_study_its_recipe_took(recipe, checkpoint, tmp_path):
    rules = {"t1": SeriesRule(words=("T1",)), "t2": SeriesRule(words=("T2",))}
    plain = recipe.model_copy(update={"card": CardNotes()})
    of_dicom = plain.model_copy(update={"data": DicomData(path="studies", channels=rules)})
    found = [model_card(RecipeResult(one, None), checkpoint, (), None, (manifest("S1"), tmp_path)) for one in (of_dicom, plain)]
    assert [one.series for one in found] == [rules, {}]
    assert "series" not in found[1].model_dump()


def test_a_card_says_what_a_model_sees_and_what_its_labels_never_showed(checkpoint):
    assert limits_of(checkpoint) == LIMITS
    task = checkpoint.task.model_copy(update={"channels": ("plain",)})
    said = limits_of(checkpoint.model_copy(update={"task": task, "hidden_classes": ("cyst",)}))
    assert said[: len(LIMITS)] == LIMITS
    assert "Sees plain of a case" in said[-2]
    assert "No label of its training showed cyst" in said[-1]
