"""A foreign folder scored: figures against independent derivations, and against the run's own scorecard."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from torch import nn

import flows
from data_contracts import (
    Calibration,
    ConformalBound,
    DataError,
    DicomData,
    FolderEvaluation,
    ImageFolderData,
    NetworkSpec,
    ReportModel,
    Task,
)
from medkd.cohorts.external_dataset import FolderHints, describe_folder
from medkd.cohorts.prepare import prepare_cohorts
from medkd.evaluation.bootstrap import average_precision_of
from medkd.evaluation.evaluate import evaluate_model, summarise
from medkd.evaluation.score_folder import ScoredModel, score_folder
from medkd.evaluation.write_score import evaluate_folder, load_subject, render_calibration, render_froc
from medkd.inference.predict import predict_logits, predict_volume
from medkd.models._build import build_network
from medkd.models._load import load_network
from medkd.storage.store import Store
from medkd.storage.workspace import local_workspace
from medkd.trace import LayerMap, with_layer_map
from medkd.training.recipes import read_recipe
from medkd.training.train import distill, train_teacher
from tests.cohorts.test_case_inputs import VOLUMES, as_listed, volumes
from tests.cohorts.test_dicom_series import CHANNELS, write_study
from tests.registered import register_tiny

pytestmark = pytest.mark.xdist_group("folder")
TASK = Task(kind="classification", classes=("benign", "malignant"), image_size=(32, 32), window=(0, 255))
MODEL = ReportModel(role="student", name="m", version=1, manifest_digest="a" * 64, parameters=1)


def write_pictures(root, n=24, masks=True):
    rng, rows = np.random.default_rng(0), []
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for i in range(n):
        Image.fromarray(rng.integers(0, 255, (32, 32), dtype=np.uint8)).save(root / "images" / f"x{i}.png")
        mask = np.zeros((32, 32), dtype=bool)
        mask[4 : 8 + i // 3, 5:15] = True
        Image.fromarray(mask).save(root / "masks" / f"x{i}.png")
        rows.append({"id": f"x{i}", "patient": f"p{i // 2}", "label": TASK.classes[i // 2 % 2], "sex": "FM"[i // 2 % 2 if i < 4 else i // 6 % 2], "age": ["17", "18", "64", "", "80"][i // 2 % 5]})  # fmt: skip
    with (root / "cases.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return root


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures") / "clinic")


def subject(task=TASK, with_teacher=True, builder="resnet", **options):
    spec = NetworkSpec(builder=builder, out_channels=len(task.classes), spatial_dims=task.spatial_dims, options=options)
    other = build_network(spec, seed=5).eval()
    return ScoredModel(task, build_network(spec, seed=3).eval(), MODEL, other if with_teacher else None, MODEL if with_teacher else None)


@pytest.fixture(scope="module")
def classified(pictures, tmp_path_factory):
    who = subject(channels=(4, 4, 6, 8))
    return who, score_folder(who, pictures, describe_folder(pictures, TASK, FolderHints()), Store(tmp_path_factory.mktemp("s"), "s"))


def test_a_classifiers_figures_are_those_of_scikit_learn(classified, pictures):
    who, score = classified
    images = torch.stack([torch.from_numpy(np.array(Image.open(pictures / "images" / f"x{i}.png"))).float() for i in range(24)])
    probability = predict_logits(who.network, (images / 127.5 - 1)[:, None]).softmax(1)[:, 1].double().numpy()
    label = np.array([i // 2 % 2 for i in range(24)])
    figures = score.evaluation.metrics
    assert figures["auc"].mean == pytest.approx(roc_auc_score(label, probability))
    assert figures["auprc"].mean == pytest.approx(average_precision_score(label, probability))
    assert figures["brier"].mean == pytest.approx(brier_score_loss(label, probability))
    assert figures["accuracy"].mean == pytest.approx(np.mean((probability > 0.5) == label))
    assert (score.evaluation.n, score.evaluation.cases, figures["auc"].n) == (12, 24, 12)
    assert {"ece", "agreement", "same_answer", "relevance_mass_accuracy", "pointing"} <= set(figures)
    assert set(score.evaluation.teacher_metrics) >= {"auc", "auprc", "ece", "brier"}
    assert render_calibration(score).startswith(b"\x89PNG")


def test_subgroups_are_what_the_table_says_ages_in_bands_lesions_in_thirds(classified):
    _, score = classified
    groups = score.evaluation.subgroups
    assert set(groups) == {"sex", "age", "lesion size"}
    assert set(groups["age"]) == {"0-17", "18-39", "60-79", "unknown", "80+"}
    assert sum(group.cases for group in groups["sex"].values()) == 24
    assert [group.cases for group in groups["lesion size"].values()] == [9, 9, 6]
    assert (groups["age"]["0-17"].n, groups["age"]["0-17"].cases) == (3, 6)
    assert "auc" in groups["age"]["0-17"].metrics


def test_a_subgroups_figure_is_that_of_its_own_cases(classified):
    _, score = classified
    probability, label = score.scores.shown["probability"], score.scores.labels
    for sex, group in score.evaluation.subgroups["sex"].items():
        rows = [row for row, case in enumerate(score.cases) if case.attributes["sex"] == sex]
        assert group.metrics["auc"].mean == pytest.approx(roc_auc_score(label[rows], probability[rows]))
        assert group.metrics["brier"].mean == pytest.approx(brier_score_loss(label[rows], probability[rows]))


@pytest.mark.extended
def test_without_a_teacher_there_is_no_agreement(pictures, tmp_path):
    who = subject(with_teacher=False, channels=(4, 4, 6, 8))
    score = score_folder(who, pictures, describe_folder(pictures, TASK, FolderHints()), Store(tmp_path, "s"))
    assert not {"agreement", "same_answer"} & set(score.evaluation.metrics)
    assert score.evaluation.teacher_metrics == {}


@pytest.mark.extended
def test_a_segmenter_of_pictures_counts_in_pixels(pictures, tmp_path):
    task = Task(kind="segmentation", classes=("background", "lesion"), image_size=(32, 32), window=(0, 255))
    score = score_folder(
        subject(task, builder="unet", channels=(4, 8)), pictures, describe_folder(pictures, task, FolderHints()), Store(tmp_path, "s")
    )
    assert {"dice", "hausdorff_95_px", "surface_dice_px", "lesion_f1", "froc", "dice_to_teacher", "agreement"} <= set(
        score.evaluation.metrics
    )
    assert not any(name.endswith("mm") for name in score.evaluation.metrics)
    assert score.evaluation.conventions["dice"].startswith("both empty: NaN")
    assert render_froc(score).startswith(b"\x89PNG")


def test_a_segmenter_of_volumes_is_scored_on_the_imported_voxels(tmp_path):
    task = Task(kind="segmentation", classes=("background", "front", "back"), image_size=(16, 16, 16), intensity="standardised", spacing_mm=(1.0, 1.0, 1.0))  # fmt: skip
    rng, listed = np.random.default_rng(1), []
    root = tmp_path / "msd"
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True)
    for number in range(1, 5):
        image, label = rng.normal(100, 20, (14, 18, 10)).astype(np.float32), np.zeros((14, 18, 10), dtype=np.uint8)
        label[2:6, 3:8, 4:9], label[6:9, 3:8, 4:9] = 1, 2 if number < 4 else 1
        affine = np.diag([1.0, 1.0, 2.0, 1.0])
        nibabel.save(nibabel.Nifti1Image(image, affine), root / "imagesTr" / f"b_{number}.nii.gz")
        nibabel.save(nibabel.Nifti1Image(label, affine), root / "labelsTr" / f"b_{number}.nii.gz")
        listed.append({"image": f"imagesTr/b_{number}.nii.gz", "label": f"labelsTr/b_{number}.nii.gz"})
    (root / "dataset.json").write_text(json.dumps({"training": listed}))
    who = subject(task, builder="unet", channels=(4, 8))
    score = score_folder(who, root, describe_folder(root, task, FolderHints(patient_pattern="odd-even")), Store(tmp_path / "s", "s"))
    metrics = score.evaluation.metrics
    assert {f"{m}_{c}" for m in ("dice", "hausdorff_95", "surface_dice", "lesion_f1", "froc") for c in ("front", "back")} <= set(metrics)
    assert (score.evaluation.n, score.evaluation.cases) == (2, 4)
    # by hand: the answer on the imported voxels
    image = torch.from_numpy(nibabel.load(root / "imagesTr" / "b_1.nii.gz").get_fdata().astype(np.float32).transpose(2, 1, 0).copy())
    label = nibabel.load(root / "labelsTr" / "b_1.nii.gz").get_fdata().transpose(2, 1, 0)
    finer = torch.nn.functional.interpolate(image[None, None], size=(19, 18, 14), mode="trilinear", align_corners=True)[0]
    low, high = np.percentile(finer.numpy(), (0.5, 99.5))
    finer = finer.clamp(float(low), float(high))
    logits = predict_volume(who.network, (finer - finer.mean()) / finer.std(), task)
    answer = torch.nn.functional.interpolate(logits[None], size=(10, 18, 14), mode="trilinear", align_corners=True)[0].argmax(0).numpy()
    wanted = 2 * ((answer == 1) & (label == 1)).sum() / ((answer == 1).sum() + (label == 1).sum())
    assert score.scores.rows["dice_front"][0] == pytest.approx(wanted, abs=0.01)


@pytest.mark.parametrize("seed", range(4))
def test_the_fast_average_precision_is_scikit_learns(seed):
    rng = np.random.default_rng(seed)
    labels, scores = (rng.random(60) < 0.3).astype(np.int64), np.round(rng.random((1, 60)), 1)
    rows = rng.integers(0, 60, 60)
    assert average_precision_of(scores, labels)(rows, 0) == pytest.approx(average_precision_score(labels[rows], scores[0, rows]))


def test_the_record_survives_its_file(classified, tmp_path):
    classified[1].evaluation.write(tmp_path / "e.json")
    assert FolderEvaluation.model_validate_json((tmp_path / "e.json").read_bytes()).digest() == classified[1].evaluation.digest()
    assert b"x3" not in (tmp_path / "e.json").read_bytes()


@pytest.mark.extended
def test_several_classes_are_each_measured_against_the_rest(tmp_path):
    root, task = write_pictures(tmp_path / "clinic"), TASK.model_copy(update={"classes": ("benign", "malignant", "other")})
    data = ImageFolderData(path=".", id_column="id", patient_column="patient", label_column="label")
    score = score_folder(subject(task, channels=(4, 4, 6, 8)), root, data, Store(tmp_path / "s", "s"))
    assert {"auc_benign", "auc_malignant", "brier_other", "ece_other", "accuracy"} <= set(score.evaluation.metrics)
    assert "auc_other" not in score.evaluation.metrics
    assert render_calibration(score).startswith(b"\x89PNG")


def test_the_validation_patients_as_a_foreign_folder_give_the_runs_own_scorecard(tmp_path):
    root = write_pictures(tmp_path / "data" / "clinic", n=64)
    with (root / "cases.csv").open() as stream:
        rows = [{**row, "split": "val" if i >= 40 else "train"} for i, row in enumerate(csv.DictReader(stream))]
    with (root / "cases.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    network, fit = {"builder": "resnet", "options": {"channels": [4, 4, 6, 8]}}, {"epochs": 1, "batch_size": 8}
    small = {
        "data.path": "clinic", "data.id_column": "id", "data.label_column": "label", "data.attribute_columns": ["sex"], "seeds": [0],
        "task.image_size": [32, 32], "data.inner_validation": 0.2, "teacher.network": network, "teacher.fit": fit, "student.network": network, "student.fit": fit,
    }  # fmt: skip
    recipe = read_recipe(Path(flows.__file__).parent / "recipes" / "busbra.yaml", small)
    workspace = local_workspace(tmp_path / "run", data_root=tmp_path / "data")
    cohorts = prepare_cohorts(workspace, recipe.cohorts(), "")
    teacher = train_teacher(workspace, recipe.teacher_training(), cohorts)
    student = distill(workspace, recipe.student_training("kd_explanation", 0), cohorts, teacher)
    card = summarise(workspace, recipe.name, cohorts, (evaluate_model(workspace, recipe.name, cohorts, student, teacher),))
    who = ScoredModel(recipe.task, load_network(workspace, student), MODEL, load_network(workspace, teacher), MODEL)
    score = score_folder(who, root, describe_folder(root, recipe.task, FolderHints(where={"split": "val"})), Store(tmp_path / "s", "s"))
    same = set(card.figures) & set(score.evaluation.metrics)
    assert {"auc", "ece", "agreement", "relevance_mass_accuracy", "pointing"} <= same
    for name in same:
        student_values, teacher_values = score.evaluation.metrics[name], card.figures[name]
        assert (student_values.mean, student_values.low, student_values.high, student_values.n) == pytest.approx(
            (teacher_values.mean, teacher_values.low, teacher_values.high, teacher_values.n)
        ), name


@pytest.mark.extended
def test_a_calibrated_versions_probabilities_are_scored_as_they_are_stated(classified, pictures, tmp_path):
    who, plain = classified
    bound = ConformalBound(alpha=0.1, unit="positive", patients=3, units=3, reason="too few")
    calibration = Calibration(
        weights_digest="a" * 64, cohort_digest="b" * 64, subset="student_validation", method="temperature", temperature=0.25,
        scales=(4.0, 4.0), biases=(0.0, 0.0), patients=40, cases=40, samples=40, bound=bound,
    )  # fmt: skip
    hints = describe_folder(pictures, TASK, FolderHints())
    found = score_folder(replace(who, calibration=calibration), pictures, hints, Store(tmp_path, "s"))
    before, after = plain.scores.shown["probability"], found.scores.shown["probability"]
    np.testing.assert_allclose(np.log(after / (1 - after)), 4 * np.log(before / (1 - before)), rtol=1e-3, atol=1e-5)
    assert found.evaluation.metrics["auc"].mean == pytest.approx(plain.evaluation.metrics["auc"].mean)
    assert found.evaluation.metrics["brier"] != plain.evaluation.metrics["brier"]
    assert found.evaluation.teacher_metrics == plain.evaluation.teacher_metrics
    assert found.evaluation.conventions["probability"].startswith(
        "probabilities are calibrated (temperature 0.25) on 40 validation patients"
    )
    assert "probability" not in plain.evaluation.conventions


class Threshold(nn.Module):
    """Marks what is bright in one of the images that it is shown."""

    def __init__(self, channel, channels):
        super().__init__()
        self.head = nn.Conv3d(channels, 2, 1)
        with torch.no_grad():
            self.head.weight.zero_()
            self.head.weight[1, channel], self.head.bias[:] = 5.0, torch.tensor([0.0, -3.0])

    def forward(self, image):
        return self.head(image)


def bright(channel, channels):
    return with_layer_map(Threshold(channel, channels), LayerMap(feature_layers=("head",), cam_layer="head", head="head")).eval()


@pytest.mark.parametrize("kind", ["nnunet", "decathlon"])
def test_a_network_of_several_images_is_scored_where_a_list_names_them(tmp_path, kind):
    volumes(tmp_path)
    root, data = as_listed(tmp_path, kind)
    turned, second = VOLUMES.model_copy(update={"channels": ("t2", "t1")}), VOLUMES.seen_through(("t2",))
    both = score_folder(ScoredModel(turned, bright(0, 2), MODEL, bright(1, 2), MODEL), root, data, Store(tmp_path / "a"))
    alone = score_folder(ScoredModel(second, bright(0, 1), MODEL), root, data, Store(tmp_path / "b"))
    assert 0 < both.evaluation.metrics["dice"].mean < 1
    assert both.evaluation.metrics["dice"] == alone.evaluation.metrics["dice"]
    assert both.evaluation.metrics["dice_to_teacher"].mean < 0.9
    assert both.evaluation.teacher_metrics["dice"] != alone.evaluation.metrics["dice"]
    with_row = replace(subject(), task=TASK.model_copy(update={"clinical": ("age",)}))
    with pytest.raises(DataError, match="the row age") as caught:
        score_folder(with_row, root, data, Store(tmp_path / "c"))
    assert caught.value.code == "TASK_INPUTS"


def test_a_teacher_that_sees_another_image_picks_its_own(tmp_path):
    volumes(tmp_path)
    root, _ = as_listed(tmp_path, "nnunet")
    spec = NetworkSpec(builder="unet", spatial_dims=3, options={"channels": (4, 6)})
    uris = [register_tiny(tmp_path / "run", VOLUMES.seen_through((name,)), spec, name=name) for name in ("t1", "t2")]
    uris.append(
        register_tiny(
            tmp_path / "run",
            VOLUMES.model_copy(update={"classes": ("background", "other")}),
            spec.model_copy(update={"in_channels": 2}),
            name="other",
        )
    )
    workspace, hints = local_workspace(tmp_path / "run"), FolderHints(patient_pattern="odd-even")
    both = load_subject(workspace, uris[1], uris[0])
    assert both.task.channels == ("t2", "t1")
    image = torch.randn(1, 2, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    network = build_network(spec, seed=3).eval()
    with torch.no_grad():
        assert torch.equal(both.network(image), network(image[:, :1]))
        assert torch.equal(both.teacher_network(image), network(image[:, 1:]))
    found = evaluate_folder(workspace, root, hints, uris[1], uris[0], tmp_path / "scratch")
    assert (found.cases, "dice_to_teacher" in found.metrics) == (4, True)
    with pytest.raises(DataError, match="a teacher of the same task") as caught:
        load_subject(workspace, uris[1], uris[2])
    assert caught.value.code == "MODEL_TASK"


def test_networks_of_dicom_find_the_images_that_their_cards_name(tmp_path):
    for number in range(2):
        write_study(tmp_path / "clinic" / f"p{number}", number)
    data, spec = DicomData(path="studies", channels=CHANNELS), NetworkSpec(builder="unet", spatial_dims=3, options={"channels": (4, 6)})
    task = Task(kind="segmentation", classes=("background", "lesion"), image_size=(8, 16, 16), intensity="standardised")
    both = register_tiny(
        tmp_path / "run",
        task.model_copy(update={"channels": ("t2", "t1c")}),
        spec.model_copy(update={"in_channels": 2}),
        name="two",
        data=data,
    )
    alone = register_tiny(tmp_path / "run", task.model_copy(update={"channels": ("t1",)}), spec, name="one", data=data)
    workspace = local_workspace(tmp_path / "run")
    found = evaluate_folder(workspace, tmp_path / "clinic", FolderHints(), alone, both, tmp_path / "scratch")
    assert (found.cases, "dice_to_teacher" in found.metrics) == (2, True)
    # Labels lie on the T1, which the network of the two others does not see; without the T1 after contrast that network has no case.
    assert list(load_subject(workspace, both, None).series) == ["t1", "t1c", "t2"]
    shutil.rmtree(tmp_path / "clinic" / "p0" / "two")
    assert evaluate_folder(workspace, tmp_path / "clinic", FolderHints(), alone, None, tmp_path / "again").cases == 2
    assert evaluate_folder(workspace, tmp_path / "clinic", FolderHints(), both, None, tmp_path / "third").cases == 1
