"""Pictures of the report page for the documentation: ``python -m tests.review.docs_pictures`` writes docs/review/*.png with Debian's chromium."""

from __future__ import annotations

import io
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from data_contracts import ReviewReport, SanityCheck, read_record
from medkd.review.compare_prior import compare_prior
from medkd.review.compose_report import compose_report
from medkd.review.render_html import render_html
from medkd.review.render_pdf import render_pdf
from medkd.review.shown import StudyArrays
from tests.chromium import ARGUMENTS
from tests.explanation.pictures import bright_picture, model_of_pictures
from tests.review.conftest import GOLDEN, explained
from tests.review.test_reliability import calibration_of
from tests.review.thorax import prior_of_thorax, study_of_thorax

OUT = Path(__file__).parents[2] / "docs" / "review"
#: A picture of the documentation is not larger.
_MOST_BYTES = 300_000


def write(payload: bytes, name: str) -> None:
    """Write a screenshot, with fewer colours where it is large."""
    OUT.mkdir(parents=True, exist_ok=True)
    image = Image.open(io.BytesIO(payload)).convert("RGB")
    image.save(OUT / f"{name}.png", optimize=True)
    if (OUT / f"{name}.png").stat().st_size > _MOST_BYTES:
        image.quantize(255, dither=Image.Dither.NONE).save(OUT / f"{name}.png", optimize=True)


def ultrasound() -> tuple[ReviewReport, StudyArrays]:
    """Return a report of an invented ultrasound: speckle with a dark lesion, which a network that calls bright what is bright outlines inverted."""
    import torch

    from data_contracts import Entry, ExplanationRequest
    from medkd.explanation.explain_study import StudyImages, explain_study

    _, volume = bright_picture()
    generator = np.random.default_rng(0)
    shown = generator.rayleigh(18, (1, 48, 64))
    rows, columns = np.mgrid[:48, :64]
    shown[0][((rows - 24) / 9) ** 2 + ((columns - 32) / 14) ** 2 < 1] += 170
    values = torch.from_numpy(shown.clip(0, 255).astype(np.uint8))
    volume = volume.model_copy(update={"modality": "US"})
    made = explain_study(
        StudyImages(values, volume), model_of_pictures("segmentation"), ExplanationRequest(explainers=(Entry(name="input_times_gradient"),))
    )
    arrays = StudyArrays(values.float().numpy(), ({name: one.numpy() for name, one in made.arrays.items()},))
    return compose_report((made.record,), arrays), arrays


def lock(page: Any) -> None:
    """Lock an own read."""
    page.locator("input[name=read]").first.check()
    page.click("#lock")


def main() -> None:
    """Write all pictures."""
    from playwright.sync_api import sync_playwright

    golden = read_record(GOLDEN.read_bytes(), ReviewReport)
    one = golden.explanations[0]
    passed = SanityCheck(name="randomisation", value=0.2, limit=0.5, passed=True)
    tested = one.sanity_reports[0].model_copy(update={"checks": (passed,), "trusted": True, "samples": None})
    golden = explained(golden, teacher_only=(), caveats=(), sanity_reports=(tested,))
    report, arrays = study_of_thorax(golden)
    prior = prior_of_thorax(golden)
    report = report.model_copy(
        update={"prior": compare_prior(report, arrays, prior.report, prior.arrays), "calibrations": (calibration_of(report),)}
    )
    pages = {
        "page": render_html(report, arrays),
        "prior": render_html(report, arrays, prior),
        "ultrasound": render_html(*ultrasound()),
    }
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)

        def opened(name: str, address: str = "", width: int = 1360, height: int = 900) -> Any:
            path = Path(folder) / f"{name}.html"
            path.write_text(pages[name], encoding="utf-8")
            page = browser.new_page(viewport={"width": width, "height": height})
            page.goto(path.as_uri() + address)
            page.wait_for_selector("body[data-ready]")
            return page

        for language, address in (("en", ""), ("zh", "#zh")):
            page = opened("page", address)
            lock(page)
            write(page.screenshot(), f"first-screen-{language}")
            page.keyboard.press("h")
            write(page.locator("#images").screenshot(), f"images-{language}")
            page.check("#all-planes")
            write(page.locator("#images").screenshot(), f"planes-{language}")
        page = opened("page", width=390, height=844)
        lock(page)
        write(page.screenshot(), "phone")
        page = opened("prior")
        lock(page)
        write(stacked(page.locator("#images").screenshot(), page.locator("#prior").screenshot()), "prior")
        page = opened("ultrasound")
        lock(page)
        page.keyboard.press("h")
        write(page.locator("#images").screenshot(), "ultrasound")
        browser.close()
    write(printed(render_pdf(report, arrays, "en")), "print")


def printed(pdf: bytes) -> bytes:
    """Return the first two pages of a PDF beside one another."""
    import pypdfium2

    pages = [page.render(scale=1.1).to_pil().convert("RGB") for page in list(pypdfium2.PdfDocument(pdf))[:2]]
    sheet = Image.new("RGB", (sum(one.width for one in pages) + 12, pages[0].height), (17, 20, 24))
    for place, one in enumerate(pages):
        sheet.paste(one, (place * (pages[0].width + 12), 0))
    stream = io.BytesIO()
    sheet.save(stream, format="PNG")
    return stream.getvalue()


def stacked(*shots: bytes) -> bytes:
    """Return pictures of one width below one another."""
    images = [Image.open(io.BytesIO(one)).convert("RGB") for one in shots]
    sheet = Image.new("RGB", (max(one.width for one in images), sum(one.height + 12 for one in images)), (17, 20, 24))
    top = 0
    for one in images:
        sheet.paste(one, (0, top))
        top += one.height + 12
    stream = io.BytesIO()
    sheet.save(stream, format="PNG")
    return stream.getvalue()


if __name__ == "__main__":
    main()
