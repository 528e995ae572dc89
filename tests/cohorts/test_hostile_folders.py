"""Folders as people have them, and as strangers may send them: read without guessing, or refused by name."""

from __future__ import annotations

import json
import logging

import nibabel
import numpy as np
import pytest
from PIL import Image

from data_contracts import DataError, Part, SourceError, Task
from medkd.cohorts.case_table import read_lines
from medkd.cohorts.external_dataset import FolderHints, describe_folder
from medkd.cohorts.folder_names import identifier_of
from medkd.cohorts.image_folder import import_image_folder
from medkd.cohorts.volume_folder import import_volume_folder
from medkd.storage.store import Store

TWO = Task(kind="segmentation", classes=("background", "liver"), image_size=(8, 8, 8), intensity="standardised")
THREE = Task(kind="segmentation", classes=("background", "liver", "spleen"), image_size=(8, 8, 8), intensity="standardised")
PICTURES = Task(kind="classification", classes=("benign", "malignant"), image_size=(16, 16), window=(0, 255))
UIDS = [f"1.3.6.1.4.1.99999.5.2.1.{100 + k}" for k in range(3)]


def volume(root, image, label, number, *, folders=("images", "masks"), edit=lambda values: values):
    mask = np.zeros((10, 9, 8), np.uint8)
    mask[1 + number : 4 + number, 2:5, 2:6] = 1
    pixels = np.random.default_rng(number).normal(0, 20, mask.shape).astype(np.float32) + 200 * mask
    for folder, name, values in ((folders[0], image, pixels), (folders[1], label, edit(mask))):
        (root / folder).mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(values, np.diag([1.0, 1.5, 2.0, 1.0])), root / folder / name)


def volumes(root, names, *, edit=lambda values: values, table=True, separator=","):
    for number, name in enumerate(names):
        volume(root, f"{name}.nii.gz", f"{name}.nii.gz", number, edit=edit)
    if table:
        write(root, [("file", "patient"), *((name, f"P{k}") for k, name in enumerate(names))], separator)
    return root


def write(root, lines, separator=",", encoding="utf-8"):
    (root / "cases.csv").write_text("\n".join(separator.join(line) for line in lines) + "\n", encoding=encoding)


def imported(root, tmp_path, task=TWO, **hints):
    data = describe_folder(root, task, FolderHints(**hints))
    run = import_volume_folder if task.spatial_dims == 3 else import_image_folder
    return run(root, data, task, Store(tmp_path / "store"), whole=Part.TEST)


def refused(root, tmp_path, task=TWO, **hints):
    with pytest.raises((DataError, SourceError)) as caught:
        imported(root, tmp_path, task, **hints)
    return caught.value.code, str(caught.value)


@pytest.mark.parametrize(
    ("name", "identifier"),
    [("a.nii.gz", "a"), ("A.NII.GZ", "A"), ("1.2.3.4", "1.2.3.4"), ("1.2.3.4.nii", "1.2.3.4"), ("case.0", "case.0"), ("x/a01.PNG", "a01"), ("x\\a01.jpeg", "a01"), (" b ", "b"), (".png", ".png"), ("a.b.tiff", "a.b")],
)  # fmt: skip
def test_a_case_is_called_what_is_left_without_folder_and_suffix(name, identifier):
    assert identifier_of(name) == identifier


@pytest.mark.parametrize("names", [UIDS, ["case.0", "case.1", "case.2"], ["c0", "c1", "c2"]], ids=["uids", "dots", "plain"])
@pytest.mark.parametrize("written", ["{}", "{}.nii.gz", "images/{}.nii.gz", "{}.NII.GZ"])
def test_cases_are_found_by_name(tmp_path, names, written):
    root = volumes(tmp_path / "in", names)
    write(root, [("file", "patient"), *((written.format(name), f"P{k}") for k, name in enumerate(names))])
    cohort, ledger = imported(root, tmp_path)
    assert len(cohort.cases) == len({case.patient_key for case in cohort.cases}) == 3
    assert ledger.codes() == {}


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_are_read_as_spreadsheets_write_them(tmp_path, separator, encoding):
    root = volumes(tmp_path / "in", ["c0", "c1", "c2"], table=False)
    lines = [("file", "patient", "note"), *((f'"c{k}"', f" P{k} ", f'"a {separator} b"') for k in range(3)), ("", "", "")]
    write(root, lines, separator, encoding)
    assert len(imported(root, tmp_path)[0].cases) == 3
    assert [line["note"] for line in read_lines(root / "cases.csv")] == [f"a {separator} b"] * 3


