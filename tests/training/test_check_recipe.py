"""Everything that is wrong with a recipe is said at once, where it stands, with what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import flows
from data_contracts import CatalogueError, DataError, RecipeError
from medkd.training.check_recipe import check_recipe, require_data
from medkd.training.recipes import read_recipe

PHANTOM = Path(flows.__file__).parent / "recipes" / "phantom-classification.yaml"
BROKEN = """\
name: Bad Name
task: {kind: clasification, classes: [a, b], image_size: [64, x]}
data:
  kind: image_folder
  path: nowhere
  lable_column: x
seeds: []
teacher:
  network: {builder: resnett}
  fit: {epochs: 0, augment: afine}
  terms:
    - {loss: cross_entrpy}
student:
  network: {builder: resnet, options: {chanels: [1], blok: [1]}}
  fit: {}
arms:
  kd:
    terms:
      - {loss: logit_kd, options: {temprature: 3}}
      - {loss: attribution_transfer, options: {explainer: camm}, schedule: {kind: linear, begin: 0.9, end: 0.1}}
explain: {measures: [{name: dicee}]}
"""
#: Every mistake of it: line, field, and a word of what was meant or came.
EXPECTED = [
    (1, "name", "Bad Name"),
    (2, "task.kind", "did you mean 'classification'"),
    (2, "task.image_size", "tuple[int, int] or tuple[int, int, int], got [64, 'x']"),
    (5, "data.path", "nowhere"),
    (6, "data.lable_column", "did you mean 'label_column'"),
    (7, "seeds", "at least 1 item"),
    (9, "teacher.network.builder", "did you mean 'resnet'"),
    (10, "teacher.fit.epochs", "greater than or equal to 1, got 0"),
    (10, "teacher.fit.augment", "did you mean 'affine'"),
    (12, "teacher.terms.0.loss", "did you mean 'cross_entropy'"),
    (14, "student.network.options.chanels", "did you mean 'channels'"),
    (14, "student.network.options.blok", "did you mean 'blocks'"),
    (15, "student.fit.epochs", "expected the field 'epochs'"),
    (19, "arms.kd.terms.0.options.temprature", "did you mean 'temperature'"),
    (20, "arms.kd.terms.1.schedule", "begin 0.9 and end 0.1"),
    (20, "arms.kd.terms.1.options.explainer", "did you mean 'cam'"),
    (21, "explain.measures.0.name", "did you mean 'dice'"),
]


@pytest.fixture
def broken(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text(BROKEN)
    return path


def test_all_mistakes_are_said_at_once_with_their_lines(broken, tmp_path):
    found = check_recipe(broken, data_root=tmp_path)
    assert found.recipe is None
    said = {(found.source.line(mistake.place), mistake.field): str(mistake.error) for mistake in found.mistakes}
    assert sorted(said) == sorted((line, field) for line, field, _ in EXPECTED)
    for line, field, word in EXPECTED:
        assert word in said[line, field]
        assert said[line, field].startswith("expected ")
    lines = [found.source.line(mistake.place) for mistake in found.mistakes]
    assert lines == sorted(lines)


def test_reading_says_the_first_of_them_in_the_same_words(broken):
    with pytest.raises(RecipeError) as caught:
        read_recipe(broken)
    assert caught.value.code == "RECIPE_INVALID"
    assert str(caught.value).startswith("expected a string to match pattern")
    assert "(broken.yaml:1 name)" in str(caught.value)
    assert "and 15 more mistakes: `medkd recipe check`" in str(caught.value)  # all but the folder, which is looked at with the data root


def test_one_mistake_keeps_its_kind_and_code(tmp_path):
    path = tmp_path / "one.yaml"
    path.write_text(PHANTOM.read_text().replace("- {loss: logit_kd, options: {temperature: 4.0}}", "- {loss: logit_kdd}", 1))
    with pytest.raises(CatalogueError, match=r"did you mean 'logit_kd'\? \(one.yaml:40 arms.kd.terms.0.loss\)") as caught:
        read_recipe(path)
    assert caught.value.code == "CATALOGUE_UNKNOWN"
    assert path.read_text().splitlines()[39].strip() == "- {loss: logit_kdd}"


def test_what_was_set_beside_the_file_has_no_line(tmp_path):
    found = check_recipe(
        PHANTOM, {"student.fit.epochs": 0, "arms.kd.terms": [{"loss": "hint", "options": {"grit": 3}}]}, data_root=tmp_path
    )
    assert {found.source.where(mistake) for mistake in found.mistakes} == {
        "--set student.fit.epochs",
        "--set arms.kd.terms.0.options.grit",
    }


def test_needs_and_tasks_are_all_said_of_a_recipe_whose_form_is_right(tmp_path):
    changes = {
        "student.network.builder": "unet",
        "student.network.options": {},
        "teacher.terms": [{"loss": "logit_kd"}],
        "arms.kd.terms": [{"loss": "cross_entropy"}],
        "arms.kd.unlabelled": True,
        "explain.measures": [{"name": "auc"}, {"name": "dice"}],
    }
    found = check_recipe(PHANTOM, changes, data_root=tmp_path)
    assert {(mistake.error.code, mistake.field) for mistake in found.mistakes} == {
        ("RECIPE_TASK", "student.network.builder"),
        ("RECIPE_NEEDS", "teacher.terms"),
        ("RECIPE_NEEDS", "arms.kd.unlabelled"),
        ("RECIPE_MEASURE", "explain.measures.0.name"),
        ("RECIPE_MEASURE", "explain.measures.1.name"),
    }


def test_a_policy_that_is_not_allowed_hides_no_other_mistake(tmp_path):
    data = {"kind": "dicom", "path": "here", "policy": {"actions": {"NOT_DICOM": "repair"}}, "held_out": 2.0}
    found = check_recipe(PHANTOM, {"data": data}, data_root=tmp_path)
    assert {("POLICY_NOT_ALLOWED", "data.policy"), ("RECIPE_INVALID", "data.held_out")} <= {
        (mistake.error.code, mistake.field) for mistake in found.mistakes
    }


def test_a_right_recipe_has_no_mistakes_and_one_too_large_has(tmp_path):
    assert check_recipe(PHANTOM, data_root=tmp_path).recipe == read_recipe(PHANTOM)
    found = check_recipe(PHANTOM, {"data.teacher": 10**12}, data_root=tmp_path)
    assert [mistake.error.code for mistake in found.mistakes] == ["MEMORY_TOO_SMALL"]


@pytest.fixture
def clinic(tmp_path):
    """Return a maker of a recipe on a folder of pictures that has everything but what is changed."""
    root = tmp_path / "clinic"
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
        (root / folder / "a.png").write_bytes(b"")  # only names are looked at
    (root / "cases.csv").write_text("file,patient,finding\na,p1,benign\n")
    data = {"kind": "image_folder", "path": "clinic", "id_column": "file", "label_column": "finding"}

    def make(**changes):
        path = tmp_path / "recipe.yaml"
        payload = {**yaml.safe_load(PHANTOM.read_text()), "data": {**data, **changes}}
        path.write_text(yaml.safe_dump(payload, sort_keys=False))
        return path

    return make


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, set()),
        ({"id_column": "fil", "patient_column": "who"}, {("TABLE_COLUMN", "data.id_column"), ("TABLE_COLUMN", "data.patient_column")}),
        ({"where": {"finding": "both"}}, {("COHORT_EMPTY", "data.where")}),
        ({"table": "other.csv"}, {("SOURCE_MISSING", "data.table")}),
        ({"label_column": "patient"}, {("TABLE_LABEL", "data.label_column")}),
        ({"images": "pictures", "masks": "marks"}, {("SOURCE_MISSING", "data.images"), ("SOURCE_MISSING", "data.masks")}),
        ({"path": "../clinic"}, {("RECIPE_PATH", "data.path")}),
        ({"kind": "volume_folder", "id_column": "file", "dataset": None, "table": "cases.csv"}, {("COHORT_EMPTY", "data.images"), ("COHORT_EMPTY", "data.masks"), ("TABLE_COLUMN", "data.patient_column")}),
    ],
)  # fmt: skip
def test_the_data_are_looked_at_before_any_compute(clinic, tmp_path, changes, said):
    found = check_recipe(clinic(**changes), data_root=tmp_path)
    assert {(mistake.error.code, mistake.field) for mistake in found.mistakes} == said


def test_a_run_refuses_in_the_same_words(clinic, tmp_path):
    path = clinic(id_column="fil")
    with pytest.raises(DataError, match=r"'fil' in cases.csv, it has .* did you mean 'file'\? \(recipe.yaml:\d+ data.id_column\)"):
        require_data(read_recipe(path), path, {}, tmp_path)
