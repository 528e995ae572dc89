"""The models that come with the software say what they are, are what the list says, and carry nothing that should not be handed on."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from pathlib import Path

import pytest

from data_contracts import RegistryError
from medkd.released.released_models import EXPORTS, LIST, released_models

NAMES = [one.name for one in released_models()]
#: What a person or a machine could be known by: absolute places, and addresses of mail.
PLACES = re.compile(rb"(?:/home/|/tmp/|/work/|/root/|/Users/|file://|sqlite:|[\w.]+@[\w-]+\.(?:com|org|net|de))")
NOTICE = Path(LIST).with_name("NOTICE").read_text(encoding="utf-8")


def test_every_file_is_listed_and_every_listed_file_is_there():
    assert {path.stem for path in EXPORTS.iterdir()} == set(NAMES)
    assert "hippocampus" in NAMES


def test_all_of_them_are_a_few_megabytes():
    assert sum(one.size for one in released_models()) < 12 * 2**20


@pytest.mark.parametrize("name", NAMES)
def test_a_model_says_what_it_sees_whose_data_it_is_of_and_how_well_it_does(name):
    (one,) = released_models([name])
    card = one.card
    assert card.intended_use == "Research use only. Not a medical device."
    assert card.data is not None
    assert card.data.licence
    assert card.trained_on == f"{card.data.modality}, {card.data.body_part}"
    assert card.patients
    assert all(card.patients.values())
    figure = one.scorecard.figures["dice" if card.task.kind.value == "segmentation" else "auc"]
    assert figure.low > 0.65
    assert figure.n >= 20
    assert one.main_figure.endswith(f"on {figure.n} patients")
    assert one.versions[-1] == card.name
    assert f"exports/{name}.zip" in NOTICE
    assert card.data.address in NOTICE


def test_the_hippocampus_is_anatomy_in_mr_and_left_and_right_of_a_person_stay_together():
    (one,) = released_models(["hippocampus"])
    assert (one.card.structures, one.card.data.modality, one.card.data.licence) == ("anatomy", "MR", "CC-BY-SA-4.0")
    assert one.card.domain.outside == "refuse"
    assert one.card.domain.modalities == ("MR",)
    assert one.card.parameters < 50_000
    assert one.scorecard.figures["dice"].mean >= 0.75
    for cases in one.card.patients.values():
        assert len({(int(case.rpartition("_")[2]) + 1) // 2 for case in cases}) == 1


@pytest.mark.parametrize("name", NAMES)
def test_no_place_of_a_machine_and_no_image_is_handed_on(name):
    """Weights, figures and plots of figures; nothing of a patient but what the data call the training cases."""
    (one,) = released_models([name])
    with zipfile.ZipFile(one.path) as archive:
        for member in archive.namelist():
            if not member.endswith((".onnx", ".safetensors", ".png", "medkd-code.zip")):
                assert not PLACES.search(archive.read(member)), member
        pictures = {Path(member).name for member in archive.namelist() if member.endswith(".png")}
        assert pictures <= {"reliability.png", "loss_statement.png"}
        assert not [member for member in archive.namelist() if "/attached/" in member]
        index = json.loads(archive.read("export.json"))
    assert [version["model"]["role"] for version in index["versions"]] == (["teacher"] if one.teacher is None else []) + ["student"]
    known = (one if one.teacher is None else one.teacher).versions[0]
    assert index["versions"][-1]["model"]["teacher"].startswith(f"{known}/")
    assert one.teacher is None or one.size < 2**20  # what leaves out its teacher is small


def test_the_fast_student_of_the_hippocampus_is_as_good_as_the_other_and_brings_no_teacher_of_its_own():
    (one,) = released_models(["hippocampus-fast"])
    (other,) = released_models(["hippocampus"])
    assert one.versions == ("hippocampus-fast-kd_explanation",)
    assert one.teacher is not None
    assert one.teacher == other
    assert one.card.patients == other.card.patients
    assert abs(one.scorecard.figures["dice"].mean - other.scorecard.figures["dice"].mean) < 0.01


def test_a_name_that_is_none_is_answered_with_those_that_are():
    with pytest.raises(RegistryError, match=r"'hippocampus'.*got 'hipocampus'; did you mean 'hippocampus'") as caught:
        released_models(["hipocampus"])
    assert caught.value.code == "RELEASED_UNKNOWN"


@pytest.fixture
def copied(tmp_path):
    shutil.copytree(EXPORTS, tmp_path / "exports")
    return tmp_path / "exports"


def test_another_file_than_the_released_one_is_refused_by_its_name(copied):
    index = next(iter(copied.glob("hippocampus.zip")))
    payload = bytearray(index.read_bytes())
    with zipfile.ZipFile(index) as archive:
        start = archive.getinfo("export.json").header_offset + 200
    payload[start] ^= 1
    index.write_bytes(payload)
    with pytest.raises(RegistryError, match=r"expected hippocampus\.zip as it was released") as caught:
        released_models(["hippocampus"], exports=copied)
    assert caught.value.code == "RELEASED_ALTERED"


@pytest.mark.parametrize("damage", ["missing", "empty", "list"])
def test_what_is_not_there_is_refused_by_its_name(copied, tmp_path, damage):
    listed = tmp_path / "released.yaml"
    shutil.copy(LIST, listed)
    if damage == "missing":
        (copied / "hippocampus.zip").unlink()
    elif damage == "empty":
        (copied / "hippocampus.zip").write_bytes(b"")
    else:
        listed.write_text("- hippocampus\n")
    with pytest.raises(
        RegistryError, match=r"expected (hippocampus\.zip|released\.yaml) as it was released.*install medkd again"
    ) as caught:
        released_models(listed=listed, exports=copied)
    assert caught.value.code == "RELEASED_ALTERED"
