"""`medkd recipe new`, `check` and `show`: what is written runs, what is wrong is listed, what is shown is what is run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nibabel
import numpy as np
import pytest
import yaml
from PIL import Image

import flows
from data_contracts import Recipe
from flows.commands.recipes import RecipeKind
from medkd.compression.read_compression_recipe import read_compression_recipe
from medkd.phantom.dicom_studies import write_phantom_dicom
from medkd.training.recipes import read_recipe

ROOT = Path(flows.__file__).parents[1]
#: By the schema that their editors are told; recipes of compression have one of their own.
SHIPPED = sorted((ROOT / "flows" / "recipes").rglob("*.yaml"))
#: Nothing is learnt at this size; everything is gone through.
TINY = ("teacher.fit.epochs=1", "student.fit.epochs=1", "seeds=[0]", "teacher.gate.enforce=false", "explain.cases=2")
SMALL_PHANTOM = ("data.teacher=32", "data.teacher_validation=16", "data.student=16", "data.test=16")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_recipe_leads_editors_to_its_schema(path):
    first = path.read_text(encoding="utf-8").splitlines()[0]
    found = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert found, first
    compresses = path.parent.name == "compression"
    wanted = "compression_recipe_1.json" if compresses else "recipe_3.json"
    assert (path.parent / found[1]).resolve() == ROOT / "docs" / "schemas" / wanted
    assert read_compression_recipe(path) if compresses else read_recipe(path)


def draw_pictures(root):
    rng, lines = np.random.default_rng(0), ["file,patient,finding"]
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for number in range(24):
        image, mask = rng.integers(0, 90, (32, 32), dtype=np.uint8), np.zeros((32, 32), dtype=np.uint8)
        mask[8:16, 8 : 16 + number % 2 * 8] = 255
        image[mask > 0] += 100
        for folder, pixels in (("images", image), ("masks", mask)):
            Image.fromarray(pixels).save(root / folder / f"a{number:02d}.png")
        lines.append(f"a{number:02d},p{number // 2},{'malignant' if number // 2 % 2 else 'benign'}")
    (root / "cases.csv").write_text("\n".join(lines))


def draw_volumes(root):
    rng, lines = np.random.default_rng(0), ["case,subject"]
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for number in range(20):
        image, mask = rng.normal(0, 1, (16, 16, 16)).astype(np.float32), np.zeros((16, 16, 16), dtype=np.uint8)
        mask[3:9, 4:9, 3:9], mask[10:13, 10:13, 10:13] = 1, 2
        for folder, values in (("images", image + 2 * mask), ("masks", mask)):
            nibabel.save(nibabel.Nifti1Image(values, np.diag([-1.0, -1.0, 1.0, 1.0])), root / folder / f"c{number:02d}.nii.gz")
        lines.append(f"c{number:02d},s{number // 2}")
    (root / "cases.csv").write_text("\n".join(lines))


#: What each kind's data are, and what makes its run small.
KINDS = {
    "phantom-classification": (None, (*SMALL_PHANTOM, "data.debiased=16", "data.reversed=16", "data.marker_pairs=8")),
    "phantom-segmentation": (None, (*SMALL_PHANTOM, "data.unlabelled=8")),
    "images": (lambda data: draw_pictures(data / "clinic"), ("task.image_size=[32,32]",)),
    "volumes": (lambda data: draw_volumes(data / "volumes"), ("task.image_size=[16,16,16]", "teacher.network.options.channels=[4,4,8]")),
    "dicom": (lambda data: write_phantom_dicom(data / "studies", studies=10, seed=2, faults=False), ()),
}


#: The two kinds whose recipes need a data set that is drawn first take most of a minute.
_LONG = ("dicom", "volumes")


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=[pytest.mark.extended] if kind.value in _LONG else []) for kind in RecipeKind])
def test_a_new_recipe_is_right_and_runs(here, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDKD_WORKERS", "0")
    monkeypatch.delenv("MEDKD_DATA", raising=False)
    draw, small = KINDS[kind.value]
    if draw is not None:
        (tmp_path / "data").mkdir()
        draw(tmp_path / "data")
    assert here("recipe", "new", kind.value, "mine/my-own.yaml")[0] == 0
    text = Path("mine/my-own.yaml").read_text()
    assert text.count("#") > 8
    assert (tmp_path / "mine" / text.splitlines()[0].split("$schema=")[1]).resolve() == ROOT / "docs" / "schemas" / "recipe_3.json"
    assert yaml.safe_load(text)["name"] == "my-own"
    status, payload, errors = here("recipe", "check", "mine/my-own.yaml")
    assert (status, errors) == (0, ""), payload
    changes = [part for change in (*TINY, *small) for part in ("--set", change)]
    status, payload, errors = here("evaluate", "mine/my-own.yaml", "--engine", "none", *changes)
    assert status == 0, errors
    assert "kd_explanation" in payload


def test_a_file_that_is_there_is_not_written_over(here, tmp_path):
    (tmp_path / "r.yaml").write_text("mine")
    status, _, errors = here("recipe", "new", "images", tmp_path / "r.yaml")
    assert (status, errors.split(":")[0]) == (2, "OUT_EXISTS")
    assert (tmp_path / "r.yaml").read_text() == "mine"


def test_check_lists_every_mistake_and_ends_with_a_code(here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here("recipe", "new", "images", "r.yaml")
    text = (
        Path("r.yaml")
        .read_text()
        .replace("loss: logit_kd,", "loss: logit_kdd,")
        .replace("epochs: 30, batch_size: 32, learning_rate: 0.002", "epochs: 0")
    )
    Path("r.yaml").write_text(text)
    status, payload, errors = here("recipe", "check", "r.yaml")
    assert status == 2
    assert errors == "RECIPE_INVALID: expected a recipe without mistakes, r.yaml has 4 mistakes\n"
    numbered = [re.match(r"r\.yaml:(\d+): (\S+): expected .* \[([A-Z_]+)\]$", line) for line in payload.strip().splitlines()]
    assert [found[3] for found in numbered] == ["SOURCE_MISSING", "RECIPE_INVALID", "CATALOGUE_UNKNOWN", "CATALOGUE_UNKNOWN"]
    for found in numbered:
        assert found[2].split(".")[-1] in text.splitlines()[int(found[1]) - 1]
    status, payload, errors = here("recipe", "check", "r.yaml", "--json")
    listed = json.loads(payload)
    assert (status, listed["ok"], len(listed["mistakes"])) == (2, False, 4)
    assert set(listed["mistakes"][0]) == {"code", "field", "file", "line", "set", "message"}


def test_what_is_shown_is_the_recipe_that_is_run(here, tmp_path):
    path = ROOT / "flows" / "recipes" / "shortcut.yaml"
    status, payload, _ = here("recipe", "show", path, "--set", "student.fit.epochs=7")
    assert status == 0
    read = read_recipe(path, {"student.fit.epochs": 7})
    assert Recipe.model_validate(yaml.safe_load(payload)) == read
    assert yaml.safe_load(payload)["student"]["fit"]["precision"] == "auto"
    assert json.loads(here("recipe", "show", path, "--json")[1])["digest"] == read_recipe(path).digest()


def test_a_run_looks_at_the_data_before_it_computes_anything(here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MEDKD_DATA", raising=False)
    draw_pictures(tmp_path / "data" / "clinic")
    here("recipe", "new", "images", "r.yaml")
    status, _, errors = here("run", "r.yaml", "--engine", "none", "--out", "out", "--set", "data.label_column=patient")
    assert status == 2
    assert errors.startswith("TABLE_LABEL: expected a label among ('benign', 'malignant') in column 'patient'")
    assert errors.endswith("(--set data.label_column)\n")
    assert not list((tmp_path / "out").rglob("*.safetensors"))
