"""A kept report made again: with an earlier study beside it, and on paper."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data_contracts import DataError, ReviewReport, load_record
from medkd.explanation.kept import SHORT
from medkd.review.compare_prior import compare_prior
from medkd.review.page_context import Verification
from medkd.review.picture import render_picture
from medkd.review.reduce_pictures import reduced
from medkd.review.render_html import render_html
from medkd.review.render_pdf import render_pdf
from medkd.review.shown import PriorStudy, StudyArrays
from medkd.review.write_report import PAGE, PICTURE, RECORD, report_of
from medkd.storage.store import Store, write_bytes

#: Where a study's explanations and the store of its volume lie below its folder.
_EXPLANATIONS, _STORE = "explanations", "store"


@dataclass(frozen=True)
class Remade:
    """A report that was made again: the record, its page, and the PDFs by language."""

    report: ReviewReport
    page: Path
    pdfs: dict[str, Path]


def open_report(folder: Path, store: Path | None = None) -> tuple[ReviewReport, StudyArrays]:
    """Return a kept report and its arrays; every byte of them is verified.

    Args:
        folder: of a study's results (``medkd run-study``, ``medkd report-store --model``): ``report.json`` and ``explanations/`` in it.
        store: that holds the volume; by default ``store/`` in the folder.

    Raises:
        DataError: ``NO_REPORT`` for a folder without a report, ``NO_EXPLANATIONS`` where its explanations or its volume's store are not there.
        RegistryError: ``VERSION_ALTERED`` when an explanation was altered.
        StoreError: when the volume was.
    """
    record = folder / RECORD
    if not record.is_file():
        raise DataError("NO_REPORT", f"expected {RECORD} in {folder.name}, it is not there; name a folder that `medkd run-study` wrote")
    report = load_record(record, ReviewReport)
    places = tuple(folder / _EXPLANATIONS / one.digest()[:SHORT] for one in report.explanations)
    volumes = folder / _STORE if store is None else store
    missing = next((place.name for place in (*places, volumes) if not place.is_dir()), None)
    if missing is not None:
        raise DataError(
            "NO_EXPLANATIONS",
            f"expected the report's explanations and the store of its volume beside it, {missing} is not there; name the store with --store, or run the study again",
        )
    return report, report_of(places, Store(volumes))[1]


def remake_report(
    folder: Path,
    out: Path,
    *,
    store: Path | None = None,
    prior: Path | None = None,
    pdf: tuple[str, ...] = (),
    verified: Verification | None = None,
) -> Remade:
    """Write a kept report again: record and page, beside an earlier study's if one is named, and a PDF and the
    still picture in each language that is asked for.

    Args:
        folder: of the study's results.
        out: folder to write to.
        store: of both studies' volumes, where it does not lie in their folders.
        prior: folder of the earlier study's results; without, what the report says of an earlier one is left out.
        pdf: languages, ``en`` and ``zh``.
        verified: by whom the report was accepted: page and PDFs say so, the record stays.

    Raises:
        DataError: as :func:`open_report` and :func:`~medkd.review.compare_prior.compare_prior`.
        MissingDependencyError: as :func:`~medkd.review.render_pdf.render_pdf`.
    """
    report, arrays = open_report(folder, store)
    earlier = None if prior is None else PriorStudy(*open_report(prior, store))
    compared = None if earlier is None else compare_prior(report, arrays, earlier.report, earlier.arrays)
    report = report.model_copy(update={"prior": compared})
    page = render_html(report, arrays, earlier, verified)
    printed = {language: render_pdf(report, arrays, language, verified) for language in pdf}
    pictures = {language: render_picture(report, reduced(arrays, report.volume), language) for language in pdf}
    # Nothing is written before everything is there: a page beside the record of another would deceive.
    write_bytes(out / RECORD, report.canonical_json())
    for language, picture in pictures.items():
        write_bytes(out / (PICTURE if language == "en" else f"picture.{language}.png"), picture)
    return Remade(
        report,
        write_bytes(out / PAGE, page.encode()),
        {language: write_bytes(out / f"report.{language}.pdf", payload) for language, payload in printed.items()},
    )
