"""The task: what is predicted, and what a network sees at once."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from data_contracts.errors import DataError
from data_contracts.record import Finite, FrozenModel

#: What the image of a case is called that has one.
ONE_IMAGE = "image"
#: Most images of a case, and most columns of its clinical row.
MOST_INPUTS = 32

Option = bool | int | float | str | None | tuple[int, ...] | tuple[float, ...] | tuple[str, ...]


class TaskKind(StrEnum):
    """What is predicted: one class per image, one class per pixel, or a scored box per lesion."""

    CLASSIFICATION = "classification"
    SEGMENTATION = "segmentation"
    DETECTION = "detection"

    @property
    def is_dense(self) -> bool:
        """Return whether there is an answer for every place of the image: the labels are then masks, of which a detector takes the boxes."""
        return self is not TaskKind.CLASSIFICATION


class Role(StrEnum):
    """What a registered version is: a network in one of two roles, or what a teacher said."""

    TEACHER = "teacher"
    STUDENT = "student"
    KNOWLEDGE = "knowledge"


class Task(FrozenModel):
    """The question: its kind, its classes, and what a network sees at once.

    Attributes:
        kind: one class per image (``classification``), one per pixel or voxel (``segmentation``), or a box with a score for each lesion
            (``detection``; the boxes of the labels are those of the components of the masks).
        classes: names of the classes; the first is the background or the negative class.
        image_size: (row, column) for pictures, which are brought to it, or (slice, row, column) for volumes, which are cut into patches of it.
        window: range of stored values that is mapped to [-1, 1]: HU for CT, 0 to 255 for 8-bit pictures.
        intensity: ``window`` maps values by ``window``; ``standardised`` brings each volume to mean 0 and deviation 1 within itself (MR has
            no unit), clipped between percentiles first; ``z_score`` does so without clipping and counts the box round what is not zero, as
            nnU-Net v2 does.
        overlap: share by which neighbouring windows of a sliding prediction overlap.
        spacing_mm: spacing that volumes are resampled to (slice, row, column, after axes were brought to the patient's); None takes them as
            they are.
        test_time_flips: axes of ``image_size``; logits are averaged over the image and all its mirrorings along them.
        case_classes: negative and positive class of the whole image, where a segmentation also classifies it with a second head; left out of
            the record where it does not.
        channels: names of the images of a case (sequences, modalities) that a network sees side by side, in the order of its channels; left out
            of the record where a case has one image, which is called ``image`` then.
        clinical: columns of the clinical row that goes with an image (classification); a network gets each as a channel of one value, and one
            more that is 1 where the value is missing. Left out of the record where there are none.
    """

    kind: TaskKind
    classes: tuple[str, ...] = Field(min_length=2)
    image_size: tuple[int, int] | tuple[int, int, int] = (64, 64)
    window: tuple[Finite, Finite] = (-160.0, 240.0)
    intensity: Literal["window", "standardised", "z_score"] = "window"
    overlap: Finite = Field(default=0.5, ge=0, lt=1)
    spacing_mm: tuple[Finite, Finite, Finite] | None = None
    test_time_flips: tuple[int, ...] = ()
    case_classes: tuple[str, ...] = Field(default=(), exclude_if=lambda names: not names)
    channels: tuple[str, ...] = Field(default=(), max_length=MOST_INPUTS, exclude_if=lambda names: not names)
    clinical: tuple[str, ...] = Field(default=(), max_length=MOST_INPUTS, exclude_if=lambda names: not names)

    def model_post_init(self, context: Any) -> None:
        """Axes of flips are axes of the image, each once; what says more than the kind fits to it."""
        inputs = (*self.image_names, *self.clinical)
        if len(set(inputs)) < len(inputs) or not all(inputs):
            raise ValueError(f"expected different names of channels and clinical columns, got {list(inputs)}")
        if self.clinical and self.kind is not TaskKind.CLASSIFICATION:
            raise ValueError(f"expected clinical columns beside a classification, got {list(self.clinical)} of a {self.kind.value}")
        if self.case_classes and (self.kind is not TaskKind.SEGMENTATION or len(self.case_classes) != 2):
            raise ValueError(
                f"expected two case_classes (negative, positive) of a segmentation, got {self.case_classes} of a {self.kind.value}"
            )
        if self.kind is TaskKind.DETECTION and (len(self.classes) != 2 or self.test_time_flips):
            raise ValueError(
                f"expected one class of lesions beside the background and no test_time_flips for a detection, got {self.classes} and {self.test_time_flips}"
            )
        # Negative axes are refused too: -1 names an axis that another number names already.
        if len(set(self.test_time_flips)) != len(self.test_time_flips) or not set(self.test_time_flips) <= set(range(self.spatial_dims)):
            raise ValueError(f"expected different axes below {self.spatial_dims} in test_time_flips, got {self.test_time_flips}")

    @property
    def spatial_dims(self) -> Literal[2, 3]:
        """Return 2 for pictures and 3 for volumes."""
        return 3 if len(self.image_size) == 3 else 2

    @property
    def image_names(self) -> tuple[str, ...]:
        """Return what the images of a case are called."""
        return self.channels or (ONE_IMAGE,)

    @property
    def input_names(self) -> tuple[str, ...]:
        """Return what each channel of a network's input is called."""
        return (*self.image_names, *self.clinical, *(f"{column} is missing" for column in self.clinical))

    @property
    def row_channels(self) -> int:
        """Return how many channels carry the clinical row: the last ones."""
        return 2 * len(self.clinical)

    @property
    def in_channels(self) -> int:
        """Return how many channels a network gets."""
        return len(self.image_names) + self.row_channels

    def seen_through(self, inputs: tuple[str, ...]) -> Task:
        """Return the task of a network that sees some of the images and columns, in the order in which the task names them."""
        return self.model_copy(
            update={name: tuple(one for one in getattr(self, name) if one in inputs) for name in ("channels", "clinical")}
        )

    def seeing_also(self, other: Task) -> Task:
        """Return the task with all that another one's network sees."""
        if (self.channels, self.clinical) == (other.channels, other.clinical):
            return self
        return self.model_copy(
            update={name: tuple(dict.fromkeys((*getattr(self, name), *getattr(other, name)))) for name in ("channels", "clinical")}
        )

    def places_in(self, shown: Task) -> tuple[int, ...]:
        """Return which channels of what is shown a network of this task sees.

        Raises:
            DataError: ``TASK_INPUTS`` when it needs what is not shown.
        """
        names, wanted = shown.input_names, list(self.input_names)
        if len(self.image_names) == len(shown.image_names) == 1 and not (self.channels and shown.channels):
            wanted[0] = names[0]  # the only image of a case, whatever it is called
        missing = [name for name in wanted if name not in names]
        if missing:
            raise DataError("TASK_INPUTS", f"expected the inputs {wanted} of a network, {missing[0]!r} is not among {list(names)}")
        return tuple(names.index(name) for name in wanted)

    def of_cases(self) -> Task:
        """Return the classification of whole images that the second head of a multi-task network answers."""
        return self.model_copy(update={"kind": TaskKind.CLASSIFICATION, "classes": self.case_classes, "case_classes": ()})

    def without_cases(self) -> Task:
        """Return the segmentation alone."""
        return self.model_copy(update={"case_classes": ()})

    def of_head(self, head: Literal["segmentation", "classification"]) -> Task:
        """Return the task of one head of a multi-task network alone."""
        return self.of_cases() if head == "classification" else self.without_cases()


def require_kind(task: Task, what: str, *kinds: TaskKind) -> None:
    """Refuse a task of another kind than ``kinds``: what was written for two kinds must not take a third for one of them.

    Args:
        task: whose kind is asked.
        what: what is done, as the end of "for".
        kinds: that it is done for; classification and segmentation where none is named.

    Raises:
        DataError: ``TASK_KIND``.
    """
    known = kinds or (TaskKind.CLASSIFICATION, TaskKind.SEGMENTATION)
    if task.kind not in known:
        names = " or ".join(kind.value for kind in known)
        raise DataError(
            "TASK_KIND", f"expected a task of {names} for {what}, got {task.kind.value}: there is nothing to show of it here yet"
        )


def has_served_form(task: Task) -> bool:
    """Return whether a network of a task has a form that answers without medkd and torch.

    Boxes are decoded and merged outside of a network, so that a detector has none. Nor has one that sees a clinical row: whoever asks a form brings
    images.
    """
    return task.kind is not TaskKind.DETECTION and not task.clinical


def require_one_image(task: Task, what: str) -> None:
    """Refuse a network that needs more than one image of a case, where there is nothing but that.

    Args:
        task: whose inputs are asked.
        what: what is done, as the end of "for".

    Raises:
        DataError: ``TASK_INPUTS``.
    """
    if task.in_channels != 1:
        raise DataError(
            "TASK_INPUTS",
            f"expected a network that sees one image for {what}, this one sees {', '.join((*task.image_names, *task.clinical))}: "
            "ask a student of it that sees the image alone",
        )


class NetworkSpec(FrozenModel):
    """A builder of ``medkd/models`` and its options; in and out channels follow from the task.

    Attributes:
        builder: name of the network in the catalogue (``medkd list networks``).
        in_channels: channels of the image.
        out_channels: number of classes.
        spatial_dims: 2 for pictures, 3 for volumes.
        options: options of the builder.
        rank_ratio: share of the ranks that convolutions keep as products of small ones (``medkd/models/_tucker.py``); None leaves them whole.
        layer_widths: channels in and out that are left of each layer that lost some (structured pruning), by the layer's name; left out of the
            record where it is empty: networks that were not pruned keep their digests.
        class_groups: places of the network's own classes that make up each class of the task, where a teacher from elsewhere has other classes;
            left out of the record where it is empty.
        row_channels: how many of the channels of the image, the last ones, carry a clinical row; left out of the record where none do.
    """

    builder: str
    in_channels: int = Field(default=1, ge=1)
    out_channels: int = Field(default=2, ge=1)
    spatial_dims: Literal[2, 3] = 2
    options: dict[str, Option] = Field(default_factory=dict)
    rank_ratio: Finite | None = Field(default=None, gt=0, le=1)
    layer_widths: dict[str, tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]] = Field(
        default_factory=dict, exclude_if=lambda widths: not widths
    )
    class_groups: tuple[tuple[Annotated[int, Field(ge=0)], ...], ...] = Field(default=(), exclude_if=lambda groups: not groups)
    row_channels: int = Field(default=0, ge=0, exclude_if=lambda count: not count)
