"""Commands about what readers said: the log verified and shown, saved forms taken in, judgements written out, reports signed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from data_contracts.errors import FeedbackError
from data_contracts.private import open_private
from flows.commands.common import CommandGroup, WholeHelp, app, command, say, say_json
from flows.commands.options import AsJson, RegistryOptions

if TYPE_CHECKING:
    from data_contracts import FeedbackEntry, ReviewReport
    from medkd.feedback.keep import Reviewer
    from medkd.feedback.log import FeedbackLog

feedback_app = typer.Typer(
    cls=WholeHelp,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="What readers said of studies: a log that is appended to and never edited.",
)
app.add_typer(feedback_app, name="feedback", rich_help_panel=CommandGroup.REVIEW)

LogFolder = Annotated[Path, typer.Argument(metavar="LOG", help="Folder of the feedback log.")]
LogOption = Annotated[Path, typer.Option("--log", help="Folder of the feedback log.")]
Reports = Annotated[Path, typer.Option("--reports", help="report.json, or a folder with reports below it.")]
EntryDigest = Annotated[str, typer.Option("--entry", help="Digest of an entry of the log, or how it begins.")]


class ExportFormat(StrEnum):
    jsonl = "jsonl"
    csv = "csv"


@command(of=feedback_app)
def verify(
    log: LogFolder,
    expect: Annotated[str | None, typer.Option(help="Digest of an entry that was noted elsewhere: the log must still hold it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read every byte of the log again and name the first entry that is not as it was written."""
    from medkd.feedback.import_forms import open_log

    opened = open_log(log)
    head = opened.verify()
    if expect is not None:
        _entry(opened, expect)
    torn = sorted(path.name for path in log.glob("feedback.torn-*"))
    if as_json:
        say_json({"ok": True, "entries": head.entries, "last": head.last, "torn": torn})
        return
    if torn:
        say(f"{len(torn)} ends that a killed writer left, never acknowledged, are set aside: {', '.join(torn)}")
    say(f"{head.entries} entries, none altered; the last is {head.last}")
    say("note that digest elsewhere: `--expect DIGEST` then shows whether an earlier copy was put back")


@dataclass(frozen=True)
class ReaderOptions:
    """Who filled the forms in."""

    reviewer: Annotated[str, typer.Option(help="Pseudonym of the reader who filled them in.")]
    role: Annotated[str, typer.Option(help="What the reader is, such as radiologist.")] = "reader"
    reading_round: Annotated[int, typer.Option("--round", min=1, help="Round of reading.")] = 1

    def checked(self) -> Reviewer:
        """Return the reader as the log keeps one.

        Raises:
            FeedbackError: ``FEEDBACK_REVIEWER`` for what is no pseudonym; as ``require_no_identifiers`` for a role that names a person.
        """
        from pydantic import TypeAdapter, ValidationError

        from data_contracts.record import Key
        from medkd.feedback.keep import Reviewer
        from medkd.feedback.scan import require_no_identifiers

        try:
            TypeAdapter(Key).validate_python(self.reviewer)
        except ValidationError as error:
            raise FeedbackError(
                "FEEDBACK_REVIEWER", "expected a pseudonym of at most 80 letters, digits, points and dashes in --reviewer, got another text"
            ) from error
        return Reviewer(self.reviewer, require_no_identifiers("--role", self.role[:80]), self.reading_round)


