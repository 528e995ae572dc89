"""The command that says which artefacts a registered model follows: audit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.common import CommandGroup, claim_run, command, say, say_json
from flows.commands.options import FlowOptions, FolderOptions, RegistryOptions


@dataclass(frozen=True)
class ArtefactOptions:
    """Which artefacts are asked about, and from what on a model counts as following one."""

    artefact: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Ask about this artefact only; may be repeated.")] = None
    bound: Annotated[float, typer.Option(min=0.001, max=0.9, help="Largest mean change of probability or Dice that counts as none.")] = 0.05


@command(group=CommandGroup.REGISTRY)
def audit(
    model: Annotated[str, typer.Argument(metavar="URI", help="Registered model, models:/NAME/VERSION or models:/NAME@ALIAS.")],
    data: Annotated[Path, typer.Option(help="Labelled folder with cases.csv or dataset.json, or of DICOM, as for evaluate-folder.")],
    cases: FolderOptions,
    artefacts: ArtefactOptions,
    registry: RegistryOptions,
    *,
    out: Annotated[Path | None, typer.Option(help="Folder of the results; by default runs/audits/MODEL-VERSION-FOLDER.")] = None,
    flow: FlowOptions,
) -> None:
    """Audit a registered model for shortcuts: marks and scanner settings put into and taken out of labelled cases, and what that does to its answers."""
    uri, hints = registry.uri(), cases.hints()
    from medkd.audit.names import chosen_artefacts

    names = chosen_artefacts(artefacts.artefact or ())
    folder = (out or Path("runs/audits") / f"{model.removeprefix('models:/').replace('/', '-')}-{data.resolve().name}").resolve()
    claim_run(folder, data)
    from flows.audit_text import audit_text
    from flows.start import start_engine
    from medkd.audit.audit_model import AuditOptions
    from medkd.storage.workspace import Workspace

    with start_engine(flow.engine.value, folder, workers=0, progress=True):
        from flows.audit import AuditRequest
        from flows.audit import audit as run_audit

        workspace = Workspace(root=folder, tracking_uri=uri, progress=True)
        report = run_audit(workspace, AuditRequest(model, data.resolve(), hints, AuditOptions(artefacts.bound, names)))
    if flow.as_json:
        say_json(report.model_dump(mode="json"))
    else:
        say(audit_text(report) + f"\n\nrecord, table and picture in {folder}, and beside {report.model.name} {report.model.version}")
