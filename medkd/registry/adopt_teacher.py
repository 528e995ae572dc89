"""The registered teacher of a recipe, brought into its workspace once it is known to fit: it is judged like one that was trained here."""

from __future__ import annotations

import torch

from data_contracts import Checkpoint, Recipe, RegistryError, Role, Task
from medkd.models._load import load_network
from medkd.registry.load_version import adopt
from medkd.registry.publish import open_registry
from medkd.storage.workspace import Workspace
from medkd.trace import frozen


def registered_teacher(workspace: Workspace, recipe: Recipe) -> Checkpoint:
    """Return the checkpoint of the version that ``teacher.registered`` names, every byte verified, its weights in the workspace's store.

    Raises:
        RegistryError: as ``Registry.fetch``; ``TEACHER_ROLE`` for a student's version, ``TEACHER_TASK`` for one of another task, naming what
            the recipe says and what the teacher sees.
    """
    uri = recipe.teacher.registered
    if uri is None:
        raise TypeError(f"expected a registered teacher in {recipe.name}, it trains its own")
    model, checkpoint, _ = adopt(workspace, open_registry(workspace), uri)
    if model.role is not Role.TEACHER:
        raise RegistryError("TEACHER_ROLE", f"expected a teacher at teacher.registered of {recipe.name}, {uri} is a {model.role.value}")
    require_same_task(recipe.task, checkpoint.task, uri)
    _require_answer(workspace, recipe, checkpoint, uri)
    # Students and scorecards know a teacher by this name, whatever the recipe that it came from called it.
    return checkpoint.model_copy(update={"arm": "teacher"})


def require_same_task(recipe: Task, teacher: Task, uri: str) -> None:
    """Refuse a teacher that sees other images than the students of a recipe, or answers in other classes.

    Raises:
        RegistryError: ``TEACHER_TASK``.
    """
    names = ["kind", "classes", "spatial_dims", "intensity"]
    names += ["window"] if recipe.intensity == teacher.intensity == "window" else []
    differing = [name for name in names if getattr(recipe, name) != getattr(teacher, name)]
    if recipe.spacing_mm is None or teacher.spacing_mm is None:
        differing += ["spacing_mm"] if recipe.spacing_mm != teacher.spacing_mm else []
    elif any(abs(one / other - 1) > 0.01 for one, other in zip(recipe.spacing_mm, teacher.spacing_mm, strict=True)):
        differing.append("spacing_mm")
    if differing:
        said = "; ".join(
            f"task.{name} is {_shown(getattr(recipe, name))}, the teacher's {_shown(getattr(teacher, name))}" for name in differing
        )
        raise RegistryError(
            "TEACHER_TASK", f"expected a teacher that sees what the students see, {uri} does not: {said}; set the recipe's to the teacher's"
        )


def _shown(value: object) -> str:
    return str(list(value) if isinstance(value, tuple) else value)


def _require_answer(workspace: Workspace, recipe: Recipe, checkpoint: Checkpoint, uri: str) -> None:
    """Ask the network about an empty image of the students' size: patches that a network cannot take end here and not in training."""
    network, size = load_network(workspace, checkpoint), recipe.task.image_size
    try:
        with frozen(network), torch.no_grad():
            network(torch.zeros(2, checkpoint.task.in_channels, *size))
    except Exception as error:  # networks refuse sizes in any way
        why = " ".join(str(error).split())[:120]
        sentence = (
            f"expected a teacher that takes images of {list(size)}, {uri} does not ({why}); its own are {list(checkpoint.task.image_size)}"
        )
        raise RegistryError("TEACHER_TASK", sentence) from error
