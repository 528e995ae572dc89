"""Teachers of volumes from elsewhere are judged and distilled from: a results folder of nnU-Net v2 and a MONAI Bundle, on a small folder of NIfTI files."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import nibabel
import numpy as np
import pytest
import torch

from data_contracts import RegistryError, Subset, TeacherGateError
from flows.distill import distill
from flows.prepare import prepare
from flows.start import start_engine
from flows.train_teacher import train_teacher
from medkd.cohorts.case_table import patient_key
from medkd.cohorts.open_cohort import open_volume_use
from medkd.cohorts.tensor_cohort import patients_of
from medkd.foreign.import_teacher import ImportRequest, import_teacher
from medkd.models._load import load_network
from medkd.registry.adopt_teacher import registered_teacher
from medkd.registry.load_version import load_registered
from medkd.storage.workspace import local_workspace
from medkd.training.recipes import make_recipe
from tests.foreign.conftest import monai_source, write_bundle_folder
from tests.foreign.make_nnunet_folder import invented

#: Lines of the table: the gate judges by the tenth of the training people that is held back, of whom there is one at least.
CASES = [(f"blob_{number}", "val" if number > 5 else "train") for number in range(8)]


def write_volumes(folder, affine, draw):
    """Write a folder of volumes [x, y, z] as a recipe reads it; ``draw(number)`` returns a volume and its labels."""
    for place in ("images", "masks"):
        (folder / place).mkdir(parents=True)
    for number, (case, _) in enumerate(CASES):
        for place, values in zip(("images", "masks"), draw(number), strict=True):
            nibabel.save(nibabel.Nifti1Image(values, affine), folder / place / f"{case}.nii.gz")
    (folder / "cases.csv").write_text("case,subject,part\n" + "".join(f"{case},{case},{part}\n" for case, part in CASES))


def recipe_of(task, uri, **gate):
    """Return a recipe whose students of four features learn from a registered teacher for one epoch."""
    fit = {"epochs": 1, "batch_size": 2, "precision": "fp32"}
    distilled = [{"loss": "cross_entropy"}, {"loss": "logit_kd", "weight": 1.0, "options": {"temperature": 2.0}}]
    fields = {
        "name": "from-volumes",
        "description": "Students of a teacher of volumes from elsewhere.",
        "task": task.model_dump(mode="json"),
        "data": {
            "kind": "volume_folder", "path": "volumes", "dataset": None, "table": "cases.csv", "part_column": "part", "inner_validation": 0.3,
        },
        "seeds": [0],
        "teacher": {"registered": uri, "gate": gate},
        "student": {"network": {"builder": "unet", "options": {"channels": [4, 4]}}, "fit": fit},
        "arms": {"kd": {"terms": distilled}},
    }  # fmt: skip
    return make_recipe(fields, {}, "test")


@pytest.fixture
def there(tmp_path, tracking):
    """Return a workspace that knows the registry, and a folder of data beside it."""
    workspace = replace(local_workspace(tmp_path / "run"), tracking_uri=f"sqlite:///{tracking}", data_root=tmp_path)
    with start_engine("none", workspace.root, workers=0):
        yield workspace


def taught(workspace, recipe):
    """Return a recipe's result once its teacher was judged and its students were distilled."""
    return distill(workspace, train_teacher(workspace, prepare(workspace, (recipe,))))[0]


def expected_dice(workspace, result, answers, draw):
    """Return the Dice that the gate must have measured: ``answers`` gives the classes [x, y, z] of a volume without anything of medkd's inference."""
    held = patients_of(result.cohorts, (Subset.TEACHER_VALIDATION,), workspace.store)
    found = []
    for number, (case, _) in enumerate(CASES):
        if patient_key(case) not in held:
            continue
        image, label = draw(number)
        answer = answers(torch.from_numpy(image))
        pairs = [(answer == index, label == index) for index in (1, 2)]
        found += [2 * (said & wanted).sum() / (said.sum() + wanted.sum()) for said, wanted in pairs]
    assert len(found) == 2 * len(held) > 0
    return float(np.mean(found))


def require_student_of(workspace, result, imported):
    """The student names the imported weights as its teacher, and answers about a patch."""
    (student,) = result.students
    assert result.teacher.weights_digest == student.teacher_digest == imported.checkpoint.weights_digest
    assert (student.arm, student.epochs) == ("kd", 1)
    with torch.no_grad():
        logits = load_network(workspace, student)(torch.zeros(1, 1, *result.recipe.task.image_size))
    assert logits.shape[1] == len(result.recipe.task.classes)
    assert torch.isfinite(logits).all()


