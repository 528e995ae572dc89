"""Compression: what is tried on a registered student, what each form of it costs and keeps, and which is refused."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from data_contracts.model import Checkpoint, Lineage
from data_contracts.record import Estimate, Finite, FrozenModel, Key, Ref, Sha256, VersionedRecord
from data_contracts.training_config import LossTerm, TrainingConfig


class FormKind(StrEnum):
    """What a version can be exported to."""

    ONNX = "onnx"
    OPENVINO = "openvino"
    BUNDLE = "bundle"


class ExportedForm(VersionedRecord):
    """An exported form of a registered version, as it is attached below it (``forms/NAME/``).

    Attributes:
        name: of the form: its kind, or the name of the candidate that it came from.
        kind: its format.
        source: the version that it was made of.
        precision: of its weights and operations.
        files: sha256 of each file by its place in the form's folder.
        bytes: of all files that are needed to ask it.
        runtime: library that parity was measured with, and its version (``onnxruntime 1.32.0``).
        logits_difference: largest difference of a logit from the version's own network, as a share of the largest magnitude or of 1.
        map_difference: of a class map, alike; None where the network has no closed-form map.
        compared: images that parity was measured on.
    """

    SCHEMA: ClassVar[str] = "exported_form/1"
    name: Key
    kind: FormKind
    source: Lineage
    precision: Literal["fp32", "int8"] = "fp32"
    files: dict[str, Sha256]
    bytes: int = Field(ge=0)
    runtime: str
    logits_difference: Finite
    map_difference: Finite | None = None
    compared: int = Field(ge=1)


class Pruning(FrozenModel):
    """Channels that are taken out of a network, whole (structured pruning; Fang et al. 2023, 2301.12900).

    Attributes:
        share: of the channels of each group of layers that is removed.
        importance: what a channel is judged by: the norm of its weights (``magnitude``), the loss that its removal would cost to first
            order (``taylor``, Molchanov et al. 2019), or what it contributes to the attributions that the teacher's are compared with
            (``attribution``).
        steps: rounds of removal, with tuning in between.
        dynamic: the rounds lie within one distillation, and what was judged unimportant may come back until the last of them.
    """

    share: Finite = Field(gt=0, lt=1)
    importance: Literal["magnitude", "taylor", "attribution"] = "magnitude"
    steps: int = Field(default=1, ge=1, le=32)
    dynamic: bool = False


class Tuning(FrozenModel):
    """Training after, or between, compression: distillation from a frozen network.

    Attributes:
        fit: how it is trained; with ``Pruning.steps`` the epochs are shared among the rounds.
        terms: its objective.
        distill_from: who is imitated: the ``teacher`` that the version was distilled from, or the version itself before it was compressed (``origin``).
        keep_attributions: weight of a term that keeps that network's attributions (``attribution_transfer`` of class maps, the function that
            distillation uses); 0 leaves it out. The control of attribution-preserving compression differs in this number alone.
    """

    fit: TrainingConfig
    terms: tuple[LossTerm, ...] = Field(min_length=1)
    distill_from: Literal["teacher", "origin"] = "teacher"
    keep_attributions: Finite = Field(default=0.0, ge=0)


class Quantisation(FrozenModel):
    """Weights and activations as 8-bit integers.

    Attributes:
        method: ``static`` calibrates ranges on training cases, ``dynamic`` finds those of activations while it is asked, ``aware`` trains with
            simulated rounding, as ``Tuning`` says.
        by: who quantises and who is asked then: NNCF with OpenVINO, or ONNX Runtime.
        cases: training cases that ranges are calibrated on; never a test case, and no patient of the test.
        largest_drop: loss of the task figure on training cases that accuracy control allows (NNCF puts layers back to float32 until it
            holds); None quantises without.
    """

    method: Literal["static", "dynamic", "aware"] = "static"
    by: Literal["openvino", "onnx"] = "openvino"
    cases: int = Field(default=32, ge=1)
    largest_drop: Finite | None = Field(default=None, ge=0)


class Candidate(FrozenModel):
    """One way to compress: factorised, pruned, tuned, quantised, in this order, and asked by a runtime.

    Attributes:
        rank_ratio: share of the ranks that convolutions keep (Tucker-2), the control; None leaves them whole.
        prune: channels that are removed.
        tune: training afterwards (between the rounds, where there are several).
        quantise: 8-bit integers.
        runtime: what asks the result.
    """

    rank_ratio: Finite | None = Field(default=None, gt=0, le=1)
    prune: Pruning | None = None
    tune: Tuning | None = None
    quantise: Quantisation | None = None
    runtime: Literal["torch", "onnx", "openvino"] = "openvino"

    def model_post_init(self, context: Any) -> None:
        """Refuse what cannot be carried out."""
        if self.quantise is not None and self.runtime != self.quantise.by:
            raise ValueError(f"expected runtime {self.quantise.by!r} of what {self.quantise.by} quantises, got {self.runtime!r}")
        if self.quantise is not None and self.quantise.method == "aware" and self.tune is None:
            raise ValueError("expected `tune` beside quantisation-aware training: it says how it is trained and who is imitated")
        if self.prune is not None and self.prune.dynamic and self.tune is None:
            raise ValueError("expected `tune` beside dynamic pruning, which happens while it trains")


class CompressionBounds(FrozenModel):
    """What a form may lose against the float32 version that it came from, as bounds of paired intervals.

    Attributes:
        task_loss: largest loss of the task figure (Dice or AUC), lower bound of the paired difference.
        calibration_loss: largest rise of the expected calibration error.
        map_rank_correlation: least mean rank correlation of class maps with the version's own.
        lesion_share_loss: largest loss of the maps' share in the lesion.
        sign_stability: least share of the map's cells that keep their sign, weighted by magnitude.
        speed: least speed-up end to end over the version asked by its own runtime (``torch``); 1 refuses what is slower.
        speed_same_runtime: least speed-up over the float32 version asked by the same runtime as the form: what is faster for its runtime alone
            has gained nothing by what was done to it.
    """

    task_loss: Finite = Field(default=0.01, ge=0)
    calibration_loss: Finite = Field(default=0.02, ge=0)
    map_rank_correlation: Finite = Field(default=0.95, ge=-1, le=1)
    lesion_share_loss: Finite = Field(default=0.05, ge=0)
    sign_stability: Finite = Field(default=0.9, ge=0, le=1)
    speed: Finite = Field(default=1.0, gt=0)
    speed_same_runtime: Finite = Field(default=1.0, gt=0)


class CompressionRecipe(VersionedRecord):
    """What `medkd compress` tries on one registered student.

    Attributes:
        name: of the run.
        recipe: the recipe that gives data, splits and teacher: a shipped name or a file beside this one.
        model: the registered student, ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``; it must come from that recipe's data.
        candidates: what is tried, by name; the version itself, asked by torch, ONNX Runtime and OpenVINO, always stands beside them.
        bounds: what a form may lose.
        seeds: of training within candidates; figures of a candidate are over all of them.
        cases: most test cases that forms are compared on; None takes all.
    """

    SCHEMA: ClassVar[str] = "compression_recipe/1"
    name: Key
    recipe: str
    model: str
    candidates: dict[str, Candidate] = Field(min_length=1)
    bounds: CompressionBounds = CompressionBounds()
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0,)
    cases: int | None = Field(default=None, ge=2)

    def model_post_init(self, context: Any) -> None:
        """Refuse names that the version itself has."""
        super().model_post_init(context)
        taken = {"torch", "onnx", "openvino"} & set(self.candidates)
        if taken:
            raise ValueError(
                f"expected other names of candidates than {sorted(taken)}: so the version itself is called, asked by each runtime"
            )


class FormRefusal(FrozenModel):
    """Why a form is not proposed: a bound that it misses, or a step that could not be taken."""

    code: str
    why: str


class MadeForm(VersionedRecord):
    """A form that was made of a candidate, before anything of it is measured.

    Attributes:
        name: of the candidate; ``torch``, ``onnx`` and ``openvino`` are the version itself.
        seed: of what was trained for it; that of the version where nothing was.
        checkpoint: of its network: the version's own where nothing was trained.
        runtime: what asks it.
        precision: of its weights and operations.
        files: what is needed to ask it, by file name; empty of one that torch asks, whose weights the checkpoint has.
        refusal: why it could not be made; None of one that was.
    """

    SCHEMA: ClassVar[str] = "made_form/1"
    name: Key
    seed: int
    checkpoint: Checkpoint
    runtime: Literal["torch", "onnx", "openvino"]
    precision: Literal["fp32", "int8"] = "fp32"
    files: dict[str, Ref] = Field(default_factory=dict)
    refusal: FormRefusal | None = None


class FormAnswers(VersionedRecord):
    """What a form answered about the test cases.

    Attributes:
        name: of the form.
        seed: of the form.
        figure: name of the task figure (``dice``, ``auc``).
        patients: of whose each case is.
        labels: class of each case; empty of segmentations.
        arrays: per case: ``task`` [n] (Dice, or the probability of the second class), ``gaps`` [n, bin] and ``counts`` [n] of which the expected
            calibration error is made.
        maps: ``maps`` [m, class, *space] of the first m cases and ``answers`` (the form's class of each voxel or case); None without maps.
    """

    SCHEMA: ClassVar[str] = "form_answers/1"
    name: Key
    seed: int
    figure: Literal["dice", "auc"]
    patients: tuple[str, ...]
    labels: tuple[int, ...] = ()
    arrays: Ref
    maps: Ref | None = None


class FormFigures(FrozenModel):
    """What one form was measured to do and to cost, on the named processor.

    Attributes:
        name: of the candidate; ``torch``, ``onnx`` and ``openvino`` are the version itself.
        runtime: what asks it.
        precision: of its weights and operations.
        parameters: of its network.
        bytes: of the files that are needed to ask it.
        task: Dice or AUC, with its interval over patients.
        task_difference: form minus version, paired by patients.
        calibration: expected calibration error.
        calibration_difference: form minus version.
        map_rank_correlation: mean Spearman correlation of the form's class maps with the version's; None where there is no map.
        map_lesion_share: share of the positive map in the lesion, form minus version, paired.
        map_sign_stability: share of the version's map magnitude whose sign the form keeps.
        seconds_per_case: median wall seconds end to end (resample, network, arg-max, write), one thread.
        speed: the version's seconds (``torch``) divided by the form's, median of the interleaved pairs, with their range as interval.
        speed_same_runtime: alike, of the version asked by the form's own runtime.
        peak_megabytes: largest resident memory of a process that loads the form and answers one case, MB (10^6 bytes).
        watt_hours_per_case: estimate from processor seconds and the watts of ``medkd/training/energy.py``.
        refusals: why it is not proposed; empty of one that is within all bounds.
        on_front: true where no other form within the bounds is at least as good in task figure, map agreement, bytes and seconds.
    """

    name: str
    runtime: Literal["torch", "onnx", "openvino"]
    precision: Literal["fp32", "int8"] = "fp32"
    parameters: int = Field(ge=0)
    bytes: int = Field(ge=0)
    task: Estimate
    task_difference: Estimate | None = None
    calibration: Estimate | None = None
    calibration_difference: Estimate | None = None
    map_rank_correlation: Estimate | None = None
    map_lesion_share: Estimate | None = None
    map_sign_stability: Estimate | None = None
    seconds_per_case: Finite | None = Field(default=None, json_schema_extra={"measured": True})
    speed: Estimate | None = Field(default=None, json_schema_extra={"measured": True})
    speed_same_runtime: Estimate | None = Field(default=None, json_schema_extra={"measured": True})
    peak_megabytes: Finite | None = Field(default=None, json_schema_extra={"measured": True})
    watt_hours_per_case: Finite | None = Field(default=None, json_schema_extra={"measured": True})
    refusals: tuple[FormRefusal, ...] = ()
    on_front: bool = False


class CompressionReport(VersionedRecord):
    """The Pareto table of `medkd compress`.

    Attributes:
        name: of the recipe.
        source: the version that was compressed.
        task_figure: name of the task figure (``dice``, ``auc``).
        processor: on which seconds and memory were measured, and its instructions that matter (AVX2, AVX512-VNNI, AMX).
        forms: what was measured, the version itself first.
        failed: candidates that could not be made, with the reason.
    """

    SCHEMA: ClassVar[str] = "compression_report/1"
    name: str
    source: Lineage
    task_figure: str
    processor: str
    forms: tuple[FormFigures, ...]
    failed: dict[str, FormRefusal] = Field(default_factory=dict)
