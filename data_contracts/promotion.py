"""Promotion: the policy that a registered version is checked by, the verdict, who signed it, and how aliases moved."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from data_contracts.model import Lineage
from data_contracts.record import MIGRATIONS, Estimate, Finite, FrozenModel, Sha256, VersionedRecord

#: What a policy does about a check that could not be made.
NotMeasured = Literal["refuse", "accept"]
PolicyTheme = Literal[
    "task",
    "subgroups",
    "calibration",
    "evidence",
    "agreement",
    "faithfulness",
    "randomisation",
    "losses",
    "controls",
    "cost",
    "compression",
    "shortcuts",
    "integrity",
    "leakage",
    "lineage",
]


class TaskPolicy(FrozenModel):
    """How well a version must do its task: not worse than the champion by more than a margin.

    Attributes:
        figures: what is compared, on the test without the planted bias where there is one: ``auc``, or a per-case quantity in [0, 1] in
            which more is better, such as ``dice``; those that the version's results have.
        margin: largest loss against the champion that is allowed; the lower bound of the difference must not be below its negative.
        teacher_margin: the same against the teacher, where there is no champion yet.
        floor: least lower bound of the figure itself; None asks for none.
    """

    figures: tuple[str, ...] = Field(default=("auc", "dice"), min_length=1)
    margin: Finite = Field(default=0.02, ge=0)
    teacher_margin: Finite = Field(default=0.1, ge=0)
    floor: Finite | None = 0.5


class SubgroupPolicy(FrozenModel):
    """How well a version must do its task in every subgroup: value of an attribute, label, third of the lesion sizes.

    Attributes:
        margin: largest loss against the champion in a subgroup.
        teacher_margin: the same against the teacher, where there is no champion yet.
        min_patients: smaller subgroups are named and not judged.
    """

    margin: Finite = Field(default=0.1, ge=0)
    teacher_margin: Finite = Field(default=0.2, ge=0)
    min_patients: int = Field(default=10, ge=2)


class CalibrationPolicy(FrozenModel):
    """What a version's probabilities must be worth.

    Attributes:
        max_ece: largest expected calibration error on validation patients, each calibrated by parameters fitted on others.
    """

    max_ece: Finite = Field(default=0.1, gt=0, le=1)


class EvidencePolicy(FrozenModel):
    """How much of its class maps must lie on the lesion: not less than the champion's by more than a margin.

    Attributes:
        figures: per-case quantities of the class maps that are compared.
        margin: largest loss against the champion that is allowed; the lower bound of the difference must not be below its negative.
        teacher_margin: the same against the teacher, where there is no champion yet.
        floor: least lower bound of the figure itself; None asks for none.
    """

    figures: tuple[str, ...] = Field(default=("relevance_mass_accuracy",), min_length=1)
    margin: Finite = Field(default=0.05, ge=0)
    teacher_margin: Finite = Field(default=0.15, ge=0)
    floor: Finite | None = None


class AgreementPolicy(FrozenModel):
    """How alike a student's class maps and its teacher's must be (mean cosine).

    Attributes:
        margin: largest loss against a champion of the same teacher.
        floor: least lower bound of the agreement itself.
    """

    margin: Finite = Field(default=0.1, ge=0)
    floor: Finite | None = 0.0


class FaithfulnessPolicy(FrozenModel):
    """By what the maps of a version must be better than maps that know nothing of it (random, edges, centre).

    Attributes:
        measures: faithfulness measures; empty takes all that its explanations were measured by.
        min_gain: by how much the first trusted explainer must be better than each baseline.
    """

    measures: tuple[str, ...] = ()
    min_gain: Finite = Field(default=0.0, ge=0)


class RandomisationPolicy(FrozenModel):
    """How many explainers must depend on the weights of the version.

    Attributes:
        min_explainers: number of explainers whose maps change when the weights are drawn anew.
    """

    min_explainers: int = Field(default=1, ge=1)


class LossesPolicy(FrozenModel):
    """How much a student may surely have lost against its teacher, by its registered loss statement (``LossStatement``).

    A loss counts where the statement says that it is sure: its bound, which holds for all figures together, is above 0. Each limit is put to
    the largest sure loss of its axis; None asks nothing of the axis.

    Attributes:
        cases: of right answers (or Dice) over all cases.
        small_lesions: the same on the smallest third of the lesions.
        subgroup: the same in any subgroup.
        calibration: of the expected calibration error.
        agreement_of_reasons: of class maps that agree with the teacher's, and of their share in the lesion.
    """

    cases: Finite | None = Field(default=0.1, ge=0)
    small_lesions: Finite | None = Field(default=0.2, ge=0)
    subgroup: Finite | None = Field(default=0.2, ge=0)
    calibration: Finite | None = Field(default=0.1, ge=0)
    agreement_of_reasons: Finite | None = Field(default=0.5, ge=0)


class ControlsPolicy(FrozenModel):
    """By what a version must be better than the same arm with explanations that are not the teacher's.

    Attributes:
        min_gain: least lower bound of the difference in the task's figure, version less control.
    """

    min_gain: Finite = 0.0


class CostPolicy(FrozenModel):
    """What an answer may cost, measured on the serving form, on the machine that promotes.

    Attributes:
        max_latency_ms: largest median time of one forward pass of one image or window, one thread, ms.
        max_peak_mib: largest resident memory of a process that loads the form and answers, MiB.
        max_size_mib: largest size of the network's file, MiB.
    """

    max_latency_ms: Finite = Field(default=1000.0, gt=0)
    max_peak_mib: Finite = Field(default=2048.0, gt=0)
    max_size_mib: Finite = Field(default=256.0, gt=0)


class ShortcutsPolicy(FrozenModel):
    """Which artefacts a version may not follow, by the shortcut audit that is registered beside it (``AuditReport``).

    Attributes:
        kinds: kinds of artefacts that refuse a version that follows one; an effect of a scanner's setting (``acquisition``) is a lack of
            robustness before it is a shortcut, and is named only.
        allowed: names of artefacts that may be followed all the same.
        beyond_bound: what is done about an artefact of these kinds whose effect lies wholly beyond the bound and which is no more than ``undetermined``
            (noise of equal energy, which is much for a large mark, moves the answers as far): ``warn`` names it in the verdict, ``refuse`` refuses
            the version. Left out of the record where it is ``warn``.
    """

    kinds: tuple[Literal["mark", "acquisition", "removal"], ...] = ("mark", "removal")
    allowed: tuple[str, ...] = ()
    beyond_bound: Literal["warn", "refuse"] = Field(default="warn", exclude_if=lambda value: value == "warn")


class NotMeasuredPolicy(FrozenModel):
    """What is done where a check of a theme could not be made: ``refuse``, or ``accept`` with the reason in the verdict.

    Attributes:
        task: non-inferiority at the task.
        subgroups: non-inferiority in subgroups.
        calibration: expected calibration error.
        evidence: evidence on the lesion.
        agreement: agreement with the teacher.
        faithfulness: faithfulness against the baselines.
        randomisation: whether maps depend on the weights.
        losses: what was lost against the teacher; a student without a loss statement, or with one that compares nothing.
        controls: gain over control arms.
        cost: latency, memory, size.
        integrity: whether every file is what was registered.
        leakage: whether a tested patient was trained on.
        lineage: whether the teacher is there and is the one that was learned from.
        compression: what a version that was made of another costs and keeps; left out of the record where it is ``refuse``.
        shortcuts: whether the version was audited for shortcuts; left out of the record where it is ``accept``.
    """

    task: NotMeasured = "refuse"
    subgroups: NotMeasured = "accept"
    calibration: NotMeasured = "accept"
    evidence: NotMeasured = "refuse"
    agreement: NotMeasured = "accept"
    faithfulness: NotMeasured = "accept"
    randomisation: NotMeasured = "refuse"
    losses: NotMeasured = "refuse"
    controls: NotMeasured = "accept"
    cost: NotMeasured = "accept"
    integrity: NotMeasured = "refuse"
    leakage: NotMeasured = "refuse"
    lineage: NotMeasured = "refuse"
    # Left out where it is the default: policies that were written before keep their digests.
    compression: NotMeasured = Field(default="refuse", exclude_if=lambda value: value == "refuse")
    shortcuts: NotMeasured = Field(default="accept", exclude_if=lambda value: value == "accept")


class PromotionPolicy(VersionedRecord):
    """What a registered version must show before an alias is moved to it; a YAML file (``medkd/promotion/default_policy.yaml``).

    Attributes:
        name: of the policy, for tables and sentences.
        description: whom it is for.
        task: non-inferiority at the task.
        subgroups: non-inferiority in subgroups.
        calibration: what probabilities are worth.
        evidence: evidence on the lesion.
        agreement: agreement with the teacher.
        faithfulness: faithfulness against the baselines.
        randomisation: whether maps depend on the weights.
        losses: what was surely lost against the teacher.
        controls: gain over control arms.
        cost: latency, memory, size.
        shortcuts: artefacts that may not be followed; left out of the record where it is the default.
        not_measured: what is done where a check could not be made.
    """

    SCHEMA: ClassVar[str] = "promotion_policy/2"
    name: str = Field(pattern=r"^[a-z][a-z0-9-]{1,40}$")
    description: str = ""
    task: TaskPolicy = TaskPolicy()
    subgroups: SubgroupPolicy = SubgroupPolicy()
    calibration: CalibrationPolicy = CalibrationPolicy()
    evidence: EvidencePolicy = EvidencePolicy()
    agreement: AgreementPolicy = AgreementPolicy()
    faithfulness: FaithfulnessPolicy = FaithfulnessPolicy()
    randomisation: RandomisationPolicy = RandomisationPolicy()
    losses: LossesPolicy = LossesPolicy()
    controls: ControlsPolicy = ControlsPolicy()
    cost: CostPolicy = CostPolicy()
    shortcuts: ShortcutsPolicy = Field(default=ShortcutsPolicy(), exclude_if=lambda value: value == ShortcutsPolicy())
    not_measured: NotMeasuredPolicy = NotMeasuredPolicy()


def _promotion_policy_2(earlier: dict[str, Any]) -> dict[str, Any]:
    """Lift a policy that was written before losses were asked about: it goes on asking nothing of them."""
    not_measured = earlier.get("not_measured", {})
    if isinstance(not_measured, dict):
        not_measured = {**not_measured, "losses": "accept"}
    nothing = dict.fromkeys(LossesPolicy.model_fields)
    return {**earlier, "schema_version": PromotionPolicy.SCHEMA, "losses": nothing, "not_measured": not_measured}


MIGRATIONS["promotion_policy/1"] = _promotion_policy_2
MIGRATIONS["promotion_verdict/1"] = lambda earlier: {**earlier, "schema_version": "promotion_verdict/2"}


class CheckOutcome(StrEnum):
    """What came of a check: a check that could not be made never counts as one that holds."""

    HOLDS = "holds"
    FAILS = "fails"
    NOT_MEASURED = "not measured"
    NOT_APPLICABLE = "not applicable"


class PromotionCheck(FrozenModel):
    """One check of a promotion policy: figures, threshold, outcome and the reason in one sentence.

    Attributes:
        theme: part of the policy.
        name: what was looked at.
        outcome: ``holds``, ``fails``, ``not measured``, or ``not applicable`` (the policy asks nothing of such a version).
        value: figure of the version.
        reference: figure of what it is compared with.
        figure: what the threshold is put to, with its 95 % interval; None of a plain number.
        threshold: the policy's.
        required: whether the policy refuses the version where the check could not be made.
        reason: one sentence, with both figures where there are two.
    """

    theme: PolicyTheme
    name: str
    outcome: CheckOutcome
    value: Finite | None = None
    reference: Finite | None = None
    figure: Estimate | None = None
    threshold: Finite | None = None
    required: bool = True
    reason: str

    @property
    def holds(self) -> bool | None:
        """Return whether the check holds; None where it was not measured or does not apply."""
        return {CheckOutcome.HOLDS: True, CheckOutcome.FAILS: False}.get(self.outcome)

    @property
    def refuses(self) -> bool:
        """Return whether the version is refused for it."""
        return self.outcome is CheckOutcome.FAILS or (self.outcome is CheckOutcome.NOT_MEASURED and self.required)


class PromotionVerdict(VersionedRecord):
    """What a promotion policy found of a registered version. The teacher gate of a recipe is another thing (``GateVerdict``).

    Attributes:
        subject: the version that was checked, ``NAME/VERSION@DIGEST``.
        compared_with: the version that it was compared with; None where there was none.
        compared_role: what that version is: the champion, or the subject's teacher where there is no champion.
        policy: name of the policy.
        policy_digest: of the policy.
        inputs_digest: sha256 of everything that the verdict depends on: versions, policy, explanations. Equal inputs are not checked again.
        checks: every check.
        passed: whether none of them refuses the version.
    """

    SCHEMA: ClassVar[str] = "promotion_verdict/2"
    subject: Lineage
    compared_with: Lineage | None = None
    compared_role: Literal["champion", "teacher", "none"] = "none"
    policy: str
    policy_digest: Sha256
    inputs_digest: Sha256
    checks: tuple[PromotionCheck, ...] = Field(min_length=1)
    passed: bool

    @model_validator(mode="after")
    def _passed_as_checked(self) -> PromotionVerdict:
        if self.passed != (not self.refusing):
            raise ValueError(f"expected passed to be what the checks say, got {self.passed} with {len(self.refusing)} that refuse")
        return self

    @property
    def refusing(self) -> tuple[PromotionCheck, ...]:
        """Return the checks for which the version is refused."""
        return tuple(check for check in self.checks if check.refuses)

    @property
    def id(self) -> str:
        """Return the short name of the verdict: artefacts and tags are called by it."""
        return self.inputs_digest[:12]


class SignOff(VersionedRecord):
    """A person answers for a verdict; without one no version becomes the champion.

    Attributes:
        signed_by: name of the person.
        role: in which capacity.
        statement: what the person states.
        verdict_digest: of the verdict that was read: a signature under one verdict is none under another.
        signed_at: time with its zone, ISO 8601.
    """

    SCHEMA: ClassVar[str] = "promotion_sign_off/1"
    signed_by: str = Field(min_length=1, max_length=200)
    role: str = Field(min_length=1, max_length=200)
    statement: str = Field(min_length=1, max_length=2000)
    verdict_digest: Sha256
    signed_at: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d([+-]\d\d:\d\d|Z)$")


class PromotionEvent(VersionedRecord):
    """One move of the alias ``champion``, written before aliases move and marked ``done`` when they were read back.

    Attributes:
        number: of the event, from 1, without gaps.
        kind: ``promotion`` or ``rollback``.
        version: the champion from then on.
        before: the champion until then; None where there was none.
        previous: where ``previous`` stands from then on; None for nowhere.
        verdict: id of the verdict of a promotion; empty of a rollback.
        done: whether the aliases were moved and read back.
    """

    SCHEMA: ClassVar[str] = "promotion_event/1"
    number: int = Field(ge=1)
    kind: Literal["promotion", "rollback"]
    version: int = Field(ge=1)
    before: int | None = Field(default=None, ge=1)
    previous: int | None = Field(default=None, ge=1)
    verdict: str = ""
    done: bool = False
