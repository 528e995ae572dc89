"""A report on paper: a PDF in one language with the banner on every page, by WeasyPrint, or by Chromium where that is missing."""

from __future__ import annotations

import importlib.util
import io
import logging
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from markupsafe import Markup

from data_contracts import MissingDependencyError, ReviewReport
from medkd.review.fonts import chinese_font
from medkd.review.page_context import page_context
from medkd.review.paper_pictures import paper_findings
from medkd.review.shown import StudyArrays
from medkd.review.templating import policy, source, template
from medkd.review.texts import say, text_of

#: Seconds that Chromium may take.
_LIMIT_S = 120.0
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def render_paper(report: ReviewReport, arrays: StudyArrays, language: str) -> str:
    """Return the report as HTML to be printed: everything is open, nothing moves, nothing is loaded.

    Args:
        report: what is shown.
        arrays: the study's, and those of the report's explanations.
        language: ``en`` or ``zh``.
    """
    # Only what a browser does on paper: rules for the screen, and those of the page that is read in a browser, would be computed for nothing.
    styles = [
        re.sub(r"@media print \{.*?\n\}\n|@page \{[^}]*\}\n", "", source("report.css"), flags=re.S),
        source("paper.css"),
        _margins(language),
    ]
    return template("paper.html").render(
        **page_context(report, list(arrays.masks())),
        language=language,
        findings=paper_findings(report, arrays),
        policy=policy(styles),
        styles=list(map(Markup, styles)),
    )


def _margins(language: str) -> str:
    """Return the style of what stands on every page: the banner above, the number below."""
    banner = text_of(say("banner"), language).replace('"', "")
    words = 'font: 700 8.5pt system-ui, "Noto Sans CJK SC", "WenQuanYi Micro Hei", sans-serif;'
    return (
        f'@page {{ @top-center {{ content: "{banner}"; {words} color: #8a5200; }} '
        f'@bottom-center {{ content: counter(page) " / " counter(pages); font: 8pt sans-serif; color: #333; }} }}\n'
    )


def render_pdf(report: ReviewReport, arrays: StudyArrays, language: str = "en") -> bytes:
    """Return the report as a tagged PDF (PDF/UA-1 by WeasyPrint) in a language; its metadata hold the title with the study's pseudonym and no more.

    Args:
        report: what is shown.
        arrays: the study's, and those of the report's explanations.
        language: ``en`` or ``zh``.

    Raises:
        MissingDependencyError: ``PDF_ENGINE_MISSING`` without WeasyPrint and without Chromium, ``CHINESE_FONT_MISSING`` for Chinese on a machine
            without a font that has its characters, ``PDF_ENGINE_FAILED`` when Chromium prints nothing.
    """
    if language == "zh":
        chinese_font()
    engine, page = require_engine(), render_paper(report, arrays, language)
    return _by_weasyprint(page, report.digest()) if engine == "weasyprint" else _by_chromium(page, engine)


def require_engine() -> str:
    """Return what makes a PDF here, ``weasyprint`` or the path of a browser; refuse before anything is computed where nothing does.

    Raises:
        MissingDependencyError: ``PDF_ENGINE_MISSING``.
    """
    browser = next((found for name in _CHROMIUM if (found := shutil.which(name))), None)
    if _weasyprint():
        return "weasyprint"
    if browser is None:
        raise MissingDependencyError(
            "PDF_ENGINE_MISSING",
            "expected WeasyPrint (`pip install medkd[pdf]`) or Chromium to make a PDF, found neither; install one of them",
        )
    return browser


def _weasyprint() -> bool:
    """Return whether WeasyPrint is there with the libraries of the system that it needs."""
    if importlib.util.find_spec("weasyprint") is None:
        return False
    try:
        importlib.import_module("weasyprint")
    except OSError:  # Pango is missing
        return False
    return True


def _by_weasyprint(page: str, digest: str) -> bytes:
    import weasyprint
    from weasyprint.urls import URLFetcher

    # It warns of every rule that is for browsers alone.
    logging.getLogger("weasyprint").setLevel(logging.ERROR)
    stream = io.BytesIO()
    # What lies inside the page and nothing else: no file of this machine, no address.
    document = weasyprint.HTML(string=page, url_fetcher=URLFetcher(allowed_protocols=("data",)), media_type="print")
    document.write_pdf(stream, pdf_variant="pdf/ua-1", pdf_identifier=digest.encode(), pdf_tags=True)
    return stream.getvalue()


def _by_chromium(page: str, browser: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="medkd-pdf-") as folder:
        source_file, made = Path(folder) / "report.html", Path(folder) / "report.pdf"
        source_file.write_text(page, encoding="utf-8")
        flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--no-first-run",
            "--no-pdf-header-footer",
        ]
        command = [browser, *flags, f"--user-data-dir={folder}/profile", f"--print-to-pdf={made}", source_file.as_uri()]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
        except subprocess.TimeoutExpired:
            done = None
        if done is None or not made.is_file():
            why = f"it did not end within {_LIMIT_S:.0f} s" if done is None else f"it ended with {done.returncode}"
            raise MissingDependencyError(
                "PDF_ENGINE_FAILED", f"expected a PDF from Chromium, {why}; install WeasyPrint (`pip install medkd[pdf]`)"
            )
        return made.read_bytes()
