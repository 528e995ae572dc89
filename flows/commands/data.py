"""Commands that make, read and clean data: phantom, nifti-to-dicom, ingest, deidentify."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data_contracts.errors import IngestCode
from flows.commands.common import CommandGroup, command, local_folder, say, say_json
from flows.commands.options import AsJson, Policy

if TYPE_CHECKING:
    from data_contracts import IngestedSeries

#: Widest line of text.
COLUMNS = 100


@command(group=CommandGroup.DATA)
def phantom(
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    studies: Annotated[int, typer.Option(min=1, help="Number of studies.")] = 48,
    seed: Annotated[int, typer.Option(help="The same seed writes the same bytes.")] = 7,
    difficulty: Annotated[float, typer.Option(min=0.1, help="1 is the reference; more is harder.")] = 1.0,
    case: Annotated[
        list[str] | None,
        typer.Option(help="Write this faulty case instead (gantry_tilt, missing_slice, …; all of them: all). May be repeated."),
    ] = None,
    variant: Annotated[str, typer.Option(help="How a case is scanned and written: axial, oblique, sagittal, coronal, …")] = "axial",
    as_json: AsJson = False,
) -> None:
    """Write the phantom as DICOM studies with lesion segmentations, or small series with one known fault each."""
    from medkd.storage.output import PHANTOM, claim

    if case:
        from medkd.phantom.dicom_faults import CASES, find_case, write_case
        from medkd.phantom.faulty_scan import find_variant

        names = list(CASES) if "all" in case else case
        for name in names:
            find_case(name)
        chosen = find_variant(variant)
        claim(out, PHANTOM)
        files = {name: [str(path) for path in write_case(out / name, name, chosen, seed=seed)] for name in names}
        if as_json:
            say_json({"cases": files, "out": str(out)})
        else:
            say("\n".join(f"{name.ljust(24)} {len(paths):3d} files in {out / name}" for name, paths in files.items()))
        return
    claim(out, PHANTOM)
    from medkd.phantom.dicom_studies import write_phantom_dicom

    _, written = write_phantom_dicom(out, studies=studies, seed=seed, difficulty=difficulty, progress=True)
    if as_json:
        say_json({"studies": len(written), "patients": len({study.patient for study in written}), "out": str(out)})
    else:
        say(f"wrote {len(written)} studies of {len({study.patient for study in written})} patients to {out}")


@command("nifti-to-dicom", group=CommandGroup.DATA)
def nifti_to_dicom(
    volume: Annotated[Path, typer.Argument(help="NIfTI file of one volume.")],
    modality: Annotated[str, typer.Option(help="What the file does not say: MR or CT.")],
    out: Annotated[Path, typer.Option(help="Folder of the series.")],
    as_json: AsJson = False,
) -> None:
    """Write a NIfTI volume of public research data as a DICOM series, so that it can be ingested and asked about like a study."""
    from typing import cast

    from medkd.dicom.write_series import SeriesModality, series_of, write_series
    from medkd.storage.output import SERIES, claim, require_apart, require_source

    require_source(volume)
    require_apart(volume, out)
    slices = series_of(volume, cast(SeriesModality, modality))  # before the folder is claimed: what is refused leaves nothing behind
    written = write_series(slices, claim(out, SERIES))
    if as_json:
        say_json({"files": len(written), "out": str(out)})
    else:
        say(
            f"wrote {len(written)} slices to {out}; the file names neither patient nor scanner, so that its own name stands for the patient"
        )


@command(group=CommandGroup.DATA)
def ingest(
    source: Annotated[
        str,
        typer.Argument(
            help="Folder, file, zip archive or DICOMDIR; a folder by its URI, s3://BUCKET/PREFIX; studies of an archive, dicomwebs://… or dimse://…."
        ),
    ],
    out: Annotated[str, typer.Option(help="Store to write or extend: a folder, or s3://BUCKET/PREFIX.")] = "store",
    policy: Policy = None,
    nifti: Annotated[bool, typer.Option("--nifti", help="Also write each accepted volume as NIfTI.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge everything, write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Verify, de-identify and store every series of a folder; what is refused is quarantined with its reason."""
    from flows.policy import read_policy
    from medkd.dicom.ingest import IngestRequest, ingest_with_site_secret
    from medkd.dicom.series_table import TABLE
    from medkd.storage.shared_folder import folder_to_extend

    given = local_folder(source)
    with folder_to_extend(out, keep=not dry_run) as folder:
        report = ingest_with_site_secret(IngestRequest(given, folder, read_policy(policy), nifti, dry_run, progress=True))
    summary = report.summary()
    if as_json:
        say_json(summary)
        return
    counts = summary["ingest"]
    say(f"{counts['found']} files: {counts['accepted']} accepted, {counts['quarantined']} quarantined, {counts['ignored']} ignored")
    _say_codes(report.codes())
    if not counts["accepted"]:
        say(_nothing(given, counts["found"], counts["quarantined"]))
    for line in report.series:
        _say_series(line)
    if dry_run:
        say(f"{len(summary['series'])} volumes would be stored; nothing was written")
    else:
        say(f"{len(summary['series'])} volumes in {out}")
        say(f"refused files with their reasons: {folder / 'quarantine' / 'report.html'}")
        say(f"which series came from which file: {folder / TABLE} (as confidential as the source)")


