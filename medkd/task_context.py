"""What a term is asked to work under: known before training, so that a term which cannot work there says so before any compute."""

from __future__ import annotations

from dataclasses import dataclass

#: Why a term that compares classes with one another has nothing to compare where there are two.
TWO_CLASSES = "use binary_kd or logit_kd: with two classes one number, the margin, says everything"


@dataclass(frozen=True)
class TaskContext:
    """The circumstances of a term.

    A loss that cannot work everywhere declares ``incompatible_reason(circumstances, **options) -> str | None`` beside its function: the reason why it
    cannot work, one clause, or None.

    Attributes:
        task: ``classification`` or ``segmentation``.
        classes: number of the student's classes.
        from_store: whether the teacher's answers come from a knowledge store, where the logits of a segmentation are kept up to a constant
            per voxel (which no softmax sees).
    """

    task: str
    classes: int
    from_store: bool = False


#: Circumstances that a catalogue's listing tries.
COMMON = {
    "with two classes": TaskContext("classification", 2),
    "for segmentation from a store": TaskContext("segmentation", 3, from_store=True),
}
