from __future__ import annotations

from medkd.loss_check.verdict import LossReport, SettingVerdicts, held, verdict


def test_figures_that_are_no_numbers_are_left_out():
    assert verdict("a", "holds", "b", x=1.0, y=float("nan"), z=float("inf")).figures == {"x": 1.0}


def test_a_report_lists_what_is_broken_with_its_place():
    laws = (held("a", True, "good", "bad"), held("b", False, "good", "bad"))
    report = LossReport(loss="x", source="x.py", settings=(SettingVerdicts(task="segmentation", spatial_dims=3, laws=laws),), controls=())
    assert [(setting.name, law.law, law.sentence) for setting, law in report.broken()] == [("segmentation 3D", "b", "bad")]
    assert LossReport.model_validate_json(report.model_dump_json()) == report