@command(group=CommandGroup.DATA)
def deidentify(
    source: Annotated[Path, typer.Argument(help="Folder, file, zip archive or DICOMDIR.")],
    out: Annotated[Path, typer.Option(help="Folder to hand on: PATIENT/STUDY/SERIES/INSTANCE.dcm and nothing else.")],
    quarantine_folder: Annotated[
        Path | None, typer.Option(help="Folder for quarantine and report, which are not handed on; by default OUT.quarantine.")
    ] = None,
    policy: Annotated[
        str | None, typer.Option(help="repair blanks text that was found in pixels; accept_with_flag lets it pass; or a YAML file.")
    ] = None,
    vault: Annotated[
        Path | None,
        typer.Option(envvar="MEDKD_VAULT", help="Folder that keeps, encrypted, whose studies these were: medkd vault leads results back."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write DICOM without what identifies anybody (PS3.15 Annex E); a study with a leak is not published."""
    from flows.policy import read_policy
    from medkd.dicom.confidentiality.publish import DeidentifyRequest, deidentify_folder
    from medkd.dicom.confidentiality.secret import site_secret

    request = DeidentifyRequest(source, out, quarantine_folder, read_policy(policy), progress=True, vault=vault)
    report = deidentify_folder(request, secret=site_secret())
    if as_json:
        say_json(report.summary())
        return
    counts = report.summary()["ingest"]
    say(f"{counts['found']} files: {counts['accepted']} published, {counts['quarantined']} quarantined, {counts['ignored']} ignored")
    _say_codes(report.codes())
    say(f"published in {out}; what was kept at this site, with the reasons: {request.local_folder() / 'quarantine' / 'report.html'}")


def _nothing(source: Path, found: int, refused: int) -> str:
    """Say in words that nothing was accepted, and what that means."""
    if not found:
        return f"{source} is empty: there is no file in it, so nothing was ingested"
    if not refused:
        return f"none of the {found} files in {source} is an image: nothing was ingested; is it the folder that you meant?"
    return f"not one image in {source} was accepted: the report names the reason of each file"


def _say_series(line: IngestedSeries) -> None:
    """Say what a series is, its key for --series, how well it is verified, and where it came from."""
    _say_wrapped(f"  {line.series_key}  {line.words}")
    flags = ", ".join(code.value for code in line.flags)
    placed = "a picture, without a place in space" if line.residual_mm is None else f"residual {line.residual_mm:.4f} mm"
    _say_wrapped(f"    {placed}" + (f"  [{flags}]" if flags else ""))
    # The end of a path says more than its beginning, and a line is to be read.
    room = COLUMNS - 9
    name = line.first_file
    say(f"    from {name if len(name) <= room else '…' + name[1 - room :]}")


def _say_wrapped(text: str) -> None:
    say(textwrap.fill(text, COLUMNS, subsequent_indent=" " * 4, break_on_hyphens=False))


def _say_codes(codes: dict[str, int]) -> None:
    from data_contracts import CODES

    for code, count in codes.items():
        said = f"  {count:6d}  {code.ljust(28)} {CODES[IngestCode(code)].meaning}"
        say(textwrap.fill(said, COLUMNS, subsequent_indent=" " * 39))
