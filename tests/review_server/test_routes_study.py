from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image
from review_clients import Browser, one_report

from data_contracts.feedback import Feedback, OwnRead
from medkd.pictures.colours import grey

#: What stands in a page only once the own read is locked: findings, outlines, maps, caveats, and places of any of them.
OF_MODELS = ("lesion 1", "lesion-1", "grad_cam", "small lesion", "0.40", 'outlines":{"', "Reference label", "M12", 'id="sign-off"')


def records(services):
    return [entry.record for entry in services.log.entries()]


def test_nothing_of_a_model_is_sent_before_the_own_read_is_locked(anna, services):
    before = anna.get("/study/series-000")
    assert before.status_code == 200
    assert not [text for text in OF_MODELS if text in before.text]
    assert '"heat":[]' in before.text
    assert '"outlines":{}' in before.text
    heat = "/study/series-000/heat/0/grad_cam/student/axial/4"
    assert anna.client.get(heat).status_code == 409
    assert anna.client.get("/study/series-000/slice/axial/4").status_code == 200
    after = anna.read("series-000")
    assert [text for text in OF_MODELS if text not in after.text] == []
    assert anna.client.get(heat).status_code == 200
    (own,) = records(services)
    assert isinstance(own, OwnRead)
    assert (own.read.answer, own.read.seconds, own.language) == ("present", 4.2, "en")
    assert own.reviewer_key == services.accounts.find("anna").reviewer_key


def test_pages_before_the_own_read_do_not_differ_by_what_was_found(anna):
    texts = [anna.get(f"/study/series-00{place}").text for place in (0, 1)]
    plain = [
        re.sub(r'value="[^"]*"|series-\d+|study-\d+|patient-\d+|<code>[0-9a-f]+</code>|"levels":\[[^a-z]*|"(low|high)":[-0-9.e]+', "", text)
        for text in texts
    ]
    assert plain[0] == plain[1]


def test_an_own_read_stands_whatever_is_sent_after_it(anna, address, services):
    anna.read("series-000", "absent")
    again = anna.client.post("/study/series-000/own-read", data={"csrf": anna.token, "read": "present"})
    assert again.status_code == 200
    assert [one.read.answer for one in records(services)] == ["absent"]
    fresh = Browser(address, "anna").get("/study/series-000").text
    assert re.search(r'value="absent" required checked disabled', fresh), "a reload, or another browser, keeps it"
    assert Browser(address, "ben").get("/study/series-000").text.count('id="sign-off"') == 0, "it is one reader's own"


def test_an_answer_that_the_page_does_not_offer_locks_nothing(anna, services):
    for answer in ("", "x" * 81, "certainly"):
        assert anna.read("series-000", answer).status_code == 422
    assert records(services) == []


