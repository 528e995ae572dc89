"""Commands about drift: the reference of a model, and what a site's worklist says beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from data_contracts.errors import SourceError
from flows.commands.common import CommandGroup, WholeHelp, app, command, say, say_json
from flows.commands.options import AsJson, FlowOptions, RegistryOptions

drift_app = typer.Typer(
    cls=WholeHelp,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Compare recent studies with what a model was judged on, without labels.",
)
app.add_typer(drift_app, name="drift", rich_help_panel=CommandGroup.OPERATION)

Version = Annotated[str, typer.Argument(help="Registered model, models:/NAME/VERSION or models:/NAME@ALIAS.")]


@command(of=drift_app)
def reference(
    model: Version,
    store: Annotated[Path, typer.Option(help="Store of ingested studies that the model was not trained on: those it was judged on.")],
    registry: RegistryOptions,
    as_json: AsJson = False,
) -> None:
    """Ask a model about the studies of a store and keep what they are like beside the version: what later windows are compared with."""
    uri = registry.uri()
    from medkd.drift.reference import attach_reference, make_reference, reference_text
    from medkd.registry.publish import open_registry
    from medkd.storage.workspace import Workspace

    opened = open_registry(Workspace(root=registry.run_folder.resolve(), tracking_uri=uri))
    version, made = make_reference(opened, model, store.resolve(), progress=not as_json)
    attach_reference(opened, version, made)
    if as_json:
        say_json(
            {"ok": True, "model": version.uri, "digest": made.digest(), "studies": len(made.studies), "patients": len(set(made.patients))}
        )
        return
    say(f"drift reference {made.digest()[:12]} beside {version.uri}: " + "; ".join(reference_text(made)))


@command(of=drift_app)
def check(
    model: Version,
    site: Annotated[Path, typer.Option(help="Folder of the site, with its worklist.")] = Path("runs/site"),
    alarm_rate: Annotated[float, typer.Option(help="Share of clean windows that may raise an alarm, over all families.")] = 0.01,
    window: Annotated[int, typer.Option(help="Studies of a window.")] = 20,
    *,
    registry: RegistryOptions,
    flow: FlowOptions,
) -> None:
    """Compare every complete window of a site's worklist with the model's reference: images, predictions, reasons, and which moved first."""
    from medkd.drift.compare_window import settings_for

    settings = settings_for(alarm_rate, window)
    if not (site / "worklist" / "worklist.json").is_file():
        raise SourceError(
            "SITE_MISSING", f"expected a site with a worklist at {site}, there is none; name the folder of run-champion with --site"
        )
    uri = registry.uri()
    from flows.drift import drift, drift_folder
    from flows.site import Site
    from flows.start import start_engine

    place = Site.claimed(site.resolve())
    with start_engine(flow.engine.value, place.root / "drift-runs", workers=0):
        (found,) = drift(place, uri, (model,), settings)
    if flow.as_json:
        report = None if found.report is None else json.loads(found.report.canonical_json())
        say_json({"ok": True, "model": found.model, "new_windows": found.new, "said": found.said, "report": report})
        return
    say(found.said)
    if found.report is not None:
        folder = drift_folder(place, found.model)
        say(f"table    {folder / 'report.md'}\npicture  {folder / 'drift.png'}")
