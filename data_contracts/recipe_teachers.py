"""Which teachers a recipe has, of how many networks each, and in which order they can be trained."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from data_contracts.training_recipe import BUILT_IN_TEACHERS, Arm, TeacherRecipe


class TeacherNetwork(NamedTuple):
    """One network of a teacher: the name of the teacher, and the number of its fold, from 1; None where it has no folds."""

    teacher: str
    fold: int | None = None

    @property
    def arm(self) -> str:
        """Return what its files and its registered model are called by."""
        further = "" if self.teacher == "teacher" else f"_{self.teacher}"
        return f"teacher{further}" + ("" if self.fold is None else f"_fold{self.fold}")


#: The network of the teacher that every recipe has.
THE_TEACHER = TeacherNetwork("teacher")


class WithTeachers(Protocol):
    """The part of a recipe that says who teaches whom."""

    @property
    def teacher(self) -> TeacherRecipe:
        """Return the teacher that students are measured by."""
        ...

    @property
    def teachers(self) -> dict[str, TeacherRecipe]:
        """Return further teachers."""
        ...

    @property
    def arms(self) -> dict[str, Arm]:
        """Return the arms."""
        ...


def teacher_named(recipe: WithTeachers, name: str) -> TeacherRecipe:
    """Return a teacher of a recipe."""
    return recipe.teacher if name == "teacher" else recipe.teachers[name]


def networks_of(recipe: WithTeachers, name: str) -> tuple[TeacherNetwork, ...]:
    """Return the networks of a teacher: one, or one per fold."""
    folds = teacher_named(recipe, name).folds
    return (TeacherNetwork(name),) if folds is None else tuple(TeacherNetwork(name, fold) for fold in range(1, folds + 1))


def network_called(recipe: WithTeachers, arm: str) -> TeacherNetwork:
    """Return the network of a teacher by what its files are called by."""
    return next(network for name in ("teacher", *recipe.teachers) for network in networks_of(recipe, name) if network.arm == arm)


def teacher_rounds(recipe: WithTeachers) -> tuple[tuple[TeacherNetwork, ...], ...]:
    """Return the networks of further teachers in rounds: each learns from none, or from one of a round before, or from ``teacher``."""
    done, rounds = {"teacher"}, list[tuple[TeacherNetwork, ...]]()
    while len(done) <= len(recipe.teachers):
        ready = [name for name, one in recipe.teachers.items() if name not in done and (one.learns_from is None or one.learns_from in done)]
        done |= set(ready)
        rounds.append(tuple(network for name in ready for network in networks_of(recipe, name)))
    return tuple(rounds)


def student_rounds(recipe: WithTeachers) -> tuple[tuple[str, ...], ...]:
    """Return the arms in rounds: those whose teacher is the student of another arm come after it; in each round in the recipe's order."""
    done, rounds = set[str](), list[tuple[str, ...]]()
    while len(done) < len(recipe.arms):
        ready = tuple(
            name
            for name, arm in recipe.arms.items()
            # An arm of a recipe that was narrowed to it asks a student that is not trained here.
            if name not in done and ("self" not in arm.teachers or arm.self_arm in done or arm.self_arm not in recipe.arms)
        )
        done |= set(ready)
        rounds.append(ready)
    return tuple(rounds)


def stored_readers(recipe: WithTeachers, teacher: str) -> tuple[Arm, ...]:
    """Return the arms that read what a teacher stored."""
    return tuple(arm for arm in recipe.arms.values() if arm.knowledge == "store" and teacher in arm.teachers)


def check_teachers(recipe: WithTeachers) -> None:
    """Refuse teachers that cannot be trained or asked.

    Raises:
        ValueError: one sentence about the first.
    """
    for name, one in {"teacher": recipe.teacher, **recipe.teachers}.items():
        _check_teacher(recipe, name, one)
    arms = {network.arm for name in recipe.teachers for network in networks_of(recipe, name)}
    if arms & set(recipe.arms):
        raise ValueError(f"expected arms that are not called as the networks of further teachers, got {sorted(arms & set(recipe.arms))}")
    _refuse_circle({name: one.learns_from for name, one in recipe.teachers.items()}, "teachers that learn from one another in a line")
    for name, arm in recipe.arms.items():
        _check_arm(recipe, name, arm)
    _refuse_circle(
        {name: arm.self_arm if "self" in arm.teachers else None for name, arm in recipe.arms.items()}, "a self_arm before its arm"
    )


def _check_teacher(recipe: WithTeachers, name: str, one: TeacherRecipe) -> None:
    known = sorted({"teacher", *recipe.teachers})
    if name == "teacher" and (one.learns_from is not None or one.folds is not None):
        raise ValueError(
            f"expected one network that learns from none as teacher, which students are measured by, got learns_from {one.learns_from!r} and folds "
            f"{one.folds}: put them under teachers.NAME"
        )
    if name != "teacher" and (name in BUILT_IN_TEACHERS or not name.replace("_", "").isalnum() or not name.islower() or "__" in name):
        raise ValueError(
            f"expected names of further teachers of lower-case letters, digits and underscores, none of {sorted(BUILT_IN_TEACHERS)}, got {name!r}"
        )
    if name != "teacher" and one.registered is not None:
        raise ValueError(
            f"expected a registered version as the recipe's own teacher alone, got registered of {name!r} among the further teachers"
        )
    if one.learns_from is not None and (one.learns_from not in known or teacher_named(recipe, one.learns_from).folds is not None):
        raise ValueError(f"expected a teacher of one network as learns_from of {name!r}, one of {known}, got {one.learns_from!r}")


def _check_arm(recipe: WithTeachers, name: str, arm: Arm) -> None:
    known = {"teacher", *recipe.teachers, *BUILT_IN_TEACHERS}
    unknown = [teacher for teacher in arm.teachers if teacher not in known]
    if unknown:
        raise ValueError(f"expected teachers of arm {name!r} among {sorted(known)}, got {unknown[0]!r}")
    if "self" in arm.teachers and arm.self_arm not in recipe.arms:
        raise ValueError(f"expected an arm of the recipe as self_arm of {name!r}, one of {sorted(recipe.arms)}, got {arm.self_arm!r}")


def _refuse_circle(above: dict[str, str | None], expected: str) -> None:
    for name in above:
        seen, current = {name}, above[name]
        while current in above and current is not None:
            if current in seen:
                raise ValueError(f"expected {expected}, {name!r} comes back to {current!r}")
            seen.add(current)
            current = above[current]
