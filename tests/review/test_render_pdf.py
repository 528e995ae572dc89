"""A report on paper, by either engine: the banner on every page, Chinese that can be copied, tags, and metadata that name nobody."""

from __future__ import annotations

import importlib.util
import io
import os
import re
import shutil
from pathlib import Path

import pytest
from pypdf import PdfReader

from data_contracts import MissingDependencyError
from medkd.review import render_pdf as module
from medkd.review.caveats import compute_caveats
from medkd.review.render_pdf import render_paper, render_pdf, require_engine
from medkd.review.texts import texts_of
from tests.review.language import in_language, visible


@pytest.fixture
def weasyprint():
    if not module._weasyprint():
        pytest.skip("WeasyPrint or Pango is missing: run `make setup`, and `make system` as root")


@pytest.fixture
def by_chromium(chromium_path, monkeypatch):
    monkeypatch.setattr(module, "_weasyprint", lambda: False)


@pytest.fixture
def full(report):
    return report.model_copy(update={"caveats": compute_caveats(report.explanations)})


def read(payload):
    """Return a PDF and the text of its pages without spaces: engines set them between Chinese characters as they like."""
    pdf = PdfReader(io.BytesIO(payload))
    return pdf, [re.sub(r"\s", "", page.extract_text()) for page in pdf.pages]


def require_whole(payload, report, language):
    """Assert what holds of every PDF, whoever made it."""
    pdf, pages = read(payload)
    banner = re.sub(r"\s", "", texts_of(language)["banner"])
    assert pages
    assert all(banner in page for page in pages)
    root = pdf.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert "/StructTreeRoot" in root
    assert root["/Lang"] == {"en": "en", "zh": "zh-Hans"}[language]
    assert report.volume.study_key in pdf.metadata.title
    named = " ".join(str(value) for value in pdf.metadata.values())
    for hidden in (os.environ.get("USER", "root"), str(Path.home()), str(Path.cwd()), report.volume.patient_key + " "):
        assert hidden not in named
    return "".join(pages)


def test_the_paper_shows_everything_and_moves_nothing(full, arrays):
    page = render_paper(full, arrays, "en")
    assert page == render_paper(full, arrays, "en")
    assert "<script" not in page
    assert page.count("<img") == 7, "the slice, three maps, two planes, the focus outside"
    text = " ".join(visible(in_language(page, "en")).split())
    assert "read the slices before the words" in text
    assert "Student, largest attribution outside: slice 2 of 12" in text
    assert "https://" not in page


def test_a_pdf_is_tagged_in_its_language_and_names_nobody(full, arrays, weasyprint):
    payload = render_pdf(full, arrays, "en")
    text = require_whole(payload, full, "en")
    assert "lesion1:onthepatient'sleft,0.40ml" in text
    assert b"pdfuaid" in read(payload)[0].trailer["/Root"]["/Metadata"].get_data()


@pytest.mark.extended
def test_the_same_report_gives_the_same_pdf(full, arrays, weasyprint):
    assert render_pdf(full, arrays, "en") == render_pdf(full, arrays, "en")


@pytest.mark.extended
def test_chinese_can_be_copied_out_of_a_pdf(full, arrays, weasyprint, chinese_font):
    text = require_whole(render_pdf(full, arrays, "zh"), full, "zh")
    assert "病灶1：患者左侧，0.40ml" in text


@pytest.mark.parametrize("language", ["en", pytest.param("zh", marks=pytest.mark.extended)])
@pytest.mark.extended
def test_chromium_prints_where_the_other_is_missing(full, arrays, by_chromium, chinese_font, language):
    text = require_whole(render_pdf(full, arrays, language), full, language)
    assert {"en": "Onpapereverythingisopen", "zh": "纸质版内容全部公开"}[language] in text


def test_without_either_engine_there_is_one_sentence_and_no_pdf(report, arrays, monkeypatch):
    monkeypatch.setattr(module, "_weasyprint", lambda: False)
    monkeypatch.setattr(module.shutil, "which", lambda _: None)
    with pytest.raises(MissingDependencyError, match="found neither") as caught:
        render_pdf(report, arrays)
    assert caught.value.code == "PDF_ENGINE_MISSING"


def test_without_pango_weasyprint_counts_as_missing(monkeypatch, chromium_path):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda _: object())

    def fails(_):
        raise OSError("cannot load library 'libpango-1.0-0'")

    monkeypatch.setattr(module.importlib, "import_module", fails)
    assert require_engine() == shutil.which("chromium") or require_engine().endswith("chromium-browser")


def test_without_a_chinese_font_no_page_of_boxes_is_made(report, arrays, monkeypatch):
    def missing():
        raise MissingDependencyError("CHINESE_FONT_MISSING", "expected a font")

    monkeypatch.setattr(module, "chinese_font", missing)
    with pytest.raises(MissingDependencyError) as caught:
        render_pdf(report, arrays, "zh")
    assert caught.value.code == "CHINESE_FONT_MISSING"


def test_a_browser_that_prints_nothing_is_named(report, arrays, monkeypatch, tmp_path):
    idle = tmp_path / "chromium"
    idle.write_text("#!/bin/sh\nexit 3\n")
    idle.chmod(0o755)
    monkeypatch.setattr(module, "_weasyprint", lambda: False)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(MissingDependencyError, match="ended with 3") as caught:
        render_pdf(report, arrays)
    assert caught.value.code == "PDF_ENGINE_FAILED"


def test_the_optional_package_is_the_one_that_is_pinned():
    pinned = re.search(r'^pdf = \["weasyprint==([\d.]+)"\]', (Path(__file__).parents[2] / "pyproject.toml").read_text(), re.M)
    assert pinned
    if importlib.util.find_spec("weasyprint") is not None:
        from importlib.metadata import version

        assert version("weasyprint") == pinned[1]
