"""What an experiment does with a recipe beyond training its arms."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from data_contracts.record import Finite, FrozenModel
from data_contracts.task import Option
from data_contracts.training_recipe import AttributionSource


class Condition(FrozenModel):
    """Other circumstances for some arms.

    Attributes:
        overrides: fields of the recipe (dotted) that are different there.
        arms: which arms are trained under them.
        description: what the circumstances are, for the scoreboard.
    """

    overrides: dict[str, Option] = Field(min_length=1)
    arms: tuple[str, ...] = Field(min_length=1)
    description: str = ""


class ArmVariant(FrozenModel):
    """An arm as an experiment reads it; its text is the name that figures, files and tables have: ``arm__control_gap@setting``.

    Attributes:
        arm: of the recipe, or ``teacher``.
        control: whose explanations it gets instead of the teacher's.
        continuation: further epochs after distillation, weighted by the gap or not.
        setting: ``plateau``, or the name of a condition; empty for the arm as the recipe trains it.
    """

    arm: str
    control: AttributionSource | None = None
    continuation: Literal["gap", "longer"] | None = None
    setting: str = ""

    def __str__(self) -> str:
        control = "" if self.control is None else f"__{self.control.value}"
        continuation = "" if self.continuation is None else f"_{self.continuation}"
        return f"{self.arm}{control}{continuation}{f'@{self.setting}' if self.setting else ''}"

    @classmethod
    def parse(cls, text: str) -> ArmVariant:
        """Return the variant that a name is of; the one place where such names are read."""
        # From the outside in: the setting first, then the continuation, then the control.
        name, _, setting = text.partition("@")
        continuation: Literal["gap", "longer"] | None = None
        if name.endswith("_gap"):
            name, continuation = name.removesuffix("_gap"), "gap"
        elif name.endswith("_longer"):
            name, continuation = name.removesuffix("_longer"), "longer"
        arm, _, control = name.partition("__")
        return cls(arm=arm, control=AttributionSource(control) if control else None, continuation=continuation, setting=setting)

    def at(self, setting: str) -> ArmVariant:
        """Return the same variant in another setting."""
        return self.model_copy(update={"setting": setting})


class GapFineTuning(FrozenModel):
    """Gap-weighted fine-tuning: rounds after distillation, weighted by the difference of teacher and student (``medkd/experiment/gap_fine_tuning.py``).

    Attributes:
        arm: whose student is trained on.
        rounds: most rounds.
        epochs: further epochs of one round.
        strength: cases and voxels are weighted by their share of the gap to this power.
        least_gain: rounds end when the mean gap on the validation cases falls by less than this share of its value.
    """

    arm: str
    rounds: int = Field(default=3, ge=1)
    epochs: int = Field(default=3, ge=1)
    strength: Finite = Field(default=1.0, ge=0)
    least_gain: Finite = Field(default=0.02, ge=0)


class SelectionCriterion(FrozenModel):
    """What an experiment is judged by, and what its choices are made by (see :class:`ExperimentPlan`).

    Attributes:
        primary: figure that the verdicts are about.
        select: what configurations, weights and epochs are chosen by.
    """

    primary: str
    select: Literal["task", "agreement", "response"]


class ExperimentPlan(FrozenModel):
    """What ``medkd experiment`` does with a recipe beyond training its arms.

    Attributes:
        primary: figure that the verdicts are about (harm, controls, Pareto sweep).
        baselines: the student alone, and plain soft labels.
        select: what configurations, weights and epochs are chosen by, on the same-bias validation cases: ``task`` (AUC, Dice),
            ``agreement`` with the teacher's class maps, or ``response``, agreement of how answers change when parts of the image are
            hidden (arms without a teacher are chosen by ``task``).
        search: configurations per arm, dotted fields of the arm (``terms.1.weight``) or of the recipe (``student.fit.learning_rate``);
            every arm that is searched has the same number of them.
        search_seeds: seeds of the search; they are not seeds of the recipe.
        controlled: arms whose explanations the controls replace; every control is run for each.
        plateau_epochs: budget of the second, longer training that learning curves and plateaus are read from.
        null_repetitions: times the arm alone is trained again from other initial weights: none of them should be called harmful.
        conditions: other circumstances, by name.
        gap: rounds of gap-weighted fine-tuning.
        pareto: arm whose configurations are drawn as accuracy against explanation.
        ceiling: arm that the gap closure is measured up to, instead of the teacher (``arm@condition`` names one of a condition).
    """

    primary: str
    baselines: tuple[str, str] = ("alone", "kd")
    select: Literal["task", "agreement", "response"] = "agreement"
    search: dict[str, tuple[dict[str, Option], ...]] = Field(default_factory=dict)
    search_seeds: tuple[int, ...] = ()
    controlled: tuple[str, ...] = ()
    plateau_epochs: int | None = Field(default=None, ge=2)
    null_repetitions: int = Field(default=0, ge=0)
    conditions: dict[str, Condition] = Field(default_factory=dict)
    gap: GapFineTuning | None = None
    pareto: str | None = None
    ceiling: str | None = None

    @property
    def goal(self) -> SelectionCriterion:
        """Return what a look at a student depends on."""
        return SelectionCriterion(primary=self.primary, select=self.select)

    def model_post_init(self, context: Any) -> None:
        """Refuse unequal search budgets: the arm that is tried more often looks better."""
        # Chosen as the best of n: with a larger n the choice alone lifts the figure.
        budgets = {arm: len(tried) for arm, tried in self.search.items()}
        if len(set(budgets.values())) > 1:
            raise ValueError(f"expected the same number of configurations for every searched arm, got {budgets}")
        if self.search and not self.search_seeds:
            raise ValueError(f"expected search_seeds for the search of {sorted(self.search)}, got none")