@command("import", of=feedback_app)
def import_command(
    forms: Annotated[Path, typer.Argument(help="Form that a page saved, or a folder of them, all of one reader.")],
    log: LogOption,
    reports: Reports,
    reader: ReaderOptions,
    correct: Annotated[bool, typer.Option("--correct", help="What the reader said before of the same reports is superseded.")] = False,
    seg: Annotated[Path | None, typer.Option(help="DICOM SEG with masks that were drawn for the one form.")] = None,
    as_json: AsJson = False,
) -> None:
    """Take saved forms into the log, each by itself; what is there already stays once. Status 2 where every one is refused."""
    from medkd.feedback.import_forms import forms_in, import_forms, reports_in
    from medkd.feedback.log import FeedbackLog

    files, known = forms_in(forms), reports_in(reports)
    masks = None if seg is None else _masks_for(files, known, seg)
    found = import_forms(FeedbackLog(log), files, known, reader.checked(), correct=correct, masks=masks)
    if as_json:
        say_json({"ok": bool(found.kept or found.known), **asdict(found)})
    else:
        for name, digest in found.kept:
            say(f"{name}: kept as {digest}")
        for name, digest in found.known:
            say(f"{name}: there already, {digest}")
        for one in found.refused:
            say(f"{one.file}: refused, {one.code}: {one.reason}")
    if not found.kept and not found.known:
        first = found.refused[0]
        raise FeedbackError(
            "FEEDBACK_REFUSED",
            f"expected a form that can be kept, all {len(found.refused)} are refused, the first ({first.file}) as {first.code}: {first.reason}",
        )


