"""The page in a real browser, with a finding whose place and maps are known."""

from __future__ import annotations

import dataclasses
import re

import pytest

from medkd.review.caveats import compute_caveats


@pytest.fixture
def page(open_page, report, arrays):
    return open_page(report, arrays)


def lock(page):
    page.check("input[value=present]")
    page.click("#lock")


def shown(page, role):
    """Return whether the pane of a role shows heat, and how many outlines."""
    pane = page.locator(f".pane[data-role={role}]")
    return pane.locator(".heat").is_visible(), pane.locator("svg path").count()


def test_nothing_is_asked_of_the_network_and_the_console_stays_silent(page):
    lock(page)
    for key in ("h", "ArrowDown", "ArrowUp", "PageDown", "PageUp", "n", "p", "h"):
        page.keyboard.press(key)
    for button in page.locator("button.go").all():
        button.click()
    assert [url for url in page.requests if not url.startswith(("file:", "data:"))] == []
    assert len([url for url in page.requests if url.startswith("file:")]) == 1
    assert page.problems == []


def test_the_banner_stays_in_sight(page):
    lock(page)
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    assert 0 <= page.locator(".banner").first.bounding_box()["y"] < 40


def test_the_own_read_comes_first_and_nothing_gives_the_answer_away(page):
    assert page.locator("#lock").is_disabled()
    assert page.locator(".ai:visible").count() == 0
    assert page.locator("svg path").count() == 0
    assert page.locator("#where").inner_text().startswith("slice 7 of 12"), "the middle, not the key slice of the finding"
    page.keyboard.press("h")
    assert page.locator(".heat:visible").count() == 0
    lock(page)
    assert page.locator("#findings").is_visible()
    assert page.locator("#where").inner_text().startswith("slice 5 of 12")
    assert page.locator("input[name=read]").first.is_disabled()
    assert "present" in page.locator("#locked").inner_text()


def test_heat_is_off_until_it_is_asked_for_and_all_panes_show_the_same_slice(page):
    lock(page)
    assert not any(shown(page, role)[0] for role in ("plain", "student", "teacher", "difference"))
    page.keyboard.press("h")
    assert [shown(page, role)[0] for role in ("plain", "student", "teacher", "difference")] == [False, True, True, True]
    assert page.locator("#scale").is_visible()
    assert page.locator("#high").inner_text() == page.locator("#low").inner_text().replace("−", "")
    assert len(set(page.locator(".pane:not([data-plane]) .base").evaluate_all("all => all.map(i => i.src)"))) == 1
    page.keyboard.press("h")
    assert not page.locator("#scale").is_visible()


def test_outlines_of_student_teacher_and_reference_are_drawn_where_the_lesion_is(page):
    lock(page)
    assert shown(page, "plain")[1] == 3
    assert shown(page, "student")[1] == 1
    pane = page.locator(".pane[data-role=plain] .stack").bounding_box()
    outline = page.locator(".pane[data-role=plain] svg path.student").bounding_box()
    # The lesion of the fixture spans columns 12 to 24 of 48 and rows 10 to 20 of 40.
    assert (outline["x"] - pane["x"]) / pane["width"] == pytest.approx(12 / 48, abs=0.02)
    assert (outline["y"] - pane["y"]) / pane["height"] == pytest.approx(10 / 40, abs=0.02)
    assert outline["width"] / pane["width"] == pytest.approx(12 / 48, abs=0.03)
    page.keyboard.press("PageDown")
    assert shown(page, "plain")[1] == 0


def test_jumps_go_to_the_lesion_and_to_the_focus_outside(page):
    lock(page)
    page.locator("#findings button.go[data-spot]").click()
    assert page.locator("#where").inner_text().startswith("slice 2 of 12")
    assert page.locator("svg path.spot").count() == 4
    page.locator("#findings button.go:not([data-spot])").click()
    assert page.locator("#where").inner_text().startswith("slice 5 of 12")
    assert page.locator("svg path.spot").count() == 0


