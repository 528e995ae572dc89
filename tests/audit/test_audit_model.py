"""A planted shortcut is found, and a network without one stays silent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from data_contracts import DataError, DicomData, NetworkSpec, SeriesRule, ShortcutVerdict, Task
from medkd.audit.answers import AuditedModel
from medkd.audit.audit_model import AuditOptions, audit_folder, audit_registered
from medkd.cohorts.external_dataset import FolderHints
from medkd.storage.workspace import local_workspace
from tests.audit.conftest import TASK, subject
from tests.registered import register_tiny


def of(audit, name):
    return next(one for one in audit.report.artefacts if one.name == name)


def test_the_planted_mark_is_followed_and_what_looks_like_it_and_nothing_else(audits):
    followed = audits["biased"].report.with_verdict(ShortcutVerdict.FOLLOWS)
    # Ticks of a ruler are bright strokes at the border, as the mark is: they move such a network by .2, the mark by .96.
    assert [one.name for one in followed] == ["corner_mark", "ruler"]
    assert abs(followed[0].effect.mean) > 3 * abs(followed[1].effect.mean)
    assert of(audits["biased"], "noise").verdict is ShortcutVerdict.SILENT
    found = of(audits["biased"], "corner_mark")
    assert found.toward == "malignant"
    assert found.effect.low > 0.5 > found.control.mean
    assert found.flips.mean > 0.5


def test_a_network_that_learned_the_lesion_is_silent_under_the_mark(audits):
    assert not audits["clean"].report.with_verdict(ShortcutVerdict.FOLLOWS)
    assert of(audits["clean"], "corner_mark").verdict is ShortcutVerdict.SILENT


def test_the_class_map_moves_onto_what_is_followed(audits):
    biased, clean = (of(audits[name], "corner_mark").mass for name in ("biased", "clean"))
    assert biased.mass.mean > 1.5 * biased.mass_before.mean
    assert biased.mass.mean > 1.5 * biased.area
    assert clean.mass.mean < biased.mass.mean


def test_the_figure_without_artefacts_is_that_of_scikit_learn(audits, folder, networks):
    answers = AuditedModel(TASK, networks.clean).ask([case.image for case in folder.cases])
    assert of(audits["clean"], "ruler").figure_before.mean == pytest.approx(roc_auc_score(folder.labels, answers.probability[:, 1]))


def test_the_data_are_told_apart_from_the_model(audits):
    columns = {found.columns: found for found in audits["clean"].report.metadata}
    assert columns[("device",)].predicts
    assert not columns[("side",)].predicts


def test_without_marks_nothing_is_taken_out_and_alone_that_is_an_error(folder, networks):
    with pytest.raises(DataError, match="found them in 0") as caught:
        audit_folder(AuditedModel(TASK, networks.clean), folder, ("burnt_in_removed",), subject("clean"))
    assert caught.value.code == "AUDIT_NOTHING"


def test_where_no_detector_looked_no_number_of_marks_is_said(folder, networks):
    asked = AuditedModel(TASK, networks.clean)
    report = audit_folder(asked, replace(folder, looked=0), ("ruler", "burnt_in_removed"), subject("clean")).report
    assert report.marked is None
    assert "In 32 of 32 pictures burnt-in marks were not looked for: they have more than 8 bits." in report.limits
    assert not any("Marks were found" in limit for limit in report.limits)
    with pytest.raises(DataError, match="looked for in pictures of 8 bits alone"):
        audit_folder(asked, replace(folder, looked=0), ("burnt_in_removed",), subject("clean"))
    seen = audit_folder(asked, folder, ("ruler", "burnt_in_removed"), subject("clean")).report
    assert seen.marked == 0
    assert [limit for limit in seen.limits if "arks were found" in limit or "taken out" in limit] == [
        "Marks were found in 0 of 32 pictures: lines of letters and crosses only; single letters, frames and bars are not found, and some bright "
        "tissue is taken for letters.",
        "Nothing was taken out: fewer than 8 pictures with marks say nothing.",
    ]


def test_an_audit_is_the_same_twice(audits, folder, networks):
    again = audit_folder(AuditedModel(TASK, networks.biased), folder, ("corner_mark", "ruler", "noise"), subject("biased"))
    assert again.report.digest() == audits["biased"].report.digest()


def test_an_example_shows_the_lesion_of_middle_size(audits, folder):
    sizes = sorted(int(case.lesion.sum()) for case in folder.cases)
    shown = audits["biased"].examples[0]
    chosen = next(case for case in folder.cases if case.image is shown.before)
    assert int(chosen.lesion.sum()) == sizes[len(sizes) // 2]
    assert np.abs((shown.after - shown.before).numpy()).max() > 0.1


def test_the_series_that_the_card_names_are_looked_for_in_dicom(tmp_path, monkeypatch):
    rules = {"t1": SeriesRule(words=("T1",)), "t1c": SeriesRule(words=("T1", "with contrast"))}
    task = Task(kind="segmentation", classes=("background", "lesion"), image_size=(8, 16, 16), intensity="standardised", channels=("t1",))
    network = NetworkSpec(builder="unet", spatial_dims=3, options={"channels": (4, 6)})
    uri = register_tiny(tmp_path / "run", task, network, data=DicomData(path="studies", channels=rules))
    asked = []

    def described(root, task, hints):
        asked.append(hints)
        raise DataError("ENOUGH", "seen")

    monkeypatch.setattr("medkd.audit.audit_model.describe_folder", described)
    with pytest.raises(DataError, match="seen"):
        audit_registered(local_workspace(tmp_path / "run"), tmp_path, FolderHints(), uri, AuditOptions(), tmp_path / "scratch")
    assert asked == [FolderHints(series={"t1": rules["t1"]})]
