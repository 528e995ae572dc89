"""``medkd evaluate-folder`` as a user runs it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from medkd.storage.output import MARKER

pytestmark = pytest.mark.xdist_group("demo")


@pytest.fixture(scope="module")
def clinic(tmp_path_factory):
    root, rng = tmp_path_factory.mktemp("evaluated") / "clinic", np.random.default_rng(0)
    lines = ["file,patient,finding,device"]
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for i in range(12):
        Image.fromarray(rng.integers(0, 255, (64, 64), dtype=np.uint8)).save(root / "images" / f"y{i}.png")
        mask = np.zeros((64, 64), dtype=bool)
        mask[10 : 20 + i, 30:40] = True
        Image.fromarray(mask).save(root / "masks" / f"y{i}.png")
        lines.append(f"y{i},Doe {i // 2},{'benign' if i // 2 % 2 else 'malignant'},{'AB'[i % 2]}")
    (root / "cases.csv").write_text("\n".join(lines))
    (root / "images" / "y7.png").write_bytes(b"broken")
    return root


def evaluate(here, smoke, clinic, out, name, *more):
    return here("evaluate-folder", clinic, "--model", f"models:/{name}/1", "--run", smoke.folder, "--out", out, *more)


@pytest.mark.extended
def test_a_classifier_is_scored_with_its_teacher(here, smoke, clinic, tmp_path):
    teacher = ("--teacher", "models:/phantom-classification-teacher/1", "--json")
    status, payload, errors = evaluate(here, smoke, clinic, tmp_path / "o", "phantom-classification-kd", *teacher)
    assert status == 0, errors
    said = json.loads(payload.splitlines()[-1])
    assert (said["n"], said["cases"], said["files"]) == (6, 11, {"accepted": 22, "DECODE_FAILED": 2})
    assert {"auc", "auprc", "ece", "brier", "agreement"} <= set(said["metrics"])
    assert all(set(figure) >= {"mean", "low", "high", "n"} for figure in said["metrics"].values())
    assert set(said["subgroups"]) == {"device", "lesion size"}
    assert {path.name for path in (tmp_path / "o").iterdir()} == {
        MARKER,
        "run.log",
        "evaluation.json",
        "rows.csv",
        "patients.csv",
        "calibration.png",
    }
    assert (tmp_path / "o" / "rows.csv").read_text().count("\n") == 12
    assert (tmp_path / "o" / "patients.csv").read_text().count("\n") == 7
    assert b"Doe" not in (tmp_path / "o" / "evaluation.json").read_bytes()


def test_a_segmenter_is_scored_and_told_as_a_table(here, smoke, clinic, tmp_path):
    status, payload, errors = evaluate(here, smoke, clinic, tmp_path / "o", "phantom-segmentation-kd")
    assert status == 0, errors
    assert "lesion_f1" in payload
    assert "device: A" in payload
    assert "left out: 2 files DECODE_FAILED" in payload
    assert (tmp_path / "o" / "froc.png").is_file()


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (("--teacher", "models:/phantom-segmentation-teacher/1"), "MODEL_TASK"),
        (("--where", "device=C"), "COHORT_EMPTY"),
        (("--where", "device"), "OPTION_PAIR"),
        (("--column", "label=device"), "TABLE_LABEL"),
        (("--column", "patient=nobody"), "TABLE_COLUMN"),
    ],
)
def test_what_does_not_fit_is_one_sentence(here, smoke, clinic, tmp_path, more, code):
    status, _, errors = evaluate(here, smoke, clinic, tmp_path / "o", "phantom-classification-kd", *more)
    assert status == 2
    assert errors.splitlines()[-1].startswith(f"{code}: expected")


def test_half_a_question_is_asked_back(here):
    status, _, errors = here("evaluate-folder", "--model", "models:/a/1")
    assert status == 2
    assert "data" in errors
