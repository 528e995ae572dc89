"""A folder of DICOM as the data of a recipe: what was not measured is neither learnt from nor scored."""

from __future__ import annotations

import pydicom
import pytest
import torch

from data_contracts import Action, DataError, DicomData, Fit, IngestCode, IngestPolicy, Part
from medkd.dicom.phantom_dicom import write_phantom_dicom
from medkd.evaluation.evaluate_volumes import leave_out_synthetic
from medkd.training.recipes import read_recipe
from medkd.volumes.open_cohort import open_volume_use
from medkd.volumes.prepare import prepare_cohorts, source_digest
from medkd.workspace import embedded_workspace


@pytest.fixture
def recipe(tmp_path):
    """Return a maker of a segmentation recipe on DICOM studies of which one lost a slice."""
    from pathlib import Path

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
    workspace = embedded_workspace(tmp_path / "run", data_root=tmp_path / "data")
    return workspace, prepare_cohorts(workspace, recipe, source_digest(recipe, workspace.data_root))


def test_studies_become_cases_split_by_patient_and_certified(recipe, tmp_path):
    workspace, cohorts = prepared(recipe(), tmp_path)
    train, test = (open_volume_use(cohorts, purpose, workspace.store, recipe().task) for purpose in ("teacher_train", "test"))
    assert len(train) + len(test) == 9
    assert not set(train.patients()) & set(test.patients())
    (certificate,) = cohorts.certificates
    assert certificate.clean
    assert certificate.hashed == 9
    assert all(bool(label.any()) for label in train.labels)


def test_a_repaired_slice_is_neither_learnt_from_nor_scored(recipe, tmp_path):
    wanted = recipe(policy=IngestPolicy(actions={IngestCode.MISSING_SLICES: Action.REPAIR}))
    workspace, cohorts = prepared(wanted, tmp_path)
    opened = [open_volume_use(cohorts, purpose, workspace.store, wanted.task) for purpose in ("teacher_train", "test")]
    assert sum(map(len, opened)) == 10
    (cohort, row) = next((one, row) for one in opened for row in range(len(one)) if one.synthetic[row] is not None)
    synthetic = cohort.synthetic[row]
    assert synthetic.flatten(1).all(1).nonzero().flatten().tolist() == [5]
    measured = cohort.measured(row)
    assert (~measured).sum() == synthetic.sum()
    sample = cohort.draw(
        torch.tensor([row]), wanted.task.model_copy(update={"image_size": tuple(measured.shape)}), Fit(epochs=1), torch.Generator()
    )
    assert torch.equal(sample.valid_mask[0], measured)
    assert (sample.labels[0][~measured] == -1).all()
    everything = torch.ones_like(cohort.references[row])
    assert int(leave_out_synthetic(cohort, row, everything).sum()) == int(measured.sum())


def test_a_segment_that_is_no_class_is_left_out_unless_it_is_mapped(recipe, tmp_path):
    other = recipe()
    other = other.model_copy(update={"task": other.task.model_copy(update={"classes": ("background", "tumour")})})
    with pytest.raises(DataError, match="UNKNOWN_SEGMENT") as caught:
        prepared(other, tmp_path)
    assert caught.value.code == "COHORT_EMPTY"
    mapped = other.model_copy(update={"data": DicomData(path="studies", segments={"Lesion": "tumour"})})
    _, cohorts = prepared(mapped, tmp_path)
    assert cohorts.uses["test"].part is Part.VALIDATION
