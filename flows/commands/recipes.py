"""Commands about recipes: recipe new, recipe check, recipe show."""

from __future__ import annotations

import os
import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from data_contracts.errors import OutputError, RecipeError
from flows.commands.common import CommandGroup, WholeHelp, app, command, recipe_overrides, say, say_json
from flows.commands.options import AsJson, Overrides, RecipeFile

if TYPE_CHECKING:
    from medkd.training.check_recipe import RecipeCheck

recipe_app = typer.Typer(cls=WholeHelp, no_args_is_help=True, rich_markup_mode=None, help="Write, check and show recipes.")
app.add_typer(recipe_app, name="recipe", rich_help_panel=CommandGroup.TRAINING)

TEMPLATES = Path(__file__).parents[1] / "recipes" / "templates"
SCHEMA = Path(__file__).parents[2] / "docs" / "schemas" / "recipe_3.json"


class RecipeKind(StrEnum):
    phantom_classification = "phantom-classification"
    phantom_segmentation = "phantom-segmentation"
    images = "images"
    volumes = "volumes"
    dicom = "dicom"


@command(of=recipe_app)
def new(
    kind: Annotated[RecipeKind, typer.Argument(help="What the cases are: invented, or a folder of pictures, volumes (NIfTI) or DICOM.")],
    out: Annotated[Path, typer.Argument(help="File to write, for example my-recipe.yaml.")],
    as_json: AsJson = False,
) -> None:
    """Write a commented recipe to begin with; the phantom's run as they are, the others once they name your folder and columns."""
    # lexists: a link that leads nowhere would be followed by the writing.
    if os.path.lexists(out):
        raise OutputError("OUT_EXISTS", f"expected a file that does not exist yet, {out} does; name another one")
    text = (TEMPLATES / f"{kind.value}.yaml").read_text(encoding="utf-8")
    # The file's name becomes the run's where it can: two recipes from one template would share models and folder.
    name = re.sub(r"[^a-z0-9-]+", "-", out.stem.lower()).strip("-")
    if re.fullmatch(r"[a-z][a-z0-9-]{1,40}", name):
        text = re.sub(r"^name: .*$", f"name: {name}", text, count=1, flags=re.MULTILINE)
    _, _, rest = text.partition("\n")  # the first line leads from the template to the schema
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text((f"{_schema_line(out)}\n" if SCHEMA.is_file() else "") + rest, encoding="utf-8")
    if as_json:
        say_json({"recipe": str(out), "kind": kind.value})
    else:
        say(f"wrote {out}; `medkd recipe check {out}` says what is still to be filled in")


def _schema_line(out: Path) -> str:
    """Return the line by which editors find what a recipe's fields mean."""
    return f"# yaml-language-server: $schema={Path(os.path.relpath(SCHEMA, out.resolve().parent)).as_posix()}"


@command(of=recipe_app)
def check(recipe: RecipeFile, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Say everything that is wrong with a recipe and with the data that it names, with file and line, before any compute."""
    from medkd.training.check_recipe import check_recipe

    wanted, root = recipe_overrides(overrides)
    found = check_recipe(recipe, wanted, data_root=root)
    lines = [_mistake(found, recipe, number) for number in range(len(found.mistakes))]
    if as_json:
        say_json({"ok": not lines, "recipe": str(recipe), "mistakes": lines})
    else:
        for line in lines:
            place = f"{line['file']}:{line['line']}" if line["line"] else "--set" if line["set"] else line["file"]
            say(f"{place}: {line['field'] or 'recipe'}: {line['message']} [{line['code']}]")
    if lines:
        codes = {line["code"] for line in lines}
        number = "one mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
        raise RecipeError(
            codes.pop() if len(codes) == 1 else "RECIPE_INVALID", f"expected a recipe without mistakes, {recipe} has {number}"
        )
    if not as_json and found.recipe is not None:
        students = len(found.recipe.arms) * len(found.recipe.seeds)
        say(f"{recipe} is right: a teacher and {students} students ({', '.join(found.recipe.arms)}; {len(found.recipe.seeds)} seeds)")


def _mistake(found: RecipeCheck, recipe: Path, number: int) -> dict[str, Any]:
    mistake = found.mistakes[number]
    return {
        "code": mistake.error.code,
        "field": mistake.field,
        "file": str(recipe),
        "line": found.source.line(mistake.place),
        "set": found.source.is_override(mistake.place),
        "message": str(mistake.error),
    }


@command(of=recipe_app)
def show(recipe: RecipeFile, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Print the recipe as it is run, as YAML: every default filled in, every --set applied."""
    import yaml

    from medkd.training.recipes import read_recipe

    read = read_recipe(recipe, recipe_overrides(overrides)[0])
    if as_json:
        say_json({"recipe": read.model_dump(mode="json"), "digest": read.digest()})
    else:
        say(yaml.safe_dump(read.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120).rstrip())
