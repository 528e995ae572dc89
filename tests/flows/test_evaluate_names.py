"""``medkd evaluate`` with a registered model on folders as people have them: what they hold is scored, or refused by what was found."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest
from PIL import Image

from data_contracts import NetworkSpec, Task
from tests.registered import register_tiny

pytestmark = pytest.mark.xdist_group("tiny")
LIVER = Task(kind="segmentation", classes=("background", "liver"), image_size=(16, 16, 16), intensity="standardised")
PICTURES = Task(kind="classification", classes=("benign", "malignant"), image_size=(16, 16), window=(0, 255))
UIDS = [f"1.3.6.1.4.1.99999.5.2.1.{100 + k}" for k in range(4)]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Return the folder of a run and the addresses of a segmenter of volumes and of a classifier of pictures in its registry."""
    run = tmp_path_factory.mktemp("registry") / "run"
    spec = NetworkSpec(builder="basic_unet", spatial_dims=3, options={"features": (2, 2, 2, 2, 2, 2)})
    volumes = register_tiny(run, LIVER, spec, name="tiny-volumes")
    pictures = register_tiny(run, PICTURES, NetworkSpec(builder="resnet", options={"channels": (2, 2, 2, 2)}), name="tiny-pictures")
    return run, volumes, pictures


def write_volumes(root, names, *, folders=("images", "masks"), ending=".nii.gz", channel="", edit=lambda mask: mask):
    rng = np.random.default_rng(0)
    for k, name in enumerate(names):
        mask = np.zeros((20, 18, 16), np.uint8)
        mask[3 + k : 9 + k, 4:12, 4:10] = 1
        pixels = rng.normal(0, 20, mask.shape).astype(np.float32) + 200 * mask
        for folder, file, values in ((folders[0], name + channel, pixels), (folders[1], name, edit(mask))):
            (root / folder).mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(values, np.diag([1.0, 1.5, 2.0, 1.0])), root / folder / f"{file}{ending}")


def write_table(root, lines, *, separator=",", encoding="utf-8"):
    (root / "cases.csv").write_text("\n".join(separator.join(line) for line in lines) + "\n", encoding=encoding)


def listed(names, written="{}", people="P{}"):
    return [("file", "patient"), *((written.format(name), people.format(k)) for k, name in enumerate(names))]


def plain(root):
    write_volumes(root, ["c0", "c1", "c2"])
    write_table(root, listed(["c0", "c1", "c2"]))


def suffixes(root):
    plain(root)
    write_table(root, listed(["c0", "c1", "c2"], "{}.nii.gz"))


def capitals(root):
    write_volumes(root, ["C0", "c1", "C2"], ending=".NII.GZ")
    write_table(root, [("File", "PATIENT"), ("C0", "P0"), ("c1.NII.GZ", "P1"), ("C2", "P2")])


def dots(root):
    write_volumes(root, ["case.0", "case.1", "case.2"])
    write_table(root, listed(["case.0", "case.1", "case.2"]))


def uids(root):
    write_volumes(root, UIDS)
    write_table(root, listed(UIDS))


def semicolons(root):
    plain(root)
    write_table(root, listed(["c0", "c1", "c2"]), separator=";")


def byte_order_mark(root):
    plain(root)
    write_table(root, listed(["c0", "c1", "c2"]), encoding="utf-8-sig")


def full_range(root):
    write_volumes(root, ["c0", "c1", "c2"], edit=lambda mask: mask * 255)
    write_table(root, listed(["c0", "c1", "c2"]))


def nearly_whole(root):
    write_volumes(root, ["c0", "c1", "c2"], edit=lambda mask: mask.astype(np.float32) * 0.9999999)
    write_table(root, listed(["c0", "c1", "c2"]))


def nnunet(root):
    write_volumes(root, ["liver_0", "liver_1", "liver_2"], folders=("imagesTr", "labelsTr"), channel="_0000")
    payload = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1}, "numTraining": 3, "file_ending": ".nii.gz"}
    (root / "dataset.json").write_text(json.dumps(payload))


def decathlon_of_uids(root):
    write_volumes(root, UIDS, folders=("imagesTr", "labelsTr"))
    pairs = [{"image": f"imagesTr/{name}.nii.gz", "label": f"labelsTr/{name}.nii.gz"} for name in UIDS]
    (root / "dataset.json").write_text(json.dumps({"training": pairs}))


