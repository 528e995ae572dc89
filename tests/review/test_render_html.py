from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import re
from importlib.resources import files

import numpy as np
import pytest
from PIL import Image

from data_contracts import BANNER, DataError, ReviewReport, read_record
from medkd.explanation.wording import MEASURES_IN_WORDS
from medkd.review import render_html as render
from medkd.review.render_html import render_html
from medkd.review.templating import source
from medkd.wording import FORBIDDEN
from tests.review.language import in_language, visible


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S).group(1))


def english(report, arrays):
    return in_language(render_html(report, arrays), "en")


def test_the_same_report_gives_the_same_bytes(report, arrays):
    again = read_record(report.canonical_json(), ReviewReport)
    assert render_html(report, arrays) == render_html(again, arrays)


def test_the_page_says_what_it_is_and_names_its_sources(report, arrays):
    page = render_html(report, arrays)
    assert page.count(BANNER) >= 2
    assert "STATUS: UNVERIFIED" in page
    assert report.digest()[:16] in page
    one = report.explanations[0]
    assert one.digest()[:12] in page
    for model in (one.model, one.teacher):
        assert model.name in page
        assert model.manifest_digest[:12] in page


def test_the_policy_names_the_style_and_the_script_by_their_digests_and_nothing_else(report, arrays):
    page = render_html(report, arrays)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page).group(1).replace("&#39;", "'")
    for kind, found in (
        ("style-src", re.findall(r"<style>(.*?)</style>", page, re.S)),
        ("script-src", re.findall(r"<script>(.*?)</script>", page, re.S)),
    ):
        digests = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in found]
        assert len(digests) >= 2
        assert f"{kind} {' '.join(digests)};" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert not re.search(r"\son\w+=|\sstyle=", page)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page)


def test_generated_text_persuades_nobody(report, arrays):
    text = visible(render_html(report, arrays)).lower()
    assert not [word for word in FORBIDDEN if re.search(rf"\b{word}", text)]


def pixels_of(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))


def test_heat_has_one_symmetric_scale_for_student_teacher_and_difference(report, arrays):
    heat = data_of(render_html(report, arrays))["heat"][0]["grad_cam"]
    limit = max(float(np.abs(arrays.explained[0][f"map/1/{role}/grad_cam"]).max()) for role in ("student", "teacher"))
    assert float(heat["limit"]) == pytest.approx(limit, rel=0.01)
    student = arrays.explained[0]["map/1/student/grad_cam"][4]
    pixels = np.asarray(pixels_of(heat["planes"]["student"]["axial"]["4"]).convert("RGBA")).astype(int)
    positive, negative = pixels[student > 0.3 * limit], pixels[student < -0.3 * limit]
    assert (positive[:, 0] > positive[:, 2]).all()
    assert (negative[:, 2] > negative[:, 0]).all()
    assert (pixels[student == 0][:, 3] == 0).all()
    assert "0" not in heat["planes"]["student"]["axial"]
    assert set(heat["planes"]) == {"student", "teacher", "difference"}


def test_a_study_without_a_finding_has_a_page_too(nothing_found, arrays):
    page = render_html(nothing_found, arrays)
    assert "segments no lesion" in page
    assert data_of(page)["heat"] == []


def test_an_explainer_that_failed_its_check_is_marked(report, arrays, change):
    page = english(change(report, failed=("randomisation",)), arrays)
    passed = english(report, arrays)
    assert "<em>failed: randomisation</em>" in page
    assert "<em>failed" not in passed
    heats = [data_of(one)["heat"][0]["grad_cam"] for one in (page, passed)]
    assert [one["mark"] for one in heats] == [{"en": "failed: randomisation", "zh": "未通过：随机化"}, {"en": "", "zh": ""}]
    pale, full = (colours_of(one["planes"]["student"]["axial"]["4"]) for one in heats)
    assert pale.max() < 0.5 * full.max()


def colours_of(uri):
    """Return how far apart red, green and blue are in each pixel of an embedded picture."""
    pixels = np.asarray(pixels_of(uri).convert("RGBA")).astype(int)
    return pixels[..., :3].max(-1) - pixels[..., :3].min(-1)


