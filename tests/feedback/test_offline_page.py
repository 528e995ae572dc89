"""What a page that is a file saves becomes, imported, the record that the same page served keeps: both filled in by hand in a browser."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher
from review_clients import PASSWORD, one_report, running, with_accounts, write_studies

from data_contracts import Feedback, OwnRead
from medkd.feedback.import_forms import import_forms, reports_in
from medkd.feedback.keep import Reviewer
from medkd.feedback.log import FeedbackLog
from medkd.review.render_html import render_html
from medkd.review_server import accounts
from medkd.review_server.app import create_app
from medkd.review_server.settings import ServerSettings

COMMENT = "The map lies on the rib, 右侧肋骨."


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1360, "height": 900}, accept_downloads=True)
    yield context.new_page()
    context.close()


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Return the address of a server of one study, its reports and its application."""
    monkeypatch.setattr(accounts, "HASHER", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    reports = write_studies(tmp_path / "reports", 1, lesions=2)
    app = with_accounts(create_app(ServerSettings(reports, tmp_path / "data")))
    with running(app) as address:
        yield address, reports, app


def read_and_fill(page):
    """Answer the own read, then judge, draw and rate; the same on either page."""
    page.check("input[name=read][value=present]")
    page.click("#lock")
    page.wait_for_selector("#sign-off:visible")
    page.wait_for_selector("body[data-ready]")
    page.wait_for_load_state("networkidle")  # a served page brings its slices one by one, and moves as they come
    page.select_option("#draw-for", "lesion-1:forbidden")
    page.select_option("#tool", "polygon")
    canvas = page.locator("canvas.drawing")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    for across, down in ((0.2, 0.2), (0.7, 0.25), (0.4, 0.8)):
        page.mouse.click(box["x"] + across * box["width"], box["y"] + down * box["height"])
    page.click("#close-polygon")
    page.wait_for_selector('#drawn:not(:text-is("0"))')
    choices = {
        "decision": "correct", "prediction.lesion-1": "agree", "explanation.lesion-1": "corrected", "prediction.lesion-2": "unsure",
        "explanation.lesion-2": "not_judged", "likert.understandable": "4", "likert.plausible": "2", "likert.certainty_fits": "3", "likert.useful": "1",
    }  # fmt: skip
    for name, value in choices.items():
        page.check(f'input[name="{name}"][value="{value}"]')
    page.locator('.verdict[data-finding="lesion-1"] summary').click()
    page.check('input[name="reasons.lesion-1"][value="MAP_OUTSIDE"]')
    page.fill("#comment", COMMENT)


@pytest.mark.extended
def test_a_saved_form_becomes_the_record_that_a_server_keeps(page, served, tmp_path):
    address, folder, app = served
    report, arrays = one_report(0, lesions=2)
    (tmp_path / "report.html").write_text(render_html(report, arrays), encoding="utf-8")
    page.goto((tmp_path / "report.html").as_uri())
    read_and_fill(page)
    with page.expect_download() as saved:
        page.click("#save")
    saved.value.save_as(tmp_path / "saved.json")
    page.goto(f"{address}/study/series-000")
    page.fill("input[name=name]", "anna")
    page.fill("input[name=password]", PASSWORD)
    page.press("input[name=password]", "Enter")
    page.wait_for_selector("#own-read")
    read_and_fill(page)
    page.click("#save")
    page.wait_for_selector(".signed")
    online = app.state.services.log.entries()

    reader = Reviewer(online[1].record.reviewer_key, online[1].record.reviewer_role)
    log = FeedbackLog(tmp_path / "offline")
    assert import_forms(log, [tmp_path / "saved.json"], reports_in(folder), reader).refused == ()
    offline = log.entries()
    assert [type(entry.record) for entry in offline] == [type(entry.record) for entry in online] == [OwnRead, Feedback]
    times = {"seconds_on_page", "seconds_with_overlay"}
    for one, other in zip(offline, online, strict=True):
        assert one.record.model_dump(exclude={"form", "own_read", "read", *times}) == other.record.model_dump(
            exclude={"form", "own_read", "read", *times}
        )
    assert offline[0].record.read.answer == online[0].record.read.answer == "present"
    said = offline[1].record
    assert (said.comment, said.verdicts[0].reasons) == (COMMENT, ("MAP_OUTSIDE",))
    assert sum(length for _, length in said.verdicts[0].masks[0].voxels.runs) > 50
    assert said.own_read == offline[0].digest()
