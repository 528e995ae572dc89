"""A version at a glance."""

from __future__ import annotations

import json

import pytest

from data_contracts import PromotionEvent, Role
from medkd.promotion.check_promotion import TAG
from medkd.promotion.show_version import event_text, show_version, version_text


def test_a_student_shows_teacher_aliases_calibration_and_verdicts(registry, make):
    teacher = make(name="r-teacher", role=Role.TEACHER)
    model = make(teacher=teacher, ece=0.05)
    registry.set_alias(model.name, "candidate", model.version)
    registry.attach(model, {}, {f"{TAG}.0123456789ab": f"refused {'a' * 64}", f"{TAG}.0123456789ab.sign_off": "b" * 64})
    registry.attach(model, {}, {"medkd.failed_explainers": "grad_cam,lime", "medkd.explanation.0123456789ab": "1 findings"})
    shown = show_version(registry, f"models:/{model.name}@candidate")
    assert json.loads(json.dumps(shown)) == shown
    assert (shown["model"], shown["aliases"], shown["teacher"]) == (model.uri, ["candidate"], str(teacher.lineage))
    assert shown["calibration"]["ece"] == pytest.approx(0.05)
    assert shown["verdicts"] == {"0123456789ab": "refused"}
    assert (shown["failed_explainers"], shown["studies_explained"], shown["serving_form"]) == (["grad_cam", "lime"], 1, False)
    text = version_text(shown)
    assert text.splitlines()[0] == model.uri
    assert "segmentation into background, lesion; 1 parameters" in text
    assert "expected calibration error 0.050" in text
    assert "failed      grad_cam, lime" in text
    assert "PROBLEM" not in text


def test_what_does_not_belong_together_is_a_problem_in_both_forms(registry, make):
    model = make(explained=False)
    registry.attach(model, {}, {"medkd.explanations": "e" * 64})
    shown = show_version(registry, model.uri)
    assert shown["problems"] == ["the explanations eeeeeeeeeeee are gone"]
    assert "PROBLEM     the explanations eeeeeeeeeeee are gone" in version_text(shown)


def test_knowledge_has_no_network_to_show(registry, make):
    shown = show_version(registry, make(name="r-knowledge", role=Role.KNOWLEDGE).uri)
    assert (shown["role"], shown["aliases"], "task" in shown) == ("knowledge", [], False)
    assert "aliases     none" in version_text(shown)


def test_an_event_is_a_line_that_says_where_it_stopped():
    first = PromotionEvent(number=1, kind="promotion", version=2, verdict="0123456789ab", done=True)
    back = PromotionEvent(number=2, kind="rollback", version=1, before=2)
    assert event_text(first) == "   1  promotion  version 2 instead of no champion, verdict 0123456789ab"
    assert event_text(back) == "   2  rollback   version 1 instead of version 2 (not finished)"


def test_a_version_says_what_it_was_trained_on_and_under_which_terms(registry, make):
    shown = show_version(registry, make().uri)
    assert "trained on  data that its recipe does not name" in version_text(shown)
    data = {"name": "A set", "modality": "MR", "body_part": "hippocampus", "licence": "CC-BY-SA-4.0"}
    said = version_text({**shown, "data": data, "patients": ["S1", "S2"]})
    assert "trained on  A set (MR, hippocampus), CC-BY-SA-4.0; 2 patients named" in said