@pytest.mark.parametrize(("ending", "written"), [("png", "{}.png"), ("PNG", "{}"), ("JPG", "{}.jpg"), ("Tiff", "{}.TIFF"), ("bmp", "{}")])
def test_pictures_are_found_by_name(tmp_path, ending, written):
    root = tmp_path / "in"
    (root / "images").mkdir(parents=True)
    for k in range(8):
        drawn = np.random.default_rng(k).integers(0, 255, (24, 24), dtype=np.uint8)
        Image.fromarray(drawn).save(root / "images" / f"a.{k:02d}.{ending}")
    write(root, [("file", "patient", "finding"), *((written.format(f"a.{k:02d}"), f"P{k}", PICTURES.classes[k % 2]) for k in range(8))])
    cohort, ledger = imported(root, tmp_path, PICTURES)
    assert len(cohort.cases) == 8
    assert ledger.codes() == {}


@pytest.mark.parametrize("second", [("c0", "P9"), ("c0.nii.gz", "P9"), ("images/c0", "P0"), ("c0", "P0")])
def test_a_case_on_two_lines_is_refused_with_both(tmp_path, second):
    root = volumes(tmp_path / "in", ["c0", "c1"])
    write(root, [("file", "patient"), ("c0", "P0"), ("c1", "P1"), second])
    code, sentence = refused(root, tmp_path)
    assert code == "CASE_TWICE"
    assert "'c0' is on lines 2 and 4" in sentence
    assert "'P0'" in sentence
    assert second[1] in sentence


def test_two_images_of_one_name_are_not_chosen_between(tmp_path):
    root = volumes(tmp_path / "in", ["c0", "c1"])
    nibabel.save(nibabel.load(root / "images" / "c0.nii.gz"), root / "images" / "c0.nii")
    assert refused(root, tmp_path)[0] == "CASE_TWICE"


@pytest.mark.parametrize("name", ["../c0", "/etc/passwd", "..\\c0", "C:\\c0", "~/c0", "images/../../c0"])
def test_names_that_lead_out_of_the_folder_are_refused(tmp_path, name):
    root = volumes(tmp_path / "in", ["c0", "c1"])
    write(root, [("file", "patient"), ("c0", "P0"), (name, "P1")])
    code, sentence = refused(root, tmp_path)
    assert code == "PATH_ESCAPE"
    assert "cases.csv, line 3" in sentence
    (root / "cases.csv").unlink()
    listed = [{"image": "images/c0.nii.gz", "label": "masks/c0.nii.gz"}, {"image": f"{name}.nii.gz", "label": "masks/c1.nii.gz"}]
    (root / "dataset.json").write_text(json.dumps({"training": listed}))
    code, sentence = refused(root, tmp_path, patient_pattern="(.+)")
    assert code == "DATASET_UNREADABLE"
    assert name.replace("\\", "/") in sentence


@pytest.mark.parametrize("link", ["images/c1.nii.gz", "masks/c1.nii.gz", "masks", "cases.csv"])
def test_links_that_lead_out_of_the_folder_are_refused_and_others_are_followed(tmp_path, link):
    root = volumes(tmp_path / "in", ["c0", "c1"])
    (root / link).rename(tmp_path / "outside")
    (root / link).symlink_to(tmp_path / "outside")
    code, sentence = refused(root, tmp_path)
    assert code == "PATH_ESCAPE"
    assert link in sentence
    (root / link).unlink()
    (tmp_path / "outside").rename(root / "kept")
    (root / link).symlink_to(root / "kept")
    assert len(imported(root, tmp_path)[0].cases) == 2


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda m: m * 255, "255 as liver"), (lambda m: m.astype(np.float32) * 0.9999999, "as liver"), (lambda m: m.astype(np.float32) * 255, "255 as liver"),
        (lambda m: m.astype(np.float64) * 1.0001, "1.0001 as liver"), (lambda m: m.astype(np.int16), None), (lambda m: m * 0, None),
    ],
)  # fmt: skip
def test_label_values_that_mean_the_same_are_brought_to_classes_and_said(tmp_path, caplog, edit, said):
    with caplog.at_level(logging.WARNING, logger="medkd"):
        cohort, _ = imported(volumes(tmp_path / "in", ["c0", "c1"], edit=edit), tmp_path)
    held = [Store(tmp_path / "store").read_tensors(case.mask)["label"] for case in cohort.cases]
    assert {int(label.sum()) for label in held} == ({0} if edit(np.ones(1, np.uint8)).max() == 0 else {36})
    assert (said in caplog.text) if said else "label values" not in caplog.text


