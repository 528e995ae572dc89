"""The command that says which artefacts a registered model follows: audit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.common import (
    DEFAULT_ENGINE,
    AsJson,
    ColumnNames,
    CommandGroup,
    Engine,
    RunOfModels,
    Segment,
    TrackingUri,
    Where,
    app,
    claim_run,
    column_names,
    pairs,
    registry_uri,
    say,
    say_json,
)


@app.command(rich_help_panel=CommandGroup.REGISTRY)
def audit(
    model: Annotated[str, typer.Argument(metavar="URI", help="Registered model, models:/NAME/VERSION or models:/NAME@ALIAS.")],
    data: Annotated[Path, typer.Option(help="Labelled folder with cases.csv or dataset.json, or of DICOM, as for evaluate-folder.")],
    where: Where = None,
    column: ColumnNames = None,
    artefact: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Ask about this artefact only; may be repeated.")] = None,
    bound: Annotated[
        float, typer.Option(min=0.001, max=0.9, help="Largest mean change of probability or Dice that counts as none.")
    ] = 0.05,
    patient_pattern: Annotated[
        str | None, typer.Option(help="Without cases.csv: odd-even, or a regular expression whose group is the patient.")
    ] = None,
    segment: Segment = None,
    run_folder: RunOfModels = Path("runs/demo"),
    tracking_uri: TrackingUri = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the results; by default runs/audits/MODEL-VERSION-FOLDER.")] = None,
    engine: Engine = DEFAULT_ENGINE,
    as_json: AsJson = False,
) -> None:
    """Audit a registered model for shortcuts: marks and scanner settings put into and taken out of labelled cases, and what that does to its answers."""
    uri = registry_uri(run_folder, tracking_uri)
    named, options = column_names(column), pairs(where, "--where COLUMN=VALUE")
    from medkd.audit.names import chosen_artefacts

    names = chosen_artefacts(artefact or ())
    folder = (out or Path("runs/audits") / f"{model.removeprefix('models:/').replace('/', '-')}-{data.resolve().name}").resolve()
    claim_run(folder, data)
    from flows.audit_text import audit_text
    from flows.start import start_engine
    from medkd.audit.audit_model import AuditOptions
    from medkd.cohorts.external_dataset import FolderHints
    from medkd.storage.workspace import Workspace

    hints = FolderHints(
        named.get("id"), named.get("patient"), named.get("label"), patient_pattern, options, pairs(segment, "--segment NAME=CLASS")
    )
    with start_engine(engine.value, folder, workers=0, progress=True):
        from flows.audit import AuditRequest
        from flows.audit import audit as run_audit

        workspace = Workspace(root=folder, tracking_uri=uri, progress=True)
        report = run_audit(workspace, AuditRequest(model, data.resolve(), hints, AuditOptions(bound, names)))
    if as_json:
        say_json(report.model_dump(mode="json"))
    else:
        say(audit_text(report) + f"\n\nrecord, table and picture in {folder}, and beside {report.model.name} {report.model.version}")
