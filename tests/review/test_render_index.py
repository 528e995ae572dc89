from __future__ import annotations

import base64
import hashlib
import re

import pytest

from data_contracts import RefusedSeries
from medkd.review.render_index import IndexRow, agreement_of, render_index
from medkd.review.texts import text_of
from tests.review.language import in_language, visible


def agreement_text(report, language="en"):
    return text_of(agreement_of(report), language)


def test_every_page_is_linked_and_every_refusal_has_its_reason(report):
    refused = (RefusedSeries(series_key="s9", code="GRID_MISMATCH", reason="expected <64> pixels"),)
    page = render_index([IndexRow("s1/report.html", report)], refused)
    assert 'href="s1/report.html"' in page
    assert "GRID_MISMATCH" in page
    assert "expected &lt;64&gt; pixels" in page
    assert "RESEARCH USE ONLY" in page
    assert page == render_index([IndexRow("s1/report.html", report)], refused)


def test_nothing_but_its_own_style_is_allowed(report):
    page = render_index([IndexRow("p", report)], ())
    (style,) = re.findall(r"<style>(.*?)</style>", page, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"sha256-{digest}" in page.replace("&#43;", "+").replace("&#39;", "'").replace("&#x3D;", "=")
    assert "<script" not in page
    assert "default-src" in page


@pytest.mark.parametrize(
    ("share", "missed", "said"),
    [(0.8, False, "teacher agrees on 1"), (0.0, False, "only the student: 1"), (0.8, True, "teacher agrees on 1; only the teacher: 1")],
)
def test_lesions_are_counted_by_who_marks_them(report, change, share, missed, said):
    one = report.explanations[0]
    alone = (one.lesions[0].model_copy(update={"tracking_id": "teacher-1"}),) if missed else ()
    changed = change(report, lesion={"share_in_teacher": share}, teacher=one.model, teacher_only=alone)
    assert agreement_text(changed) == said


def test_answers_are_counted_by_what_the_teacher_answers(of_a_panel, report):
    both = of_a_panel[0]
    with_teacher = tuple(one.model_copy(update={"teacher": one.model}) for one in both.explanations)
    assert "teacher gives 0 of 1 answers too" in agreement_text(both.model_copy(update={"explanations": with_teacher}))


def test_without_a_teacher_or_a_finding_there_is_nothing_to_compare(report, change):
    assert agreement_text(change(report, teacher=None)) == "no teacher to compare with"
    nothing = change(report, teacher=report.explanations[0].model, lesions=(), maps=(), teacher_only=())
    assert agreement_text(nothing) == "nothing to compare"


def test_the_index_is_in_both_languages(report, change):
    page = render_index([IndexRow("p", change(report, teacher=report.explanations[0].model, lesion={"share_in_teacher": 0.8}))], ())
    assert "Reports: 1 written, 0 refused" in in_language(page, "en")
    assert "报告：已生成 1 份，拒绝 0 份" in in_language(page, "zh")
    assert "教师模型一致：1" in in_language(page, "zh")
    assert not re.search(r"[\u4e00-\u9fff]", visible(in_language(page, "en").split("<body>")[1].replace("中文", "")))
