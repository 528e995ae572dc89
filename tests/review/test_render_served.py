from __future__ import annotations

import re

import pytest
from review_clients import one_report

from medkd.review.form import empty_form
from medkd.review.render_served import ServedPage, plain_slices, render_served
from medkd.review.served_data import served_data
from medkd.review.study_file import NAME, open_study_file, write_study_file


@pytest.fixture
def render(tmp_path):
    report, arrays = one_report(0)
    file = open_study_file(write_study_file(tmp_path / NAME, report, arrays))

    def made(answer="", language="en"):
        served = ServedPage("/study/x", language, "1.x", answer, plain_slices(report, "", None))
        return render_served(report, served_data(report, file, "/study/x", locked=bool(answer)), [], empty_form(report), served)

    return made


def test_parts_come_by_address_and_nothing_stands_in_the_page(render):
    page = render()
    assert "<style" not in page
    assert not re.findall(r"<script(?! (?:src|type=\"application/json\"))", page)
    assert not re.findall(r' (?:on\w+|style)="', page)
    assert "Content-Security-Policy" not in page, "the server sends it as a header"


def test_what_was_found_is_in_the_page_only_after_the_own_read(render):
    before, after = render(), render("present")
    for name in ("summary", "caveats", "findings", "similar", "sign-off", "drawing", "reliability"):
        assert f'id="{name}"' not in before, name
    for name in ("summary", "caveats", "findings", "similar", "sign-off", "drawing"):
        assert f'id="{name}"' in after, name
    assert before.count('class="pane') < after.count('class="pane')
    assert 'value="present" required checked disabled' in after


def test_a_page_begins_in_the_language_that_was_chosen(render):
    assert re.search(r'value="zh" checked', render(language="zh"))
    assert not re.search(r'value="en" checked', render(language="zh"))


def test_slices_without_scripts_stay_within_the_study():
    report, _ = one_report(0)
    first, *others = plain_slices(report, "axial", 99)
    assert (first.plane, first.index, first.following, first.previous) == ("axial", 11, None, 10)
    assert [one.index for one in others] == [20, 24]
    assert plain_slices(report, "axial", -5)[0].previous is None
    assert first.height == round(512 * 40 / 48)
