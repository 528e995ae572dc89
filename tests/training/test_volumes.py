"""Volumes all the way: patches with deep supervision, and a class per volume, from NIfTI to scorecard."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import torch
import yaml

from data_contracts import Part, Role
from medkd.cohorts.open_cohort import open_for_training
from medkd.cohorts.prepare import prepare_cohorts
from medkd.cohorts.tensor_cohort import WITHOUT_LABEL
from medkd.cohorts.volume_cohort import VolumeCohort
from medkd.evaluation.evaluate import evaluate_model, summarise
from medkd.evaluation.gate_teacher import judge_teacher
from medkd.explanation.explain_cohort import explain_cohort
from medkd.explanation.inspect_model import inspect_model
from medkd.models._build import build_network
from medkd.models._load import load_network
from medkd.storage.workspace import local_workspace
from medkd.training.fit import FitRequest, fit
from medkd.training.objective import Objective
from medkd.training.recipes import network_spec, read_recipe
from medkd.training.train import distill, student_cohort, train_teacher

FIT = {"epochs": 2, "batch_size": 4, "learning_rate": 0.01, "augment": "flip", "foreground_share": 0.5}


def write_volumes(root, n=24):
    """Write volumes with a bright box: small boxes are one class, large ones the other."""
    rng, lines = np.random.default_rng(0), ["case,subject,kind"]
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for i in range(n):
        image, mask = rng.normal(0, 1, (16, 16, 16)).astype(np.float32), np.zeros((16, 16, 16), dtype=np.uint8)
        size = 4 if i // 2 % 2 else 9
        mask[3 : 3 + size, 4 : 4 + size, 3 : 3 + size] = 1
        image[mask > 0] += 3
        for folder, values in (("images", image), ("masks", mask)):
            nibabel.save(nibabel.Nifti1Image(values, np.diag([-1.0, -1.0, 1.0, 1.0])), root / folder / f"v{i:02d}.nii.gz")
        lines.append(f"v{i:02d},s{i // 2},{'small' if i // 2 % 2 else 'large'}")
    (root / "cases.csv").write_text("\n".join(lines))


DROPOUT = {"builder": "seg_resnet", "options": {"init_filters": 8, "blocks_down": [1, 1], "blocks_up": [1], "dropout": 0.5}}


def recipe_for(tmp_path, kind, network=None):
    segment = kind == "segmentation"
    own = (
        {"builder": "dyn_unet", "options": {"filters": [4, 6, 8], "deep_supervision": 1}}
        if segment
        else {"builder": "densenet", "options": {"init_features": 8, "growth_rate": 4, "block_config": [1, 1]}}
    )
    extra = [{"loss": "deep_supervision", "weight": 0.5}] if segment and network is None else []
    network = network or own
    payload = {
        "name": f"tiny-{kind}",
        "task": {"kind": kind, "classes": ["background", "box"] if segment else ["small", "large"], "image_size": [16, 16, 16], "intensity": "standardised"},
        "data": {"kind": "volume_folder", "path": "boxes", "dataset": None, "table": "cases.csv", "label_column": None if segment else "kind"},
        "seeds": [0],
        "teacher": {"network": network, "fit": FIT, "terms": [{"loss": "cross_entropy"}, *extra], "gate": {"enforce": False, "min_dice" if segment else "min_auc": 0.1}},
        "student": {"network": network, "fit": FIT},
        "arms": {"kd": {"terms": [{"loss": "cross_entropy"}, {"loss": "logit_kd"}, *extra]}},
        "explain": {"explainers": [{"name": "cam"}], "measures": [{"name": "relevance_mass_accuracy"}, {"name": "model_parameter_randomisation"}], "cases": 2},
    }  # fmt: skip
    path = tmp_path / f"tiny-{kind}.yaml"
    path.write_text(yaml.safe_dump(payload))
    return read_recipe(path)


@pytest.mark.parametrize(("kind", "figures"), [pytest.param("segmentation", {"dice", "hausdorff_95", "surface_dice", "lesion_f1", "dice_to_teacher"}, marks=pytest.mark.extended), pytest.param("classification", {"auc", "ece", "agreement", "relevance_mass_accuracy"}, marks=pytest.mark.extended)])  # fmt: skip
def test_volumes_are_learnt_distilled_explained_and_scored(tmp_path, kind, figures):
    write_volumes(tmp_path / "data" / "boxes")
    recipe, workspace = recipe_for(tmp_path, kind), local_workspace(tmp_path / "run", data_root=tmp_path / "data")
    cohorts = prepare_cohorts(workspace, recipe.cohorts(), "")
    teacher = train_teacher(workspace, recipe.teacher_training(), cohorts)
    verdict = judge_teacher(workspace, recipe.name, recipe.teacher.gate, cohorts, teacher)
    assert [finding.requirement for finding in verdict.findings] == ["min_dice" if kind == "segmentation" else "min_auc"]
    student = distill(workspace, recipe.student_training("kd", 0), cohorts, teacher)
    assert student.network.spatial_dims == 3
    assert student.largest_extent_mm == ((16.0, 16.0, 16.0) if kind == "segmentation" else None)
    assert student.domain is not None
    assert student.domain.modalities == ()
    assert student.domain.extent_high_mm == student.largest_extent_mm
    card = summarise(workspace, recipe.name, cohorts, (evaluate_model(workspace, recipe.name, cohorts, student, teacher),))
    assert figures <= set(card.figures)
    assert all(figure.n == len({c.patient_key for c in read(workspace, cohorts)}) for figure in card.figures.values())
    bundle = explain_cohort(workspace, recipe.explanation(), cohorts, student, teacher)
    assert all(explanation.shape == (16, 16, 16) for explanation in bundle.explanations)
    found = inspect_model(workspace, recipe.explanation(), cohorts, student, teacher)
    arrays = workspace.store.read_tensors(found.array)
    assert {tuple(arrays[name].shape[1:]) for name in ("image", "change/student", "change/teacher")} == {(1, 16, 16, 16)}
    assert len(found.similarity) == len(found.layers)


def read(workspace, cohorts):
    from medkd.cohorts.tensor_cohort import read_cohort

    return read_cohort(cohorts.uses["test"].cohort, workspace.store).part(Part.VALIDATION)


def test_a_teacher_is_asked_about_each_patch_where_patches_are_at_most_mirrored(tmp_path):
    """Of pictures that are at most mirrored the teacher's answers are kept; of volumes no patch comes again, however long they are trained on."""
    write_volumes(tmp_path / "data" / "boxes", n=8)
    recipe = recipe_for(tmp_path, "segmentation", {"builder": "unet", "options": {"channels": [4, 8]}})
    workspace = local_workspace(tmp_path / "run", data_root=tmp_path / "data")
    cohorts = prepare_cohorts(workspace, recipe.cohorts(), "")
    teacher = train_teacher(workspace, recipe.teacher_training(), cohorts)
    spec = recipe.student_training("kd", 0)
    longer = spec.model_copy(update={"fit": spec.fit.model_copy(update={"epochs": 4, "augment": "flip"})})
    assert distill(workspace, longer, cohorts, teacher).epochs == 4