@pytest.mark.parametrize(
    ("edit", "named"),
    [(lambda m: m * 7, "7"), (lambda m: m.astype(np.float32) * 0.5, "0.5"), (lambda m: m.astype(np.int16) * -1, "-1"), (lambda m: np.where(m > 0, 255, 1).astype(np.uint8), "255"), (lambda m: m.astype(np.uint16) * 1000, "1000")],
)  # fmt: skip
def test_label_values_that_no_class_has_are_named(tmp_path, edit, named):
    code, sentence = refused(volumes(tmp_path / "in", ["c0", "c1"], edit=edit), tmp_path)
    assert code == "COHORT_EMPTY"
    assert "UNKNOWN_SEGMENT" in sentence
    assert f"got {named}" in sentence or f", {named}" in sentence


def test_255_in_one_case_and_1_in_another_are_not_both_the_lesion(tmp_path):
    root = volumes(tmp_path / "in", ["c0", "c1"])
    volume(root, "c1.nii.gz", "c1.nii.gz", 1, edit=lambda m: m * 255)
    assert refused(root, tmp_path)[0] == "LABEL_VALUES"


def nnunet(root, listed, names=("liver_000", "liver_001"), edit=lambda m: m, ending=".nii.gz"):
    for number, name in enumerate(names):
        volume(root, f"{name}_0000{ending}", f"{name}{ending}", number, folders=("imagesTr", "labelsTr"), edit=edit)
    base = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1}, "numTraining": len(names), "file_ending": ending}
    (root / "dataset.json").write_text(json.dumps({**base, "overwrite_image_reader_writer": "SimpleITKIO", **listed}))
    return root


@pytest.mark.parametrize("ending", [".nii.gz", ".nii"])
@pytest.mark.parametrize("names", [("liver_000", "liver_001"), tuple(UIDS[:2])])
@pytest.mark.parametrize("table", [False, True])
def test_a_list_of_nnunet_is_read(tmp_path, ending, names, table):
    root = nnunet(tmp_path / "in", {}, names=names, ending=ending)
    if table:
        write(root, [("file", "patient"), *((f"{name}{ending}", f"P{k}") for k, name in enumerate(names))])
    cohort, ledger = imported(root, tmp_path, **({} if table else {"patient_pattern": "(.+)"}))
    assert len(cohort.cases) == 2
    assert ledger.codes() == {}


def test_a_list_of_nnunet_may_name_its_files(tmp_path):
    root = nnunet(tmp_path / "in", {"dataset": {"a": {"images": ["imagesTr/liver_001_0000.nii.gz"], "label": "labelsTr/liver_001.nii.gz"}}})
    assert len(imported(root, tmp_path, patient_pattern="(.+)")[0].cases) == 1


@pytest.mark.parametrize("labels", [{"background": 0, "Spleen": 1, "LIVER": 2}, {"0": "background", "1": "spleen", "2": "liver"}])
def test_values_are_what_the_list_calls_them_and_not_their_place_in_the_model(tmp_path, labels):
    root = nnunet(tmp_path / "in", {"labels": labels}, edit=lambda m: m * 2)
    cohort, _ = imported(root, tmp_path, THREE, patient_pattern="(.+)")
    assert {int(Store(tmp_path / "store").read_tensors(case.mask)["label"].max()) for case in cohort.cases} == {1}