def test_each_row_says_early_whether_the_teacher_agrees_and_what_it_alone_marks_has_a_table(report, arrays, change):
    def row(share):
        page = english(change(report, lesion={"share_in_teacher": share}), arrays)
        return re.findall(r"<td[^>]*>([^<]*)</td>", page[page.index("<tbody>") :])[:2]

    assert [row(share) for share in (0.8, 0.09, None)] == [["1", "teacher agrees"], ["1", "only the student"], ["1", "no teacher"]]
    missed = report.explanations[0].lesions[0].model_copy(update={"volume_ml": 7.25, "side": "right"})
    page = english(change(report, teacher_only=(missed,)), arrays)
    assert "7.25" in page[page.index('id="teacher-only"') :]
    assert "Only the teacher marks T1: on the patient&#39;s right, 7.25 ml" in page
    assert "Only the teacher marks" not in english(report, arrays)


def test_a_panels_page_shows_what_the_segmenter_found_and_what_the_classifier_answered(of_a_panel):
    report, arrays = of_a_panel
    page = render_html(report, arrays)
    data = data_of(page)
    assert data["explainers"] == [["grad_cam"], ["cam", "saliency"]]
    # Both have a first finding: their maps lie in arrays of their own.
    limits = [float(data["heat"][place][name]["limit"]) for place, name in ((0, "grad_cam"), (1, "cam"), (1, "saliency"))]
    assert limits[1:] == pytest.approx([2 * limits[0], 3 * limits[0]], rel=0.02)
    page = in_language(page, "en")
    answers = visible(page[page.index('id="answers"') :])
    assert "teacher: benign" in answers
    assert "benign 0.20" in answers
    assert "classifier" in visible(page)


def test_every_measure_that_is_shown_has_its_legend_in_the_words_of_the_tables(report, arrays):
    page = english(report, arrays)
    headings = re.findall(r"<th>([^<]*)</th>", page[page.index('id="maps"') :].split("</thead>")[0])[3:-1]
    legend = page[page.index('class="legend-of-measures') :].split("</dl>")[0]
    words = dict(MEASURES_IN_WORDS.values())
    assert headings == ["inside", "points", "cosine", "teacher"]
    for heading in headings:
        assert f"<dt>{heading}</dt><dd>{html.escape(words[heading], quote=False)}".replace("'", "&#39;") in legend
    assert "positive part" in page


def test_text_in_a_record_cannot_become_markup(report, arrays, change):
    evil = change(report, volume=report.volume.model_copy(update={"origin": "<script>alert(1)</script>", "class_label": "</script><b>"}))
    page = render_html(evil, arrays)
    assert "<script>alert" not in page
    assert "</script><b>" not in page


def test_a_page_that_would_be_too_large_is_refused(report, arrays, monkeypatch):
    monkeypatch.setattr(render, "MOST_BYTES", 10_000)
    with pytest.raises(DataError) as caught:
        render_html(report, arrays)
    assert caught.value.code == "PAGE_TOO_LARGE"


def test_every_template_style_and_script_is_part_of_a_page():
    names = {path.name for path in files("medkd.review").joinpath("templates").iterdir()}
    included = set(re.findall(r'"(\w+\.html)"', "".join(source(name) for name in names if name.endswith(".html"))))
    assert names - {"report.html", "index.html", "paper.html", "paper.css"} <= included | set(render.STYLES) | set(render.SCRIPTS)


def test_a_page_of_anatomy_calls_nothing_a_lesion_or_a_finding(report, arrays):
    """A healthy organ is not presented as something that was found, and the reader is asked what the model answers."""
    one = report.explanations[0]
    lesion = one.lesions[0].model_copy(update={"class_name": "anterior"})
    anatomy = one.model_copy(
        update={"structures": "anatomy", "trained_on": "MR, hippocampus", "lesions": (lesion,), "teacher_only": (), "sanity_reports": ()}
    )
    text = visible(english(report.model_copy(update={"explanations": (anatomy,), "caveats": ()}), arrays))
    assert "Trained on MR, hippocampus" in " ".join(text.split())
    for words in (
        "Anatomy (MR, hippocampus)",
        "wholly in these slices",
        "Segmented anatomy",
        "structure 1",
        "nothing of whether that is healthy",
    ):
        assert words in text, words
    assert not re.findall(r"(?i)lesion|finding", text)
    lesions = visible(english(report, arrays))
    assert "Findings" in lesions
    assert "Trained on" not in lesions