@command(of=feedback_app)
def export(
    log: LogFolder,
    out: Annotated[Path, typer.Option(help="File to write.")],
    form: Annotated[
        ExportFormat, typer.Option("--format", help="Entries as lines of JSON, or judgements as a table.")
    ] = ExportFormat.jsonl,
    comments: Annotated[bool, typer.Option("--comments", help="With readers' comments, which are left out otherwise.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the log for others to read, once it is verified."""
    from medkd.feedback.export_log import as_csv, as_lines
    from medkd.feedback.import_forms import open_log

    entries = open_log(log).entries()
    lines = as_lines(entries, comments=comments)
    text = as_csv(entries, comments=comments) if form is ExportFormat.csv else "".join(f"{line}\n" for line in lines)
    with open_private(out, "w", encoding="utf-8") as stream:
        stream.write(text)
    if as_json:
        say_json({"ok": True, "entries": len(entries), "file": str(out)})
        return
    say(f"wrote {out}: {len(entries)} entries{'' if comments else ', without comments'}")


@command(of=feedback_app)
def show(
    log: LogFolder,
    entry: Annotated[str | None, typer.Option(help="Digest of one entry, or how it begins: shown whole.")] = None,
    reports: Annotated[Path | None, typer.Option(help="Folder with reports: what became of own reads is counted with them.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show one entry, or how many there are and how far readers agree: with each other, with wrong maps, and with themselves."""
    from flows.feedback_text import figures_in_words, figures_of
    from medkd.feedback.import_forms import open_log, reports_in

    opened = open_log(log)
    if entry is not None:
        found = _entry(opened, entry)
        payload = {"digest": found.digest(), "entry": found.model_dump(mode="json")}
        say_json({"ok": True, **payload}) if as_json else say(json.dumps(payload, indent=1, ensure_ascii=False))
        return
    figures = figures_of(opened.entries(), {} if reports is None else reports_in(reports))
    if as_json:
        say_json({"ok": True, **figures})
        return
    for line in figures_in_words(figures):
        say(line)


@command(of=feedback_app)
def masks(
    log: LogFolder,
    entry: EntryDigest,
    reports: Reports,
    source: Annotated[Path, typer.Option(help="Folder, zip or file of the study's DICOM images.")],
    out: Annotated[Path, typer.Option(help="Folder for the segmentations, which carry the source's patient.")],
    as_json: AsJson = False,
) -> None:
    """Write the masks that a reader drew as DICOM SEG of the study's images."""
    from medkd.feedback.import_forms import open_log
    from medkd.feedback.seg_masks import masks_of_study

    said = _entry(open_log(log), entry)
    written = masks_of_study(said, _judged(said, reports), source, out)
    if as_json:
        say_json({"ok": True, "files": [path.name for path in written], "out": str(out)})
        return
    say(f"wrote {', '.join(path.name for path in written)} to {out}: they name the patient of the source")


@command("sign-sr", of=feedback_app)
def sign_command(
    results: Annotated[Path, typer.Argument(help="Folder of the result set whose structured report was accepted.")],
    log: LogOption,
    entry: EntryDigest,
    reports: Reports,
    out: Annotated[Path, typer.Option(help="File to write; it carries the source's patient.")],
    as_json: AsJson = False,
) -> None:
    """Write the structured report of an accepted study as verified: a new object; the one before stays as it is."""
    from medkd.feedback.import_forms import open_log
    from medkd.feedback.sign_report import sign_report

    opened = open_log(log)
    signed = _entry(opened, entry)
    sign_report(results, _judged(signed, reports), opened.entries(), signed.digest(), out)
    if as_json:
        say_json({"ok": True, "file": str(out), "entry": signed.digest()})
        return
    say(f"wrote {out}: verified by {getattr(signed.record, 'reviewer_key', '')}, entry {signed.index} of the log")


@command(of=feedback_app)
def mirror(
    log: LogFolder,
    reports: Reports,
    registry: RegistryOptions,
    as_json: AsJson = False,
) -> None:
    """Show judgements beside the registered models that they are about; made anew from the log, as often as wanted."""
    uri = registry.uri()
    from medkd.feedback.import_forms import open_log, reports_in
    from medkd.feedback.mirror import mirror_feedback
    from medkd.registry.mlflow_registry import MlflowRegistry

    opened = MlflowRegistry(uri, artifacts=registry.run_folder.resolve() / "mlartifacts")
    from medkd.registry.mlflow_assessments import MlflowAssessments

    found = mirror_feedback(open_log(log).entries(), reports_in(reports), opened, MlflowAssessments(uri).show)
    if as_json:
        say_json({"ok": True, **asdict(found)})
        return
    say(
        f"{found.attached} judgements attached, {found.there} there already, {found.controls} of control cases left out, {found.assessments} assessments"
    )
    for what, names in (("report not at hand", found.unknown_reports), ("not registered here", found.unknown_models)):
        if names:
            say(f"{what}: {', '.join(names)}")


def _masks_for(files: tuple[Path, ...], reports: dict[str, ReviewReport], seg: Path) -> Any:
    from medkd.dicom.confidentiality.secret import site_secret
    from medkd.feedback.import_forms import read_form
    from medkd.feedback.seg_masks import masks_from_seg

    if len(files) != 1:
        raise FeedbackError("MASK_FORM", f"expected one form for the masks of --seg, got {len(files)}")
    form = read_form(files[0])
    if form.report not in reports:
        raise FeedbackError(
            "FEEDBACK_REPORT", f"expected a form about one of the {len(reports)} reports given, got one about {form.report[:12]}"
        )
    return masks_from_seg(seg, reports[form.report], site_secret())


def _entry(log: FeedbackLog, digest: str) -> FeedbackEntry:
    """Return the entry whose digest begins so."""
    found = [entry for entry in log.entries() if entry.digest().startswith(digest.lower())] if len(digest) >= 8 else []
    if len(found) != 1:
        raise FeedbackError(
            "FEEDBACK_ENTRY",
            f"expected the digest of an entry, or at least 8 digits that only one begins with, {len(found)} do with the {len(digest)} given",
        )
    return found[0]


def _judged(entry: FeedbackEntry, place: Path) -> ReviewReport:
    """Return the report that an entry is of, from a file or a folder of reports."""
    from medkd.feedback.import_forms import reports_in

    reports, wanted = reports_in(place), str(getattr(entry.record, "report", ""))
    if wanted not in reports:
        raise FeedbackError(
            "FEEDBACK_REPORT", f"expected report {wanted[:12]} of entry {entry.index} in {place}, the {len(reports)} there are others"
        )
    return reports[wanted]