def test_voxels_of_a_hidden_class_are_trained_on_without_a_label(tmp_path):
    write_volumes(tmp_path / "data" / "boxes", n=12)
    recipe, workspace = recipe_for(tmp_path, "segmentation"), local_workspace(tmp_path / "run", data_root=tmp_path / "data")
    cohorts, spec = prepare_cohorts(workspace, recipe.cohorts(), ""), recipe.student_training("kd", 0)
    whole = student_cohort(workspace, spec, cohorts)
    shown = student_cohort(workspace, spec.model_copy(update={"hidden_classes": ("box",)}), cohorts)
    boxes = [label == 1 for label in whole.labels]
    assert all(box.any() for box in boxes)
    for label, before, box in zip(shown.labels, whole.labels, boxes, strict=True):
        assert torch.equal(label, before.masked_fill(box, WITHOUT_LABEL))


@pytest.mark.parametrize("network", [None, DROPOUT], ids=["deep supervision", "dropout"])
def test_training_on_patches_continues_bit_equal_after_an_interruption(tmp_path, network):
    write_volumes(tmp_path / "data" / "boxes", n=12)
    recipe, workspace = recipe_for(tmp_path, "segmentation", network), local_workspace(tmp_path / "run", data_root=tmp_path / "data")
    cohort = open_for_training(prepare_cohorts(workspace, recipe.cohorts(), ""), "teacher_train", workspace.store, recipe.task)
    assert isinstance(cohort, VolumeCohort)

    def trained(folder, *epochs):
        for wanted in epochs:
            # The schedule follows the epochs wanted, so an interruption is a run of the same wish that is stopped early.
            network = build_network(network_spec(recipe, Role.TEACHER), seed=1)
            request = FitRequest(recipe.teacher.fit, recipe.task, 3, tmp_path / folder, "k")
            if wanted < recipe.teacher.fit.epochs:
                with pytest.raises(Interrupted):
                    fit(network, Stopping(recipe.teacher.terms, after=wanted * (len(cohort) // 4)), cohort, request)
            else:
                fitted = fit(network, Objective(recipe.teacher.terms), cohort, request)
        return fitted.state_dict()

    straight, resumed = trained("a", 2), trained("b", 1, 2)
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)


class Interrupted(Exception):
    pass


class Stopping(Objective):
    """An objective that is interrupted after some steps."""

    def __init__(self, terms, after):
        super().__init__(terms)
        self.left = after

    def evaluate(self, *args, **more):
        if self.left == 0:
            raise Interrupted
        self.left -= 1
        return super().evaluate(*args, **more)


def test_the_teacher_of_a_run_can_be_loaded_again(tmp_path):
    write_volumes(tmp_path / "data" / "boxes", n=12)
    recipe, workspace = recipe_for(tmp_path, "classification"), local_workspace(tmp_path / "run", data_root=tmp_path / "data")
    cohorts = prepare_cohorts(workspace, recipe.cohorts(), "")
    teacher = train_teacher(workspace, recipe.teacher_training(), cohorts)
    network = load_network(workspace, teacher)
    assert network(torch.zeros(1, 1, 16, 16, 16)).shape == (1, 2)
