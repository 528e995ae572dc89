from __future__ import annotations

from flows.check_loss_text import check_loss_text
from medkd.loss_check.verdict import LossReport, SettingVerdicts, held


def test_each_law_is_one_line_and_what_is_broken_says_where():
    settings = tuple(
        SettingVerdicts(
            task=task, spatial_dims=2, laws=(held("first", True, "fine", ""), held("second", task == "segmentation", "fine", "not here"))
        )
        for task in ("classification", "segmentation")
    )
    failed = SettingVerdicts(task="segmentation", spatial_dims=3, failed="ValueError: x")
    text = check_loss_text(LossReport(loss="x", source="x.py", settings=(*settings, failed), controls=("shuffled",)))
    assert text.splitlines() == [
        "x (x.py), on small networks: classification 2D, segmentation 2D",
        "not asked      segmentation 3D: ValueError: x",
        "holds          first: fine",
        "broken         second [classification 2D]: not here",
        "holds          second [segmentation 2D]: fine",
        "before the teacher's explanations get the credit, a gain must beat these in an experiment (experiment.controlled): shuffled",
        "1 broken",
    ]


def test_laws_that_were_asked_in_fewer_places_say_where():
    first, second = held("first", True, "fine", ""), held("second", True, "fine", "")
    crashed = SettingVerdicts(task="segmentation", spatial_dims=2, failed="x", laws=(held("it answers", False, "", "ValueError: x"),))
    whole = SettingVerdicts(task="classification", spatial_dims=2, laws=(first, second))
    stopped = SettingVerdicts(task="classification", spatial_dims=3, laws=(first,))
    text = check_loss_text(LossReport(loss="x", source="x.py", settings=(whole, stopped, crashed), controls=()))
    assert text.splitlines()[1:] == [
        "holds          first: fine",
        "holds          second [classification 2D]: fine",
        "broken         it answers [segmentation 2D]: ValueError: x",
        "1 broken",
    ]
