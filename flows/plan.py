"""About how long each part of a run takes: one bar says the time left of the whole, and short runs start no worker processes.

Measured on two AVX2 cores in float32. For the bar only the proportions matter: it scales them by what has really passed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from data_contracts import Network, Recipe, Role, TrainingConfig

#: Seconds of a training step per case and megapixel, for a network of 100 thousand parameters; more parameters cost their cube root or so.
_PER_MEGAPIXEL = 1.0
#: A worker process needs ten seconds of a core before it can train: imports of torch, MONAI and Lightning.
_START_OF_A_WORKER = 10.0
_EVALUATE, _CALIBRATE, _DESCRIBE, _STATE_LOSS, _REGISTER, _EXPLAIN_STUDIES, _REPORT = 1.2, 0.2, 0.5, 0.1, 1.0, 8.0, 2.0
#: Explaining the first student of an arm, and each further one, which is explained on fewer cases.
_EXPLAIN, _EXPLAIN_FURTHER = 3.0, 0.8


def expected_seconds(recipes: Sequence[Recipe], *, reports: bool) -> dict[str, float]:
    """Return the expected seconds of each group of calls of a pipeline, by its title."""
    seconds = {"cohorts": 4.0, "teachers": 0.0, "students": 0.0, "evaluate": 0.0, "scorecards": 2.0, "compare": 2.0, "calibrate": 0.0}
    seconds |= {"training cases": 0.0, "losses": 0.0, "explain": 0.0, "register": 0.0}
    for recipe in recipes:
        students = len(recipe.arms) * len(recipe.seeds)
        seconds["teachers"] = max(seconds["teachers"], _training(recipe, Role.TEACHER))
        further = [(one, one.folds or 1) for one in recipe.teachers.values()]
        alike = [_training(recipe.model_copy(update={"teacher": one}), Role.TEACHER) * networks for one, networks in further]
        seconds["further teachers"] = seconds.get("further teachers", 0.0) + sum(alike) / 2
        seconds["students"] += students * _training(recipe, Role.STUDENT) / 2
        seconds["evaluate"] += (students + 1) * _EVALUATE / 2
        seconds["calibrate"] += students * _CALIBRATE / 2
        seconds["training cases"] += students * _DESCRIBE / 2
        seconds["losses"] += students * _STATE_LOSS / 2
        seconds["explain"] += len(recipe.arms) * (_EXPLAIN + (len(recipe.seeds) - 1) * _EXPLAIN_FURTHER) / 2
        seconds["register"] += (students + 1) * _REGISTER
    return {"ingest": 6.0, **seconds, "explain studies": _EXPLAIN_STUDIES, "reports": _REPORT} if reports else seconds


def workers_for(recipes: Sequence[Recipe]) -> int | None:
    """Return 0 where worker processes would take longer to start than they save, else None: as many as the engine takes by default.

    ``MEDKD_WORKERS`` is above it.
    """
    training = sum(
        _training(recipe, Role.TEACHER) + len(recipe.arms) * len(recipe.seeds) * _training(recipe, Role.STUDENT) for recipe in recipes
    )
    return 0 if training < 2 * _START_OF_A_WORKER and "MEDKD_WORKERS" not in os.environ else None


def _training(recipe: Recipe, role: Role) -> float:
    if role is Role.TEACHER and recipe.teacher.registered is not None:
        return 0.0
    part: tuple[Network, TrainingConfig] = (
        (recipe.teacher.network, recipe.teacher.fit) if role is Role.TEACHER else (recipe.student.network, recipe.student.fit)
    )
    parameters = _parameters(part[0])
    pixels = 1.0
    for extent in recipe.task.image_size:
        pixels *= extent
    cases = part[1].samples_per_epoch or _cases(recipe, role)
    return float(part[1].epochs * cases * pixels / 1e6 * _PER_MEGAPIXEL * (parameters / 1e5) ** 0.35)


def _cases(recipe: Recipe, role: Role) -> int:
    """Return how many cases an epoch draws where the recipe says it, and a guess where the data do."""
    return int(getattr(recipe.data, role.value, 500) or 500)


def _parameters(network: Network) -> float:
    """Return roughly how many parameters a network has, from its widths: building it means seconds of imports."""
    widths = next((network.options[name] for name in ("channels", "filters", "features") if name in network.options), None)
    return 15.0 * sum(int(width) ** 2 for width in widths) if isinstance(widths, list | tuple) else 1e6
