"""Commands about the re-identification vault of a site: results led back, the key changed, the log read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.common import CommandGroup, WholeHelp, app, command, say, say_json
from flows.commands.options import AsJson

vault_app = typer.Typer(
    cls=WholeHelp,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Lead results back to the patient inside the hospital, by the vault that medkd deidentify --vault keeps.",
)
app.add_typer(vault_app, name="vault", rich_help_panel=CommandGroup.OPERATION)

VaultFolder = Annotated[Path, typer.Option("--vault", envvar="MEDKD_VAULT", help="Folder of the vault.")]


@command(of=vault_app)
def reidentify(
    results: Annotated[Path, typer.Argument(help="Folder of DICOM results of published studies: a result set, or several.")],
    vault: VaultFolder,
    out: Annotated[Path, typer.Option(help="Folder for the copy, which names the patient.")],
    as_json: AsJson = False,
) -> None:
    """Write a copy of results with the original patient, study and referenced images; the vault's log says so first."""
    from medkd.results.reidentify import reidentify_results

    found = reidentify_results(results, vault, out)
    if as_json:
        say_json({"ok": True, "objects": len(found.objects), "studies": len(found.studies), "out": str(out)})
        return
    say(f"wrote {len(found.objects)} objects of {len(found.studies)} studies to {out}: they name the patient")


@command(of=vault_app)
def rotate(vault: VaultFolder, as_json: AsJson = False) -> None:
    """Encrypt the vault with a new key and forget the old one; repeated, it finishes what was cut short."""
    from medkd.dicom.confidentiality.vault import open_vault
    from medkd.dicom.confidentiality.vault_key import key_file

    with open_vault(vault) as opened:
        count = opened.rotate()
    if as_json:
        say_json({"ok": True, "studies": count, "key": str(key_file())})
        return
    say(
        f"{count} studies are encrypted with a new key, {key_file()}: keep a copy of it, copies of the vault that were made before need the old one"
    )


@command(of=vault_app)
def log(vault: VaultFolder, as_json: AsJson = False) -> None:
    """Verify and show who recorded, read or changed what in a vault, and when."""
    from medkd.dicom.confidentiality.vault import read_log

    lines = read_log(vault)
    if as_json:
        say_json({"ok": True, "events": [line.model_dump(mode="json") for line in lines]})
        return
    for line in lines:
        about = f"{len(line.studies)} studies, first {line.studies[0]}" if len(line.studies) > 1 else "".join(line.studies)
        say("  ".join(part for part in (line.at, line.who, line.what, about, line.why) if part))
    say(f"{len(lines)} lines, none altered")