@pytest.mark.parametrize(
    ("listed", "code", "named"),
    [
        ({"channel_names": {"0": "T1", "1": "T2"}}, "DATASET_CHANNELS", "'T2'"), ({"file_ending": ".nrrd"}, "DATASET_UNREADABLE", ".nrrd"),
        ({"labels": {"liver": [1, 2]}}, "DATASET_UNREADABLE", "'liver'"), ({"labels": {"liver": 1, "spleen": 1}}, "DATASET_UNREADABLE", "'spleen'"),
        ({"training": []}, "DATASET_UNREADABLE", "'[]'"), ({"training": [{"image": 3}]}, "DATASET_UNREADABLE", "item 0"), ({"dataset": {"../x": {"images": ["../x.nii.gz"], "label": "y"}}}, "DATASET_UNREADABLE", "../x"),
    ],
)  # fmt: skip
def test_a_list_that_cannot_be_used_says_what_was_found(tmp_path, listed, code, named):
    found, sentence = refused(nnunet(tmp_path / "in", listed), tmp_path, patient_pattern="(.+)")
    assert found == code
    assert named in sentence


def test_a_value_of_the_list_that_no_class_has_is_named(tmp_path):
    root = nnunet(tmp_path / "in", {"labels": {"background": 0, "liver": 1, "kidney": 2}}, edit=lambda m: m * 2)
    assert "2 (kidney)" in refused(root, tmp_path, patient_pattern="(.+)")[1]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[" * 100_000, "DATASET_UNREADABLE"), ("{}", "DATASET_UNREADABLE"), ("[1]", "DATASET_UNREADABLE"), ('{"training": {"a": 1}}', "DATASET_UNREADABLE"), ("\x00", "DATASET_UNREADABLE"),
    ],
)  # fmt: skip
def test_lists_that_are_none(tmp_path, text, code):
    root = volumes(tmp_path / "in", ["c0"], table=False)
    (root / "dataset.json").write_text(text)
    assert refused(root, tmp_path, patient_pattern="(.+)")[0] == code


@pytest.mark.parametrize(
    ("text", "named"),
    [("file,patient\nc0,P0,x\n", "line 2 has 3"), ("file,patient\nc0\n", "line 2 has 1"), ("file,file\nc0,P0\n", "'file' twice"), ("", "cases.csv"), ("file,patient\n", "no"), ('file,patient\nc0,"P0\n' + "x" * 200_000, "cases.csv")],
)  # fmt: skip
def test_tables_that_are_none_say_where(tmp_path, text, named):
    root = volumes(tmp_path / "in", ["c0"], table=False)
    (root / "cases.csv").write_text(text)
    code, sentence = refused(root, tmp_path)
    assert code == "TABLE_UNREADABLE"
    assert named in sentence


def test_a_case_of_nobody_is_left_out_and_said(tmp_path):
    root = volumes(tmp_path / "in", ["c0", "c1"])
    write(root, [("file", "patient"), ("c0", "P0"), ("c1", "")])
    cohort, ledger = imported(root, tmp_path)
    assert len(cohort.cases) == 1
    assert ledger.codes() == {"PATIENT_ID_MISSING": 2}


@pytest.mark.parametrize("rule", ["(", "[", "(?P<x", "x*", "(x)?"])
def test_rules_for_people_that_are_none(tmp_path, rule):
    root = nnunet(tmp_path / "in", {})
    assert refused(root, tmp_path, patient_pattern=rule)[0] == "PAIR_BY"


def test_a_header_that_promises_more_than_the_memory_holds_is_left_out(tmp_path):
    root = volumes(tmp_path / "in", ["c0", "c1"])
    header = nibabel.Nifti1Header()
    header.set_data_shape((32767, 32767, 32767))
    header.set_data_dtype(np.float64)
    (root / "images" / "c1.nii.gz").unlink()
    (root / "images" / "c1.nii").write_bytes(header.binaryblock + bytes(4))
    cohort, ledger = imported(root, tmp_path)
    assert len(cohort.cases) == 1
    assert "UNREADABLE_HEADER" in ledger.codes()


def test_pictures_of_more_than_eight_bits_are_not_cut_off(tmp_path):
    root = tmp_path / "in"
    (root / "images").mkdir(parents=True)
    for k in range(4):
        Image.fromarray(np.full((16, 16), 4000, np.uint16)).save(root / "images" / f"a{k}.png")
    write(root, [("file", "patient", "finding"), *((f"a{k}", f"P{k}", PICTURES.classes[k % 2]) for k in range(4))])
    assert "BITS_MISMATCH" in refused(root, tmp_path, PICTURES)[1]
