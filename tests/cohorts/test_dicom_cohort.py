"""A folder of DICOM as the data of a recipe: what was not measured is neither learnt from nor scored."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from safetensors.torch import load_file

from data_contracts import Action, DataError, DicomData, IngestCode, IngestPolicy, Part, RecipeError, TrainingConfig
from flows.prepare import prepare
from medkd.cohorts.dicom_cohort import ingested_folder
from medkd.cohorts.open_cohort import open_volume_use
from medkd.cohorts.tensor_cohort import read_cohort
from medkd.dicom.ingest_cache import read_manifest
from medkd.inference.predict_cohort import leave_out_synthetic
from medkd.phantom.dicom_studies import write_phantom_dicom
from medkd.storage.workspace import local_workspace
from medkd.training.recipes import read_recipe
from tests.dicom.drawn import box, coded, draw_segmentation, draw_series, draw_structures, write_nifti_mask


@pytest.fixture
def recipe(tmp_path):
    """Return a maker of a segmentation recipe on DICOM studies of which one lost a slice."""
    write_phantom_dicom(tmp_path / "data" / "studies", studies=10, seed=2, faults=False)
    lost = tmp_path / "data" / "studies" / "study003"
    slices = sorted(lost.glob("IM*.dcm"), key=lambda path: float(pydicom.dcmread(path).ImagePositionPatient[2]))
    slices[5].unlink()
    base = read_recipe(next(Path("flows/recipes").glob("few_labels_3d.yaml")), {})

    def make(**data):
        task = base.task.model_copy(update={"classes": ("background", "lesion")})
        return base.model_copy(update={"task": task, "data": DicomData(path="studies", **data), "experiment": None, "name": "dicom-test"})

    return make


def prepared(recipe, tmp_path):
    workspace = local_workspace(tmp_path / "run", data_root=tmp_path / "data")
    return workspace, prepare(workspace, (recipe,))[0].cohorts


def test_studies_become_cases_split_by_patient_and_certified(recipe, tmp_path):
    workspace, cohorts = prepared(recipe(), tmp_path)
    train, test = (open_volume_use(cohorts, subset, workspace.store, recipe().task) for subset in ("teacher_train", "test"))
    assert len(train) + len(test) == 9
    assert not set(train.patients()) & set(test.patients())
    (certificate,) = cohorts.certificates
    assert certificate.clean
    assert certificate.hashed == 9
    assert all(bool(label.any()) for label in train.labels)


def test_the_parts_are_the_same_under_every_secret(recipe, tmp_path, monkeypatch):
    found = []
    for secret in ("one site", "another site"):
        monkeypatch.setenv("MEDKD_SECRET", secret)
        workspace = local_workspace(tmp_path / secret, data_root=tmp_path / "data")
        cohorts = prepare(workspace, (recipe(),))[0].cohorts
        cohort = read_cohort(cohorts.uses["test"].cohort, workspace.store)
        found.append(({part: [case.pixel_sha256 for case in cohort.part(part)] for part in cohort.split.parts}, cohort))
    assert found[0][0] == found[1][0]
    assert not {case.patient_key for case in found[0][1].cases} & {case.patient_key for case in found[1][1].cases}


def test_a_repaired_slice_is_neither_learnt_from_nor_scored(recipe, tmp_path):
    wanted = recipe(policy=IngestPolicy(actions={IngestCode.MISSING_SLICES: Action.REPAIR}))
    workspace, cohorts = prepared(wanted, tmp_path)
    opened = [open_volume_use(cohorts, subset, workspace.store, wanted.task) for subset in ("teacher_train", "test")]
    assert sum(map(len, opened)) == 10
    (cohort, row) = next((one, row) for one in opened for row in range(len(one)) if one.synthetic[row] is not None)
    synthetic = cohort.synthetic[row]
    assert synthetic.flatten(1).all(1).nonzero().flatten().tolist() == [5]
    measured = cohort.measured(row)
    assert (~measured).sum() == synthetic.sum()
    sample = cohort.draw(
        torch.tensor([row]),
        wanted.task.model_copy(update={"image_size": tuple(measured.shape)}),
        TrainingConfig(epochs=1),
        torch.Generator(),
    )
    assert torch.equal(sample.valid_mask[0], measured)
    assert (sample.labels[0][~measured] == -1).all()
    everything = torch.ones_like(cohort.references[row])
    assert int(leave_out_synthetic(cohort, row, everything).sum()) == int(measured.sum())


BIG, SMALL = np.zeros((8, 20, 24), bool), np.zeros((8, 20, 24), bool)
BIG[1:7, 2:16, 3:20] = True
SMALL[3:5, 4:9, 6:12] = True
REST = int(BIG.sum() - SMALL.sum())


def drawn_cohort(tmp_path, write, classes, patients=3, **data):
    """Prepare a cohort of small series with what ``write`` (folder, series, number) puts beside each; return its labels per case."""
    for number in range(patients):
        folder = tmp_path / "data" / "studies" / f"p{number}"
        series = draw_series(folder / "ct", patient=f"Patient{number}", scale=1 + 0.4 * number, origin=(31.0 * number, -14.0, 30.0))
        write(folder, series, number)
    base = read_recipe(next(Path("flows/recipes").glob("few_labels_3d.yaml")), {})
    task = base.task.model_copy(update={"classes": classes})
    source = DicomData(path="studies", held_out=0.34, **data)
    recipe = base.model_copy(update={"task": task, "data": source, "experiment": None, "name": "drawn"})
    workspace, _ = prepared(recipe, tmp_path)
    cases = sorted((workspace.store.root / "cohorts" / "drawn").glob("*.safetensors"))
    payload = json.loads((workspace.store.root / "cohorts" / "drawn" / "labels.json").read_text())
    counts = []
    for case in cases:
        values, voxels = np.unique(load_file(case)["label"].numpy(), return_counts=True)
        counts.append({int(value): int(count) for value, count in zip(values, voxels, strict=True) if value})
    return counts, payload


def test_all_objects_of_a_case_are_combined_whatever_format_they_have(tmp_path):
    apart = np.roll(SMALL, 4, axis=0) & ~BIG | np.roll(SMALL, 13, axis=1)

    def write(folder, series, number):
        draw_segmentation(folder / "liver.dcm", series, {1 + number: BIG & ~SMALL}, {1 + number: "Liver"}, listed=[series])
        draw_structures(
            folder / "rs.dcm", series, [(4, "SPLEEN", "ORGAN", box(series, range(3, 5), (3.5, 8.5), (5.5, 11.5)))], drawn_on=series
        )
        write_nifti_mask(folder / "kidney_left.nii.gz", series, apart)

    counts, payload = drawn_cohort(tmp_path, write, ("background", "liver", "spleen", "kidney left"))
    free = int((apart & ~BIG).sum())
    assert counts == [{1: REST - int((apart & BIG & ~SMALL).sum()), 2: int(SMALL.sum()), 3: free + int((apart & BIG).sum())}] * 3
    assert {one["source"] for one in next(iter(payload["cases"].values()))["structures"]} == {"dicom-seg", "rtstruct", "nifti"}


@pytest.mark.parametrize(
    "segments",
    [
        {"gtv_1": "tumour", "LIVER": "liver"},
        {"organ": "liver", "GTV": "tumour"},
        {"Gtv 1": "tumour", "organ": "liver"},
        {"GTV-1": "tumour", "*": "liver"},
        {"organ": "tumour", "gtv": "tumour"},
    ],
    ids=["names", "types", "a name and a type", "all others", "a class of that name before a type"],
)
def test_a_structure_is_one_class_in_every_patient_whatever_its_number_and_the_smaller_one_wins(tmp_path, segments):
    def write(folder, series, number):
        drawn = [
            ("Liver", "ORGAN", box(series, range(1, 7), (1.5, 15.5), (2.5, 19.5))),
            ("GTV_1", "GTV", box(series, range(3, 5), (3.5, 8.5), (5.5, 11.5))),
        ]
        order = drawn if number % 2 else drawn[::-1]
        draw_structures(folder / "rs.dcm", series, [(3 * place + 1, *one) for place, one in enumerate(order)], drawn_on=series)

    counts, payload = drawn_cohort(tmp_path, write, ("background", "liver", "tumour"), segments=segments)
    assert counts == [{1: REST, 2: int(SMALL.sum())}] * 3
    for case in payload["cases"].values():
        assert case["overlaps"] == [{"winner": "GTV_1", "loser": "Liver", "voxels": int(SMALL.sum())}]


@pytest.mark.parametrize("body_first", [True, False])
@pytest.mark.parametrize("objects", [1, 2])
def test_what_is_mapped_to_background_takes_no_voxel(tmp_path, body_first, objects):
    """The body holds the organ, a vessel lies in it: neither is a class, and the organ stays whole."""

    def write(folder, series, number):
        drawn = [
            ("BODY", "EXTERNAL", box(series, range(8), (-0.5, 19.5), (-0.5, 23.5))),
            ("Liver", "ORGAN", box(series, range(1, 7), (1.5, 15.5), (2.5, 19.5))),
            ("Portal vein", "ORGAN", box(series, range(3, 5), (3.5, 8.5), (5.5, 11.5))),
        ]
        order = drawn if body_first else drawn[::-1]
        for one in range(objects):
            draw_structures(
                folder / f"rs{one}.dcm", series, [(place + 1, *region) for place, region in enumerate(order[one::objects])], drawn_on=series
            )

    segments = {"external": "background", "liver": "liver", "portal vein": "background"}
    counts, _ = drawn_cohort(tmp_path, write, ("background", "liver"), segments=segments)
    assert counts == [{1: int(BIG.sum())}] * 3


def test_codes_and_names_that_may_not_be_said_select_a_structure(tmp_path):
    def write(folder, series, number):
        masks = {1: BIG & ~SMALL, 2: SMALL}
        codes = {1: coded("10200004", "Liver"), 2: coded("T9", "Something of Quixote", "99X")}
        draw_segmentation(folder / "seg.dcm", series, masks, {1: f"S{number}", 2: "Found by Quixote"}, listed=[series], codes=codes)

    segments = {"SCT:10200004": "liver", "found by QUIXOTE": "tumour"}
    counts, payload = drawn_cohort(tmp_path, write, ("background", "liver", "tumour"), segments=segments)
    assert counts == [{1: REST, 2: int(SMALL.sum())}] * 3
    assert "uixote" not in json.dumps(payload)


def test_structures_of_one_class_are_joined_and_of_equal_size_the_later_class_wins(tmp_path):
    shifted = np.roll(SMALL, 2, axis=2)

    def write(folder, series, number):
        masks = {1: SMALL, 2: shifted, 3: np.roll(SMALL, 8, axis=1)}
        names = {1: "Spleen", 2: "Liver", 3: "Liver"}
        order = list(masks) if number % 2 else list(masks)[::-1]
        draw_segmentation(folder / "seg.dcm", series, {n: masks[n] for n in order}, names, listed=[series])

    counts, _ = drawn_cohort(tmp_path, write, ("background", "liver", "spleen"))
    assert counts == [{1: int((shifted & ~SMALL).sum() + SMALL.sum()), 2: int(SMALL.sum())}] * 3


def test_a_class_that_no_label_holds_stops_before_anything_is_trained(tmp_path):
    def write(folder, series, number):
        masks = {1: BIG & ~SMALL, 2: SMALL}
        draw_segmentation(folder / "seg.dcm", series, masks, {1: "Liver", 2: "Spleen"}, listed=[series])

    with pytest.raises(DataError) as caught:
        drawn_cohort(tmp_path, write, ("background", "liver", "spleen", "pancreas"))
    assert caught.value.code == "CLASS_WITHOUT_LABEL"
    assert "none of pancreas" in caught.value.message
    assert "'Liver' (3), 'Spleen' (3)" in caught.value.message


def test_a_mapping_onto_no_class_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(RecipeError) as caught:
        drawn_cohort(tmp_path, lambda *_: None, ("background", "liver"), segments={"Liver": "livr"})
    assert caught.value.code == "SEGMENTS_UNKNOWN_CLASS"


def diffusion(folder, series, number):
    """Write two further volumes of the same series beside the one that is there, and another label on each of the three."""
    where = {"patient": f"Patient{number}", "scale": 1 + 0.4 * number, "origin": (31.0 * number, -14.0, 30.0)}
    for b_value, mask in ((None, BIG), (500, REST_MASK), (1000, SMALL)):
        images = (
            series if b_value is None else draw_series(folder / f"b{b_value}", add=b_value / 10, DiffusionBValue=float(b_value), **where)
        )
        draw_segmentation(folder / f"seg{b_value}.dcm", images, {1: mask}, {1: "Liver"}, drawn_on=images, listed=[images])


REST_MASK = BIG & ~SMALL


@pytest.mark.parametrize(("wanted", "mask"), [({"DiffusionBValue": 1000}, SMALL), ({"DiffusionBValue": 500.0}, REST_MASK)])
def test_volumes_are_chosen_by_what_tells_them_from_others_of_their_series(tmp_path, wanted, mask):
    counts, _ = drawn_cohort(tmp_path, diffusion, ("background", "liver"), coordinates=wanted)
    assert counts == [{1: int(mask.sum())}] * 3


def test_without_coordinates_every_volume_of_a_series_is_a_case(tmp_path):
    counts, _ = drawn_cohort(tmp_path, diffusion, ("background", "liver"))
    assert sorted(count[1] for count in counts) == sorted([int(one.sum()) for one in (BIG, REST_MASK, SMALL)] * 3)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"DiffusionBValue": 800}, "expected volumes with DiffusionBValue 800 in studies"),
        ({"DiffusionBValue": 1000, "EchoTime": 5}, "expected volumes with DiffusionBValue 1000, EchoTime 5 in studies"),
        ({"DiffusionGradientOrientation": (1, 0, 0)}, "expected volumes with DiffusionGradientOrientation 1 0 0 in studies"),
    ],
)
def test_coordinates_that_no_volume_has_are_refused_with_those_that_are_there(tmp_path, wanted, said):
    with pytest.raises(DataError, match=said) as caught:
        drawn_cohort(tmp_path, diffusion, ("background", "liver"), coordinates=wanted)
    assert caught.value.code == "COHORT_EMPTY"
    assert caught.value.message.endswith("the 9 there have DiffusionBValue '1000', '500'")


def test_a_case_that_is_left_out_is_said(tmp_path, caplog):
    def write(folder, series, number):
        draw_segmentation(folder / "seg.dcm", series, {1: BIG}, {1: "Liver" if number else "Spleen"}, listed=[series])

    counts, payload = drawn_cohort(tmp_path, write, ("background", "liver"), patients=4)
    assert counts == [{1: int(BIG.sum())}] * 3
    assert [refused["code"] for refused in payload["refused"].values()] == ["UNKNOWN_SEGMENT"]
    assert "1 labelled volumes are left out" in caplog.text


def test_a_segment_that_is_no_class_is_left_out_unless_it_is_mapped(recipe, tmp_path):
    other = recipe()
    other = other.model_copy(update={"task": other.task.model_copy(update={"classes": ("background", "tumour")})})
    with pytest.raises(DataError, match="UNKNOWN_SEGMENT") as caught:
        prepared(other, tmp_path)
    assert caught.value.code == "COHORT_EMPTY"
    mapped = other.model_copy(update={"data": DicomData(path="studies", segments={"Lesion": "tumour"})})
    _, cohorts = prepared(mapped, tmp_path)
    assert cohorts.uses["test"].part is Part.VALIDATION


def test_a_volume_is_stored_once_and_the_cohort_refers_to_it(recipe, tmp_path):
    workspace, cohorts = prepared(recipe(), tmp_path)
    cohort = read_cohort(cohorts.uses["test"].cohort, workspace.store)
    manifest = read_manifest(ingested_folder(workspace, "dicom-test"))
    assert {case.image.sha256 for case in cohort.cases} <= {volume.array.sha256 for volume in manifest.volumes}
    written = list((workspace.store.root / "cohorts" / "dicom-test").glob("*.safetensors"))
    assert len(written) == len(cohort.cases) == 9
    assert {name for path in written for name in load_file(path)} == {"label"}


def test_unchanged_studies_make_the_same_cohort_without_decoding(recipe, tmp_path):
    workspace, cohorts = prepared(recipe(), tmp_path)
    started = (workspace.root / "stages" / "begun.log").read_text()
    assert prepare(workspace, (recipe(),))[0].cohorts == cohorts
    assert (workspace.root / "stages" / "begun.log").read_text() == started
