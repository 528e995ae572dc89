"""The tutorial is run: every ``sh`` block, in order, in a folder of its own."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from data_contracts import ReviewReport, load_record

ROOT = Path(__file__).parents[2]
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8"), re.S)
    for line in block.strip().splitlines()
]

pytestmark = pytest.mark.xdist_group("demo")


def test_every_command_of_the_tutorial_works(smoke, here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "demo").symlink_to(smoke.folder)
    done = []
    for command in COMMANDS:
        program, *arguments = shlex.split(command)
        assert program == "medkd"
        if arguments[0] == "demo":
            assert arguments == ["demo", "--out", "runs/demo"]  # the fixture ran this at size smoke; the full one is extended
        else:
            status, _, errors = here(*arguments)
            assert status == 0, errors
        done.append(arguments[0])
    assert done == ["models", "models", "demo", "phantom", "ingest", "ingest", "deidentify", "phantom", "run-study"]
    named = set(re.findall(r"`([\w.]+\.(?:html|json|png|nii\.gz))`", (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")))
    written = {path.name for path in (tmp_path / "my-report").iterdir()}
    assert {"report.html", "report.json", "segmentation.nii.gz", "image.nii.gz", "picture.png"} <= named & written
    assert list((tmp_path / "my-store" / "nifti").glob("*.nii.gz"))
    assert list((tmp_path / "my-store" / "quarantine").rglob("reason.json"))
    assert (tmp_path / "my-store" / "quarantine" / "report.html").is_file()
    assert {path.suffix for path in (tmp_path / "my-share").rglob("*") if path.is_file()} == {".dcm"}
    assert {path.name for path in (tmp_path / "faulty").iterdir() if path.is_dir()} == {"gantry_tilt", "missing_slice", "two_time_points"}


@pytest.mark.extended
def test_the_first_result_is_a_real_one(here, real_data, tmp_path, monkeypatch):
    """The commands of the first section on the volume that it names, without the download."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    shown = [line for line in text.splitlines() if line.startswith("medkd nifti-to-dicom") or "--out my-mr-report" in line]
    assert len(shown) == 2
    volume = real_data / "hippocampus_msd" / "imagesTr" / "hippocampus_037.nii.gz"
    assert f"/imagesTr/{volume.name} " in shown[0]
    status, _, errors = here("models", "install", "hippocampus", "--run", "runs/models")
    assert status == 0, errors
    for line in shown:
        program, *arguments = shlex.split(line)
        status, said, errors = here(*[str(volume) if word.endswith(".nii.gz") else word for word in arguments])
        assert (program, status) == ("medkd", 0), errors
    report = load_record(tmp_path / "my-mr-report" / "report.json", ReviewReport)
    (one,) = report.explanations
    assert (one.structures, {lesion.class_name for lesion in one.lesions}) == ("anatomy", {"anterior", "posterior"})
    assert all(lesion.dice_to_teacher > 0.8 for lesion in one.lesions)
    assert "trained on MR, hippocampus" in said
    assert not re.search("(?i)lesion", said)
