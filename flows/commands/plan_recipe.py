"""The command that plans a recipe from a folder's fingerprint: plan-recipe."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from data_contracts.errors import OutputError
from flows.commands.common import CommandGroup, column_names, command, say, say_json
from flows.commands.options import AsJson, ColumnNames, PatientPattern


class PlannedTask(StrEnum):
    classification = "classification"
    segmentation = "segmentation"


@command("plan-recipe", group=CommandGroup.TRAINING)
def plan_recipe(
    folder: Annotated[Path, typer.Argument(help="Folder with cases.csv or dataset.json, or of DICOM studies.")],
    task: Annotated[PlannedTask | None, typer.Option(help="What is asked, where the folder does not say it.")] = None,
    out: Annotated[Path | None, typer.Option(help="File to write; by default NAME.yaml, named after the folder.")] = None,
    column: ColumnNames = None,
    patient_pattern: PatientPattern = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=1, max=10000, help="Time that the teacher's training may take on two cores; by default 60, and no more than 60 epochs."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a folder and write a whole recipe for it: patch, spacing, intensities, networks, batch, epochs, each with its reason."""
    from medkd.planning.decide import decide
    from medkd.planning.read_folder import PlanHints, read_fingerprint
    from medkd.planning.write_recipe import fingerprint_lines, recipe_name, recipe_yaml

    name = recipe_name(folder.resolve().name)
    file = out or Path(f"{name}.yaml")
    if os.path.lexists(file):
        raise OutputError("OUT_EXISTS", f"expected a file that does not exist yet, {file} does; name another one with --out")
    named = column_names(column)
    hints = PlanHints(None if task is None else task.value, named.get("label"), named.get("patient"), patient_pattern, named.get("id"))
    found = read_fingerprint(folder.resolve(), hints)
    plan = decide(found, minutes=minutes)
    text = recipe_yaml(name, found, plan)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    if as_json:
        chosen = {"kind": plan.kind, "image_size": plan.image_size.value, "batch_size": plan.batch.value, "epochs": plan.epochs.value}
        chosen["spacing_mm"] = None if plan.spacing is None else plan.spacing.value
        say_json({"recipe": str(file), "fingerprint": fingerprint_lines(found), "unknown": list(found.unknown), **chosen})
        return
    say("\n".join(fingerprint_lines(found)))
    for question in found.unknown:
        say(f"to be answered: {question}")
    say(f"wrote {file}; `medkd recipe check {file}`, `medkd plan {file}` and `medkd run {file}` go on (MEDKD_DATA names the folder above)")
