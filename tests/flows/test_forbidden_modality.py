"""A registered model whose recipe said ``outside_training: refuse`` is not asked about another modality or unit."""

from __future__ import annotations

import json

import pytest

from data_contracts import NetworkSpec, Task, TrainingDomain
from tests.dicom.drawn import draw_series
from tests.registered import register_tiny

pytestmark = pytest.mark.xdist_group("tiny")
LIVER = Task(kind="segmentation", classes=("background", "liver"), image_size=(16, 16, 16), intensity="standardised")
SPEC = NetworkSpec(builder="basic_unet", spatial_dims=3, options={"features": (2, 2, 2, 2, 2, 2)})


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Return the folder of a run, models of CT that warn and that refuse, and studies of CT and MR."""
    root = tmp_path_factory.mktemp("forbidden")
    found = {}
    for outside in ("caveat", "refuse"):
        domain = TrainingDomain(modalities=("CT",), units=("HU",), outside=outside)
        found[outside] = register_tiny(root / "run", LIVER, SPEC, name=f"tiny-{outside}", domain=domain)
    for modality in ("CT", "MR"):
        draw_series(root / modality, slices=16, modality=modality)
    return root, found


@pytest.mark.parametrize("command", ["run-study", "explain-study"])
def test_a_study_of_another_modality_is_refused_before_anything_is_computed(here, asked, tmp_path, command):
    root, model = asked
    status, _, errors = here(command, root / "MR", "--model", model["refuse"], "--run", root / "run", "--out", tmp_path / "o")
    assert status == 2
    assert errors.splitlines()[-1].startswith("MODALITY_FORBIDDEN: expected CT (HU)")
    assert "the study is MR (raw)" in errors
    assert not list((tmp_path / "o").rglob("report.json")) + list((tmp_path / "o").rglob("explanation.json"))


@pytest.mark.parametrize(("modality", "outside", "said"), [("MR", "caveat", True), ("CT", "refuse", False)])
def test_what_is_permitted_goes_on_with_the_gravest_caveat_where_it_is_another(here, asked, tmp_path, modality, outside, said):
    root, model = asked
    status, _, errors = here("run-study", root / modality, "--model", model[outside], "--run", root / "run", "--out", tmp_path / "o")
    assert status == 0, errors
    caveats = {caveat["code"]: caveat["severity"] for caveat in json.loads((tmp_path / "o" / "report.json").read_text())["caveats"]}
    assert caveats.get("MODALITY_UNTRAINED") == (3 if said else None)