def test_a_sign_off_is_kept_once_however_often_it_is_sent(anna, services):
    anna.read("series-000")
    form = anna.filled(comment="Reads well.")
    answers = [anna.sign("series-000", form) for _ in range(2)]
    assert [one.status_code for one in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    said = [one for one in records(services) if isinstance(one, Feedback)]
    assert len(said) == 1
    assert said[0].comment == "Reads well."
    assert said[0].own_read == services.log.entries()[0].digest()
    assert "You signed this at" in anna.get("/study/series-000").text


def test_a_correction_supersedes_and_a_second_form_without_doing_so_is_refused(anna, services):
    anna.read("series-000")
    assert anna.sign("series-000", anna.filled()).status_code == 200
    anna.get("/study/series-000")
    assert anna.sign("series-000", anna.filled(supersedes=None, form="0" * 32)).json()["code"] == "FEEDBACK_GIVEN"
    corrected = anna.filled(decision="reject")
    assert corrected["supersedes"]
    assert anna.sign("series-000", corrected).status_code == 200
    assert [one.decision for one in records(services)[1:]] == ["accept", "reject"]
    assert re.search(r'value="reject" checked', anna.get("/study/series-000").text)


@pytest.mark.parametrize(
    ("changes", "code", "named"),
    [
        ({"verdicts": []}, "FEEDBACK_VERDICTS", "lesion-1"),
        ({"decision": ""}, "FEEDBACK_FORM", "decision"),
        ({"likert": {"understandable": 4}}, "FEEDBACK_FORM", "plausible"),
        ({"comment": "x" * 2001}, "FEEDBACK_FORM", "2000"),
        ({"comment": "Seen with Mr. Smith on 2024-03-05"}, "IDENTIFIER_IN_TEXT", "comment"),
        ({"report": "0" * 64}, "FEEDBACK_REPORT", "report"),
        ({"form": "x"}, "FEEDBACK_FORM", "form"),
        ({"more": 1}, "FEEDBACK_FORM", "more"),
        ({"missed": [{"shape": [1, 2, 3], "runs": [[0, 1]]}]}, "FEEDBACK_MASK", "missed"),
        ({"own_read": {"answer": "absent", "seconds": 1}}, "OWN_READ_LOCKED", "present"),
    ],
)
def test_what_is_not_kept_says_why_and_saves_nothing(anna, services, changes, code, named):
    anna.read("series-000")
    answer = anna.sign("series-000", anna.filled(**changes))
    assert answer.status_code in (409, 422)
    assert answer.json()["code"] == code
    assert named in answer.json()["message"]
    assert "Smith" not in answer.text
    assert len(records(services)) == 1, "the own read alone"


def test_a_script_in_a_comment_is_text_on_every_page(anna):
    anna.read("series-000")
    assert anna.sign("series-000", anna.filled(comment="<script>alert(1)</script>")).status_code == 200
    text = anna.get("/study/series-000").text
    assert "&lt;script&gt;alert(1)" in text
    assert "<script>alert(1)" not in text


def test_a_post_without_the_token_is_refused(anna, services):
    anna.get("/study/series-000")
    for token in ("", "x", anna.token[:-1]):
        assert anna.client.post("/study/series-000/own-read", data={"csrf": token, "read": "present"}).status_code == 403
    anna.read("series-000")
    for token in ("", "x"):
        assert anna.sign("series-000", anna.filled(), token=token).status_code == 403
    assert len(records(services)) == 1


def test_who_is_not_logged_in_sees_nothing(address):
    browser = Browser(address)
    for path in ("/", "/study/series-000", "/scale", "/admin"):
        page = browser.get(path)
        assert page.url.path == "/login"
        assert "series-000" not in page.text.replace(path, "")
    for path in ("/study/series-000/slice/axial/0", "/study/series-000/heat/0/grad_cam/student/axial/0"):
        assert browser.client.get(path, follow_redirects=False).status_code == 303
    answer = browser.client.post("/study/series-000/feedback", json={}, headers={"Accept": "application/json"})
    assert answer.status_code == 401


def test_slices_are_in_full_resolution_and_as_the_planes_are_drawn(anna):
    report, arrays = one_report(0, lesions=2)
    found = anna.client.get("/study/series-000/slice/axial/4")
    assert found.headers["content-type"] == "image/png"
    assert found.headers["cache-control"] == "no-store"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(found.content))), grey(arrays.volume[4], report.window))
    from medkd.review.orientation_marks import views_of

    for view in views_of(report.volume.geometry)[1:]:
        content = anna.client.get(f"/study/series-000/slice/{view.name}/7").content
        expected = grey(np.ascontiguousarray(view.slice_of(arrays.volume, 7)), report.window)
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(content))), expected), view.name
    same = anna.client.get("/study/series-000/slice/axial/4", headers={"If-None-Match": found.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    for path in ("axial/12", "axial/-1", "frame/0", "axial/x", "nowhere/0"):
        assert anna.client.get(f"/study/series-000/slice/{path}").status_code == 404


def test_a_study_that_is_none_is_not_found(anna):
    for key in ("nowhere", "..%2f..%2fetc", "series-000%00"):
        assert anna.get(f"/study/{key}").status_code == 404


def test_without_scripts_everything_is_sent_as_forms(anna, services):
    page = anna.read("series-000")
    assert re.search(r'<noscript>\s*<section class="plain-slice"', page.text)
    assert re.search(r"/study/series-000\?plane=axial&amp;slice=7", page.text)
    assert '/slice/axial/3"' in anna.get("/study/series-000?plane=axial&slice=3").text
    fields = dict(
        re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', anna.page.text[anna.page.text.index('id="feedback"') :])
    )
    answers = {
        **fields, "decision": "correct", "comment": "None.", "reasons.lesion-1": ["MAP_OUTSIDE", "UNCLEAR"],
        "prediction.lesion-1": "agree", "explanation.lesion-1": "rejected", "prediction.lesion-2": "unsure", "explanation.lesion-2": "not_judged",
        "likert.understandable": "1", "likert.plausible": "2", "likert.certainty_fits": "3", "likert.useful": "5",
    }  # fmt: skip
    lacking = {name: value for name, value in answers.items() if name != "prediction.lesion-2"}
    refused = anna.client.post("/study/series-000/feedback", data=lacking)
    assert refused.status_code == 422
    assert "lesion-2.prediction" in refused.text
    assert "Nothing was saved" in refused.text
    for _ in range(2):
        assert anna.client.post("/study/series-000/feedback", data=answers).status_code == 200
    _, said = records(services)
    assert said.verdicts[0].reasons == ("MAP_OUTSIDE", "UNCLEAR")
    assert said.likert["useful"] == 5
    assert said.seconds_on_page >= 4.2


def test_the_worklist_shows_how_far_a_reader_is_and_nothing_of_what_was_found(anna):
    anna.read("series-001")
    anna.sign("series-001", anna.filled())
    anna.read("series-002")
    text = anna.get("/").text
    assert list(re.findall(r'<tr class="status-(\w+)"', text)) == ["own_read", "unread", "signed"]
    assert "lesion" not in text
    assert re.findall(r'<tr class="status-(\w+)"', anna.get("/?status=signed").text) == ["signed"]
    assert re.findall(r">(study-\d+)<", anna.get("/?text=Y-000").text) == ["study-000"]
    assert re.findall(r">(study-\d+)<", anna.get("/?modality=MR&priority=2").text) == []
    assert anna.get("/?number=x").status_code == 404


def test_a_reader_may_not_look_at_what_readers_did(anna):
    assert anna.get("/admin").status_code == 403
    assert anna.post("/admin/round", after="1").status_code == 403
    assert "/admin" not in anna.get("/").text
