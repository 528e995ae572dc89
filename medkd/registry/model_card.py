"""The card of a version: what stands on it of the recipe, of its training, and of the people whose data it learned from."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from pathlib import Path

from data_contracts import (
    Calibration,
    Checkpoint,
    DataError,
    DicomData,
    ImageFolderData,
    Lineage,
    ModelCard,
    Recipe,
    TrainingDomain,
    TrainingManifest,
    VolumeFolderData,
)
from medkd.cohorts.case_table import patient_key, read_table
from medkd.cohorts.prepare import data_folder
from medkd.registry.recipe_result import RecipeResult

#: What holds of a student that saw no case, by what it saw.
NO_CASE = {
    "synthesised": "Trained on pictures synthesised from its teacher, and on no case; such pictures can show something of the cases that the teacher was trained on.",
    "noise": "Trained on noise, and on no case: a control.",
}
#: What holds of every model.
LIMITS = ("Trained and measured on the cohorts named here only.", "Attribution maps say what the network used, not what is true.")


def model_card(
    result: RecipeResult,
    checkpoint: Checkpoint,
    teachers: tuple[Lineage, ...],
    calibration: Calibration | None,
    people: tuple[TrainingManifest, Path],
) -> ModelCard:
    """Return the card of a trained network.

    Args:
        result: its recipe, which says what is segmented and where the data come from.
        checkpoint: of the network, its domain already :func:`registered_domain`'s.
        teachers: that it learned from, in the order of its arm.
        calibration: of its probabilities.
        people: whose data it and its teacher were trained on, and the folder that the recipe's ``data.path`` is relative to.
    """
    recipe = result.recipe
    return ModelCard(
        name=f"{recipe.name}-{checkpoint.arm}",
        role=checkpoint.role,
        task=checkpoint.task,
        parameters=checkpoint.parameters,
        precision=checkpoint.precision,
        cohort_digest=checkpoint.cohort_digest,
        recipe_digest=checkpoint.recipe_digest,
        teacher=teachers[0] if teachers else None,
        further_teachers=teachers[1:],
        domain=checkpoint.domain,
        calibration=None if calibration is None else calibration.summary(),
        structures=recipe.card.structures,
        data=recipe.card.data,
        patients=named_patients(recipe, people[1], people[0].patients) if recipe.card.name_patients else {},
        series=recipe.data.channels if isinstance(recipe.data, DicomData) else {},
        limits=(*((NO_CASE[checkpoint.cases],) if checkpoint.cases != "real" else ()), *limits_of(checkpoint)),
    )


def limits_of(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Return what holds of every model, and of one that sees a named image, a row, or was never shown a class."""
    task, said = checkpoint.task, list(LIMITS)
    if task.channels or task.clinical:
        said.append(f"Sees {', '.join((*task.image_names, *task.clinical))} of a case; about other images it was never asked.")
    if checkpoint.hidden_classes:
        said.append(
            f"No label of its training showed {', '.join(checkpoint.hidden_classes)}: what it says of it was learned from its teacher alone."
        )
    return tuple(said)


def registered_domain(recipe: Recipe, domain: TrainingDomain) -> TrainingDomain:
    """Return a training's domain with what the recipe says of it: what is done with other studies, modality and unit where files say none.

    Said at registration, not in training: a recipe that changes it trains nothing again.
    """
    said = recipe.card.data
    found = {"outside": recipe.outside_training, "modalities": domain.modalities, "units": domain.units}
    if said is not None:
        found |= {"modalities": domain.modalities or (said.modality,), "units": domain.units or (said.unit,)}
    return domain.model_copy(update=found)


def named_patients(recipe: Recipe, data_root: Path, keys: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return what the table of a recipe's data calls the patients of some keys, and their cases, in order.

    Args:
        recipe: whose data are a folder with a table.
        data_root: folder that ``data.path`` is relative to.
        keys: of patients, as a training manifest has them.

    Raises:
        DataError: ``PATIENT_UNNAMED`` for keys of nobody in the table: a card must not leave a training patient out.
    """
    root = data_folder(recipe.data, data_root)
    if root is None or not isinstance(recipe.data, ImageFolderData | VolumeFolderData):
        raise DataError("PATIENT_UNNAMED", f"expected data with a table of patients, {recipe.name} has {recipe.data.kind}")
    column, lines = recipe.data.patient_column, read_table(root, recipe.data)
    names = {patient_key(name): name for name in {line[column] for line in lines}}
    unnamed = sorted(set(keys) - set(names))
    if unnamed:
        raise DataError(
            "PATIENT_UNNAMED",
            f"expected every training patient of {recipe.name} in column {column!r} of {recipe.data.table}, {len(unnamed)} of {len(keys)} are "
            "not: the table or the site's secret is not that of the training; register with those, or leave out card.name_patients",
        )
    wanted = {names[key] for key in keys}
    cases = sorted((line[column], line[recipe.data.id_column]) for line in lines if line[column] in wanted)
    return {name: tuple(case for _, case in own) for name, own in groupby(cases, key=itemgetter(0))}