def test_an_nnunet_folder_teaches_volumes(there, registry, nnunet, answer, tmp_path):
    imported = import_teacher(registry, ImportRequest(nnunet, folds=("0",), name="blobs-teacher"))
    _, checkpoint, network = load_registered(registry, imported.model.uri)
    with torch.no_grad():
        torch.testing.assert_close(network(answer["patch"]), answer["patch_logits"], atol=1e-5, rtol=0)
    assert checkpoint.task.intensity == "z_score"

    def draw(number):
        return invented(100 + number)

    def z_scores(image):
        return ((image - image.mean()) / image.std(correction=0)).permute(2, 1, 0)[None]

    def answers(image):
        """As nnU-Net asks: z-scores, (slice, row, column), one window, the mean of all mirrorings."""
        seen = z_scores(image)[None]
        flips = [flip for count in range(4) for flip in combinations((2, 3, 4), count)]
        with torch.no_grad():
            logits = torch.stack([network(seen.flip(flip)).flip(flip) for flip in flips]).mean(0)[0]
        return logits.argmax(0).permute(2, 1, 0).numpy()

    write_volumes(tmp_path / "volumes", np.eye(4), draw)
    recipe = recipe_of(checkpoint.task, imported.model.uri, min_dice=0.99, enforce=False)
    result = taught(there, recipe)
    (finding,) = result.verdicts[0].findings
    assert (finding.requirement, finding.holds) == ("min_dice", False)
    assert finding.measured == pytest.approx(expected_dice(there, result, answers, draw), abs=1e-3)
    require_student_of(there, result, imported)
    # Instance normalisation forgives scales: that gate and students see nnU-Net's own is asked of the images.
    for subset in (Subset.TEACHER_VALIDATION, Subset.STUDENT_TRAIN.of(0)):
        opened = open_volume_use(result.cohorts, subset, there.store, recipe.task).images
        wanted = [z_scores(torch.from_numpy(draw(number)[0])) for number in range(len(CASES))]
        assert all(any(torch.allclose(one, other, atol=1e-4) for other in wanted) for one in opened)
    clipped = recipe.model_copy(update={"task": recipe.task.model_copy(update={"intensity": "standardised"})})
    with pytest.raises(RegistryError, match=r"task\.intensity is standardised, the teacher's z_score") as caught:
        registered_teacher(there, clipped)
    assert caught.value.code == "TEACHER_TASK"


def test_a_bundle_teaches_volumes(there, registry, tmp_path):
    source = monai_source(seed=4)
    imported = import_teacher(registry, ImportRequest(write_bundle_folder(tmp_path / "bundle", source), name="bundle-teacher"))
    _, checkpoint, network = load_registered(registry, imported.model.uri)
    with torch.no_grad():
        # The network that was imported reads arrays as MONAI does, (column, row, slice) from left, posterior and inferior.
        patch = torch.rand(1, 1, 16, 24, 32, generator=torch.Generator().manual_seed(3))
        ours = network((patch * 2 - 1).permute(0, 1, 4, 3, 2)).permute(0, 1, 4, 3, 2)
        torch.testing.assert_close(ours, source(patch), atol=1e-5, rtol=1e-5)

    def draw(number):
        return invented(100 + number, (16, 24, 32))

    def answers(image):
        """As the bundle's own transforms bring it: the window -57 to 164 becomes 0 to 1."""
        with torch.no_grad():
            return source(((image + 57) / 221).clamp(0, 1)[None, None])[0].argmax(0).numpy()

    write_volumes(tmp_path / "volumes", np.diag([1.5, 1.5, 2.0, 1.0]), draw)
    recipe = recipe_of(checkpoint.task, imported.model.uri, min_dice=0.99)
    with pytest.raises(TeacherGateError) as caught:
        taught(there, recipe)
    assert caught.value.code == "TEACHER_REFUSED"
    result = taught(there, recipe_of(checkpoint.task, imported.model.uri, min_dice=0.99, enforce=False))
    (finding,) = result.verdicts[0].findings
    assert finding.requirement == "min_dice"
    assert finding.measured == pytest.approx(expected_dice(there, result, answers, draw), abs=1e-3)
    require_student_of(there, result, imported)
