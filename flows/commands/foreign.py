"""Command about teachers that were trained elsewhere: import-teacher."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data_contracts.errors import RecipeError
from flows.commands.common import CommandGroup, command, pairs, say, say_json
from flows.commands.options import AsJson, ReceivingRegistryOptions

if TYPE_CHECKING:
    from medkd.foreign.import_teacher import ImportedTeacher


class SourceKindName(StrEnum):
    auto = "auto"
    bundle = "bundle"
    nnunet = "nnunet"
    state_dict = "state-dict"


@dataclass(frozen=True)
class TeacherSourceOptions:
    """What is said of a teacher from elsewhere beside its files."""

    kind: Annotated[SourceKindName, typer.Option(help="What it is; auto looks.")] = SourceKindName.auto
    task: Annotated[
        Path | None,
        typer.Option(help="YAML file with what the source does not say: task, network or monai, orientation, licence, patients."),
    ] = None
    class_map: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS=THEIRS[+THEIRS]", help="A class of the version and those of the source that it stands for; may be repeated."
        ),
    ] = None
    fold: Annotated[
        list[str] | None,
        typer.Option(help="Fold of nnU-Net to take; may be repeated. All become one ensemble without."),
    ] = None
    name: Annotated[str | None, typer.Option(help="Name to register it by; by default the source's own.")] = None


@command("import-teacher", group=CommandGroup.REGISTRY)
def import_teacher_command(
    source: Annotated[Path, typer.Argument(help="MONAI Bundle or nnU-Net v2 results (folder or zip), or a file of weights.")],
    described: TeacherSourceOptions,
    receiving: ReceivingRegistryOptions,
    as_json: AsJson = False,
) -> None:
    """Register a teacher that was trained elsewhere, rebuilt and with where it comes from; a recipe's gate judges it before students copy it."""
    classes = _class_map(described.class_map)
    with receiving.open() as registry:
        from medkd.foreign.import_teacher import ImportRequest, import_teacher

        folds = tuple(described.fold or ())
        done = import_teacher(registry, ImportRequest(source, described.kind.value, described.task, classes, folds, described.name))
    if as_json:
        say_json(_described(done))
        return
    say(_text(done))


def _class_map(items: list[str] | None) -> dict[str, tuple[str, ...]]:
    found = {name: tuple(named.split("+")) for name, named in pairs(items, "--class-map CLASS=THEIRS").items()}
    if len(found) != len(items or ()):
        raise RecipeError("OPTION_PAIR", "expected each class once in --class-map, one is there twice; join its classes with +")
    return found


def _described(done: ImportedTeacher) -> dict[str, object]:
    task = done.checkpoint.task
    return {
        "ok": True,
        "uri": done.model.uri,
        "kind": done.source.kind,
        "network": done.checkpoint.network.builder,
        "parameters": done.checkpoint.parameters,
        "members": done.source.members,
        "classes": list(task.classes),
        "image_size": list(task.image_size),
        "closed_form": done.closed_form,
        "training_patients_known": done.source.training_patients_known,
        "caveats": list(done.source.caveats),
    }


def _text(done: ImportedTeacher) -> str:
    task, source = done.checkpoint.task, done.source
    several = f", mean of {source.members} networks" if source.members > 1 else ""
    spacing = "" if task.spacing_mm is None else f", spacing_mm: {list(task.spacing_mm)}"
    window = f", window: {list(task.window)}" if task.intensity == "window" else ""
    lines = [
        f"{done.model.uri}  {done.checkpoint.network.builder}, {done.checkpoint.parameters:,} parameters{several}",
        f"  {source.kind}: {source.name} {source.version}; licence {source.licence or 'not said'}; digests of {len(source.files)} files kept",
        *(f"  caveat: {caveat}" for caveat in source.caveats),
        "  a recipe learns from it, once its gate has judged it, with",
        f"    task: {{kind: {task.kind.value}, classes: {list(task.classes)}, image_size: {list(task.image_size)}, intensity: {task.intensity}{window}{spacing}}}",
        f"    teacher: {{registered: {done.model.uri}, gate: {{{'min_dice: 0.8' if task.kind.value == 'segmentation' else 'min_auc: 0.8'}}}}}",
    ]
    return "\n".join(lines)