def test_keys_turn_the_slices_and_stop_at_the_ends(page):
    first = page.locator(".base").first.get_attribute("src")
    page.keyboard.press("ArrowDown")
    assert page.locator(".base").first.get_attribute("src") != first
    page.keyboard.press("PageDown")
    assert page.locator("#where").inner_text().startswith("slice 12 of 12")
    page.keyboard.press("ArrowDown")
    assert page.locator("#where").inner_text().startswith("slice 12 of 12")


def test_a_voxel_has_the_proportions_of_its_spacing(page):
    box = page.locator(".pane .stack").first.bounding_box()
    assert box["width"] / box["height"] == pytest.approx(48 / 40, rel=0.01)


def test_a_narrow_window_has_one_column(page):
    lock(page)
    page.set_viewport_size({"width": 700, "height": 900})
    boxes = [pane.bounding_box() for pane in page.locator(".pane:visible").all()]
    assert len({round(box["x"]) for box in boxes}) == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= 700


def test_a_study_without_a_finding_can_be_read_too(open_page, nothing_found, arrays):
    page = open_page(nothing_found, arrays)
    lock(page)
    page.keyboard.press("n")
    page.keyboard.press("h")
    assert page.locator("#findings").inner_text().count("no lesion") == 1
    assert "does not say that nothing is there" in page.locator("#summary").inner_text()
    assert page.problems == []


def test_an_attack_in_a_record_does_not_run(open_page, report, arrays, change):
    evil = report.volume.model_copy(update={"origin": "<img src=x onerror=alert(1)>", "class_label": "<script>alert(1)</script>"})
    page = open_page(change(report, volume=evil), arrays)
    lock(page)
    assert page.locator("img:not(.base):not(.heat)").count() == 0
    assert [url for url in page.requests if not url.startswith(("file:", "data:"))] == []
    assert page.problems == []


def test_heat_that_failed_a_test_says_so_on_its_pane_and_only_while_it_is_shown(open_page, report, arrays, change):
    page = open_page(change(report, failed=("randomisation",)), arrays)
    lock(page)
    assert page.locator(".failed:visible").count() == 0
    page.keyboard.press("h")
    assert page.locator(".failed:visible").all_inner_texts() == ["failed: randomisation"] * 3
    page.keyboard.press("h")
    assert page.locator(".failed:visible").count() == 0


def test_one_can_go_to_what_the_teacher_alone_marks_without_leaving_the_lesion(open_page, report, arrays, change):
    missed = report.explanations[0].lesions[0].model_copy(update={"key_slice": 10, "first_slice": 9, "last_slice": 11})
    page = open_page(change(report, teacher_only=(missed,)), arrays)
    lock(page)
    page.get_by_role("button", name="go to T1").click()
    assert page.locator("#where").inner_text().startswith("slice 11 of 12")
    assert page.locator("#lesion").input_value() == "0"
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("n")
    assert page.locator("#where").inner_text().startswith("slice 5 of 12"), "the only lesion of the student"
    assert page.problems == []


def test_each_finding_offers_the_explainers_of_its_own_model(open_page, of_a_panel):
    page = open_page(*of_a_panel)
    lock(page)
    options = page.locator("#explainer option")
    assert options.all_inner_texts() == ["grad_cam"]
    page.keyboard.press("h")
    first = page.locator(".pane[data-role=student] .heat").get_attribute("src")
    page.select_option("#lesion", "1")
    assert options.all_inner_texts() == ["cam", "saliency"]
    page.select_option("#explainer", "saliency")
    assert page.locator(".pane[data-role=student] .heat").get_attribute("src") not in (None, first)
    page.locator("#findings").get_by_role("button", name="go to lesion 1").click()
    assert page.locator("#explainer").input_value() == "grad_cam"
    assert page.problems == []


def latin(text):
    """Return the words in Latin letters of what is seen, without names and digests of the record."""
    return set(re.findall(r"[A-Za-z]{4,}", text))


