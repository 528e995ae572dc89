"""The phantom's biased teacher follows its marker, one whose markers tell nothing is silent: trained as the shipped recipe says, smaller."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import flows
from data_contracts import ShortcutVerdict
from medkd.audit.answers import AuditedModel
from medkd.audit.audit_model import audit_folder
from medkd.audit.open_folder import AuditFolder
from medkd.audit.put_in import AuditCase
from medkd.cohorts.prepare import prepare_cohorts
from medkd.models._load import load_network
from medkd.phantom.render import draw_cases, render_key_slices
from medkd.storage.workspace import local_workspace
from medkd.training.recipes import read_recipe
from medkd.training.train import train_teacher
from medkd.volumes.window import window_intensity
from tests.audit.conftest import subject

pytestmark = pytest.mark.extended
SMALLER = {"data.teacher": 1280, "data.student": 8, "data.student_validation": 8, "data.test": 8, "data.debiased": 8, "data.reversed": 8, "data.marker_pairs": 8, "teacher.fit.epochs": 10, "teacher.network.options.channels": [8, 16, 32, 64], "data.difficulty": 1.0}  # fmt: skip


@pytest.fixture(scope="module")
def unmarked():
    cases = draw_cases(60, 77).with_marker(False)
    images, masks = render_key_slices(cases)
    shown = window_intensity(images, (-160.0, 240.0))
    whole = torch.ones_like(masks[0], dtype=torch.bool)
    records = tuple(AuditCase(shown[row], masks[row] > 0, whole, f"c{row}") for row in range(60))
    keys = tuple(type("Record", (), {"patient_key": f"p{row}", "case_key": f"c{row}"})() for row in range(60))
    return AuditFolder(records, keys, (None,) * 60, tuple(cases.label.tolist()), (None,) * 60, ({},) * 60, "c" * 64)


@pytest.mark.parametrize(("rates", "verdict"), [([0.05, 0.95], ShortcutVerdict.FOLLOWS), ([0.5, 0.5], ShortcutVerdict.SILENT)])
def test_the_planted_marker_is_found_in_the_teacher_that_learned_it(unmarked, tmp_path, rates, verdict):
    recipe = read_recipe(
        Path(flows.__file__).parent / "recipes" / "biased_teacher.yaml", {**SMALLER, "data.teacher_marker_rates": rates, "seeds": [0]}
    )
    workspace = local_workspace(tmp_path)
    teacher = train_teacher(workspace, recipe.teacher_training(), prepare_cohorts(workspace, recipe.cohorts(), ""))
    model = AuditedModel(recipe.task, load_network(workspace, teacher))
    report = audit_folder(model, unmarked, ("corner_mark", "ruler", "grey_bar"), subject("teacher")).report
    (mark,) = [one for one in report.artefacts if one.name == "corner_mark"]
    assert mark.verdict is verdict, mark.reason
    assert mark.figure_before.mean > 0.6
