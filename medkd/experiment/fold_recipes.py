"""A recipe once per fold: the fold's patients are the test, all others are trained on."""

from __future__ import annotations

from pathlib import Path

from data_contracts import DicomData, FoldChoice, PhantomData, Recipe, RecipeError
from medkd.cohorts.case_table import columns_of, read_lines
from medkd.cohorts.folder_names import few, require_inside

#: What a column of folds is called.
FOLD_NAMES = ("fold", "kfold", "cv_fold")


def fold_recipes(recipe: Recipe, folds: int, data_root: Path, *, hold_out: bool) -> tuple[Recipe, ...]:
    """Return the recipe of each fold.

    Args:
        recipe: bound; its data are a folder of pictures or volumes.
        folds: how many; where the table has a column of folds, that column decides and must agree.
        data_root: folder that ``data.path`` is relative to.
        hold_out: leave the recipe's validation part out of all folds, so that an ensemble can be asked about it.

    Raises:
        RecipeError: ``FOLDS_DATA`` of other data; ``FOLDS_COLUMN`` where the column has another number of folds; ``FOLDS_HELD_OUT`` where no part
            can be held out.
    """
    data = recipe.data
    if isinstance(data, (PhantomData, DicomData)):
        raise RecipeError(
            "FOLDS_DATA", f"expected a recipe of pictures or volumes in a folder, {recipe.name} reads {data.kind}; export it to one"
        )
    where = dict(data.where)
    lines = read_lines(require_inside(require_inside(data_root, data.path, "the recipe"), data.table, "the recipe")) if data.table else []
    lines = [line for line in lines if all(line[column] == value for column, value in where.items())]
    if hold_out:
        part = data.part_column
        kept = sorted({line[part] for line in lines} - set(data.validation_values)) if part else []
        if len(kept) != 1 or part is None:
            raise RecipeError(
                "FOLDS_HELD_OUT",
                f"expected part_column with one training value beside {list(data.validation_values)} to hold a part out, got {kept or 'no column'}",
            )
        where[part] = kept[0]
        lines = [line for line in lines if line[part] == kept[0]]
    column, values = _folds_of_table(lines)
    if column is not None and len(values) != folds:
        raise RecipeError(
            "FOLDS_COLUMN",
            f"expected {folds} folds, the column {column!r} has {len(values)} ({few(values, 6)}); ask for --folds {len(values)}",
        )
    chosen = [FoldChoice(number=number, of=folds, column=column, value=values[number] if column else None) for number in range(folds)]
    return tuple(
        recipe.model_copy(
            update={
                "name": f"{recipe.name}-fold{fold.number}",
                "data": data.model_copy(update={"fold": fold, "where": where, "part_column": None}),
            }
        )
        for fold in chosen
    )


def _folds_of_table(lines: list[dict[str, str]]) -> tuple[str | None, list[str]]:
    for column in columns_of(lines) if lines else ():
        values = sorted({line[column] for line in lines}, key=lambda value: (len(value), value))
        if column.lower() in FOLD_NAMES and len(values) > 1:
            return column, values
    return None, []