def test_the_whole_page_changes_its_language_and_back(open_page, report, arrays):
    page = open_page(report.model_copy(update={"caveats": compute_caveats(report.explanations)}), arrays)
    lock(page)
    page.keyboard.press("h")
    english = page.locator("main").inner_text()
    page.get_by_text("中文").click()
    assert page.evaluate("document.documentElement.lang") == "zh-Hans"
    assert page.locator("#where").inner_text().startswith("第 5 层，共 12 层")
    assert page.locator("#lesion option").inner_text() == "病灶 1"
    assert page.locator(".base").nth(1).get_attribute("alt") == "层面，学生模型"
    assert page.locator("#locked").inner_text().split() == ["读片判断已锁定：", "有"]
    assert page.locator(".banner").inner_text().startswith("仅供研究使用")
    seen = page.locator("main").inner_text()
    assert latin(seen) <= {"Dice", "PgUp", "PgDn", "Shift", "grad", "logit", "softmax", "UNVERIFIED", "VERIFIED", "phantom"}
    page.locator("#language-zh").press("ArrowLeft")
    assert page.locator("main").inner_text() == english
    assert not re.search(r"[\u4e00-\u9fff]", english)
    assert page.problems == []


def test_the_language_changes_without_scripts_too(open_page, report, arrays, tmp_path):
    open_page(report, arrays)
    page = open_page.browser.new_context(java_script_enabled=False).new_page()
    page.goto((tmp_path / "report.html").as_uri())
    assert page.locator("h1").inner_text() == f"Study {report.volume.study_key}"
    page.get_by_text("中文").click()
    assert page.locator("h1").inner_text() == f"检查 {report.volume.study_key}"
    assert page.locator(".ai:visible").count() == 0


def test_an_address_can_ask_for_chinese(open_page, report, arrays, tmp_path):
    open_page(report, arrays)
    page = open_page.browser.new_page()
    page.goto((tmp_path / "report.html").as_uri() + "#zh")
    page.wait_for_selector("body[data-ready]")
    assert page.locator("#h-images").inner_text() == "图像"


def test_the_first_screen_follows_the_own_read_and_leads_to_the_slices(open_page, report, arrays, change):
    missed = report.explanations[0].lesions[0].model_copy(update={"key_slice": 10, "first_slice": 9, "last_slice": 11})
    page = open_page(change(report, lesion={"share_in_teacher": 0.02}, teacher_only=(missed,)), arrays)
    assert not page.locator("#summary").is_visible()
    lock(page)
    assert page.evaluate("document.activeElement.id") == "summary"
    assert page.locator("#summary h2").bounding_box()["y"] < 120
    assert "Only the student marks lesion 1" in page.locator("#summary .first").inner_text()
    page.get_by_role("button", name="which only the teacher marks").click()
    assert page.locator("#where").inner_text().startswith("slice 11 of 12")
    assert page.problems == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_in_print_the_banner_covers_nothing_and_no_slice_is_cut(page, language):
    lock(page)
    page.locator(f"label[for=language-{language}]").click()
    page.emulate_media(media="print")
    banner, title = page.locator(".banner").bounding_box(), page.locator("h1").bounding_box()
    assert banner["y"] + banner["height"] <= title["y"]
    # A header group of a table is repeated on every page.
    assert page.evaluate("getComputedStyle(document.querySelector('.banner')).display") == "table-header-group"
    cut = "all => all.map(one => getComputedStyle(one).breakInside)"
    for kept in ("figure", ".panes", "tr", "#summary li"):
        assert set(page.locator(kept).evaluate_all(cut)) == {"avoid"}, kept
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert not page.locator(".languages").is_visible()
    assert page.pdf(prefer_css_page_size=True)[:5] == b"%PDF-"


def test_of_a_classifier_alone_the_reader_is_asked_its_classes(open_page, of_a_panel):
    both, arrays = of_a_panel
    page = open_page(
        both.model_copy(update={"explanations": both.explanations[1:]}), dataclasses.replace(arrays, explained=arrays.explained[1:])
    )
    assert [text.strip() for text in page.locator("#own-read label").all_inner_texts()] == ["benign", "malignant", "unsure"]
    page.check("input[value=malignant]")
    page.click("#lock")
    assert "malignant" in page.locator("#locked").inner_text()
    assert page.problems == []
