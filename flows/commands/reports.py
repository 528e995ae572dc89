"""Commands on kept reports: report-study."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.common import CommandGroup, command, say, say_json
from flows.commands.options import AsJson

if TYPE_CHECKING:
    from medkd.review.page_context import Verification


class PdfLanguage(StrEnum):
    """In which language a report is put on paper."""

    en = "en"
    zh = "zh"
    both = "both"


@command("report-study", group=CommandGroup.REVIEW)
def report_study_command(
    study: Annotated[Path, typer.Argument(help="Folder of a study's results, as `medkd run-study` wrote it.")],
    prior: Annotated[Path | None, typer.Option(help="Folder of the results of an earlier study of the same patient.")] = None,
    pdf: Annotated[PdfLanguage | None, typer.Option(help="Write a PDF too, in English, in Chinese or in both.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write to; by default that of the study.")] = None,
    feedback: Annotated[Path | None, typer.Option(help="Feedback log: where a reader accepted the report, page and PDF say so.")] = None,
    store: Annotated[Path | None, typer.Option(help="Store of the volumes, where it does not lie in the folders.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make the page of a kept report again: beside an earlier study with the change of each lesion, and as PDF. No model is asked."""
    from medkd.review.remake_report import remake_report
    from medkd.review.render_pdf import require_engine
    from medkd.storage.output import REPORTS, claim, refuse_foreign, require_apart

    languages = () if pdf is None else ("en", "zh") if pdf is PdfLanguage.both else (pdf.value,)
    if languages:
        require_engine()
    if out is not None:
        require_apart(study, out)
        refuse_foreign(out.resolve(), REPORTS)
    folder = study.resolve()
    made = remake_report(
        folder,
        folder if out is None else claim(out.resolve(), REPORTS),
        store=None if store is None else store.resolve(),
        prior=None if prior is None else prior.resolve(),
        pdf=languages,
        verified=None if feedback is None else _verification(folder, feedback),
    )
    if as_json:
        pdfs = {language: str(path) for language, path in made.pdfs.items()}
        compared = None if made.report.prior is None else made.report.prior.model_dump(mode="json")
        say_json({"ok": True, "page": str(made.page), "report_digest": made.report.digest(), "pdf": pdfs, "prior": compared})
        return
    say("\n".join(["page    " + str(made.page), *(f"pdf     {path}" for path in made.pdfs.values())]))


def _verification(study: Path, log: Path) -> Verification | None:
    """Return by whom a kept report was accepted, as the feedback log has it."""
    from data_contracts import ReviewReport, load_record
    from medkd.feedback.acceptance import acceptance_of
    from medkd.feedback.import_forms import open_log
    from medkd.review.page_context import Verification
    from medkd.review.write_report import RECORD

    entry = acceptance_of(load_record(study / RECORD, ReviewReport), open_log(log).entries())
    return None if entry is None else Verification(getattr(entry.record, "reviewer_key", ""), entry.at)
