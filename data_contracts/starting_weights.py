"""What a student begins with instead of random weights: a file, a registered version, or what it learned without labels."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from data_contracts.record import Finite, FrozenModel, Ref, Sha256, VersionedRecord


class PretrainedStart(FrozenModel):
    """Weights of before that a student begins with.

    Attributes:
        source: registered version, ``models:/NAME/VERSION``, or a file of weights below the folder of the data: safetensors, or one of torch that
            holds tensors alone. Its layers are those of the student's network, by name.
        layers: ``all`` of them, or those of the ``encoder`` (what reads the image: the decoder and the head begin at random).
        mismatched: what is done with a layer of another shape, or one that the source lacks: ``refuse``, or ``skip``, which leaves it random.
            Which layers were taken is in the checkpoint. The head is skipped where the classes are others.
    """

    source: str = Field(min_length=1, max_length=400)
    layers: Literal["all", "encoder"] = "all"
    mismatched: Literal["refuse", "skip"] = "refuse"

    def model_post_init(self, context: Any) -> None:
        """Refuse a file that does not lie below the folder of the data: a recipe may be a stranger's."""
        plain = self.source.replace("\\", "/")
        if not self.source.startswith("models:/") and (plain.startswith(("/", "~")) or ".." in plain.split("/") or ":" in plain):
            raise ValueError(
                f"expected models:/NAME/VERSION or a file below the folder of the data (MEDKD_DATA), got {self.source[:100]!r}"
            )


class PretrainingConfig(FrozenModel):
    """Training without labels: parts of each image are hidden and the network fills them in (masked image modelling; SimMIM, Xie et al. 2022,
    2111.09886; of volumes Zhou et al. 2022, 2203.05573).

    Only images that the student may learn from are seen: its training cases and the unlabelled ones, never a patient of a test.

    Attributes:
        kind: ``masked``.
        mask_ratio: share of the cells that is hidden.
        cell: voxels of a hidden cell along each axis.
        epochs: times that the images are gone through.
        batch_size: images of one step.
        learning_rate: largest rate of AdamW, along half a cosine to a hundredth.
    """

    kind: Literal["masked"] = "masked"
    mask_ratio: Finite = Field(default=0.6, gt=0, lt=1)
    cell: int = Field(default=8, ge=2)
    epochs: int = Field(default=20, ge=1)
    batch_size: int = Field(default=8, ge=2)
    learning_rate: Finite = Field(default=1e-3, gt=0)


class StartingWeights(VersionedRecord):
    """Weights that a student may begin with, as a stage left them.

    Attributes:
        source: what they are: a registered version with its manifest's digest, a file's name, or ``pretraining``.
        weights: the file, safetensors.
        layers: as :class:`PretrainedStart`.
        mismatched: as :class:`PretrainedStart`.
        skip_head: the head begins at random: it answered in other classes, or in none.
        cohort_digest: of the cohorts whose images were seen; empty of weights from elsewhere.
        first_error: mean squared error of hidden voxels in the first epoch, in deviations of the image; None of weights from elsewhere.
        last_error: alike in the last epoch.
    """

    SCHEMA: ClassVar[str] = "starting_weights/1"
    source: str
    weights: Ref
    layers: Literal["all", "encoder"] = "all"
    mismatched: Literal["refuse", "skip"] = "refuse"
    skip_head: bool = False
    cohort_digest: str = ""
    first_error: Finite | None = None
    last_error: Finite | None = None


class TakenWeights(FrozenModel):
    """What a training began with.

    Attributes:
        source: as :class:`StartingWeights`.
        sha256: of the file.
        taken: tensors that were taken, by name.
        random: tensors that began at random: of another shape, not in the source, or not of the encoder.
    """

    source: str
    sha256: Sha256
    taken: tuple[str, ...]
    random: tuple[str, ...] = ()