def evaluated(here, run, model, root, out, *more):
    status, payload, errors = here("evaluate-folder", root, "--model", model, "--run", run, "--out", out, "--json", *more)
    assert status == 0, errors
    return json.loads(payload.splitlines()[-1])


@pytest.mark.parametrize(
    ("write", "cases", "said"),
    [
        (plain, 3, ""), (suffixes, 3, ""), (capitals, 3, ""), (dots, 3, ""), (uids, 4, ""), (semicolons, 3, ""), (byte_order_mark, 3, ""),
        (full_range, 3, "255 as liver"), (nearly_whole, 3, "0.999999881 as liver"), (nnunet, 3, ""), (decathlon_of_uids, 4, ""),
    ],
)  # fmt: skip
def test_volumes_are_scored_however_they_are_named(here, models, tmp_path, write, cases, said):
    write(tmp_path / "in")
    by_name = ("--patient-pattern", "(.+)") if write in (nnunet, decathlon_of_uids) else ()
    payload = evaluated(here, models[0], models[1], tmp_path / "in", tmp_path / "o", *by_name)
    assert (payload["n"], payload["cases"]) == (cases, cases)
    assert payload["files"] == {"accepted": 2 * cases}
    log = (tmp_path / "o" / "run.log").read_text()
    assert (f"label values taken: 0 as background, {said}" in log) if said else ("label values" not in log)


@pytest.mark.parametrize(("ending", "written"), [("png", "{}.png"), ("PNG", "{}"), ("JPG", "{}.jpg")])
def test_pictures_are_scored_however_they_are_named(here, models, tmp_path, ending, written):
    (tmp_path / "in" / "images").mkdir(parents=True)
    for k in range(8):
        drawn = np.random.default_rng(k).integers(0, 255, (24, 24), dtype=np.uint8)
        Image.fromarray(drawn).save(tmp_path / "in" / "images" / f"a{k:02d}.{ending}")
    lines = [("file", "patient", "finding"), *((written.format(f"a{k:02d}"), f"P{k}", PICTURES.classes[k % 2]) for k in range(8))]
    write_table(tmp_path / "in", lines)
    assert evaluated(here, models[0], models[2], tmp_path / "in", tmp_path / "o")["cases"] == 8


def twice(root):
    plain(root)
    write_table(root, [*listed(["c0", "c1", "c2"]), ("c0", "P9")])


def sevens(root):
    write_volumes(root, ["c0", "c1"], edit=lambda mask: mask * 7)
    write_table(root, listed(["c0", "c1"]))


def halves(root):
    write_volumes(root, ["c0", "c1"], edit=lambda mask: mask.astype(np.float32) * 0.5)
    write_table(root, listed(["c0", "c1"]))


@pytest.mark.parametrize(
    ("write", "code", "named"),
    [
        (twice, "CASE_TWICE", ("'c0' is on lines 2 and 5", "'P0'", "'P9'")),
        (sevens, "COHORT_EMPTY", ("UNKNOWN_SEGMENT", "7")),
        (halves, "COHORT_EMPTY", ("UNKNOWN_SEGMENT", "0.5")),
    ],
)
def test_what_cannot_be_scored_says_what_was_found(here, models, tmp_path, write, code, named):
    write(tmp_path / "in")
    status, _, errors = here("evaluate-folder", tmp_path / "in", "--model", models[1], "--run", models[0], "--out", tmp_path / "o")
    assert status == 2
    sentence = errors.splitlines()[-1]
    assert sentence.startswith(f"{code}: expected")
    assert all(word in sentence for word in named), sentence


def test_one_patient_has_figures_and_no_interval(here, models, tmp_path):
    plain(tmp_path / "in")
    write_table(tmp_path / "in", listed(["c0", "c1", "c2"], people="P"))
    payload = evaluated(here, models[0], models[1], tmp_path / "in", tmp_path / "o")
    assert (payload["n"], payload["cases"]) == (1, 3)
    assert all((figure["low"], figure["high"]) == (None, None) for figure in payload["metrics"].values())
    assert any(figure["mean"] is not None for figure in payload["metrics"].values())
