"""Teachers that were trained elsewhere: what they say of themselves, and what a person says of them."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, JsonValue

from data_contracts.record import Finite, FrozenModel, Sha256, VersionedRecord
from data_contracts.task import Task
from data_contracts.training_config import Network

_AXIS_OF = {"L": 0, "R": 0, "A": 1, "P": 1, "S": 2, "I": 2}
SourceKind = Literal["bundle", "nnunet", "state-dict"]


class MonaiClass(FrozenModel):
    """A network of MONAI.

    Attributes:
        name: of its class in ``monai.networks.nets``, for example ``SegResNet``.
        arguments: of the class, without channels and spatial dimensions, which follow from the task.
    """

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")
    arguments: dict[str, JsonValue] = Field(default_factory=dict)


class TeacherDescription(FrozenModel):
    """The file of ``medkd import-teacher --task``: what a source does not say of itself.

    Attributes:
        task: what the teacher predicts, its classes in the order of its channels, and how images are brought to it.
        network: its network in the catalogue; ``network`` or ``monai`` of a plain state dict.
        monai: its network in MONAI.
        input_scale: factor of the intensities (a window is mapped to [-1, 1]) before the first layer.
        input_shift: what is added then; 0.5 and 0.5 turn [-1, 1] into [0, 1].
        orientation: where the axes of the array point that its code reads, each by where its index grows: ``SAR`` for (slice, row, column) of
            NIfTI files in RAS as nnU-Net reads them, ``SPL`` of those in LPS, ``RAS`` for arrays as MONAI reads them; None for what the source
            says, and ``SAR`` where it does not.
        prefix: begin of the names of its weights that is cut off, for example ``net.``.
        name: of the teacher, by which it is registered.
        version: as its authors count.
        authors: who made it.
        licence: of the weights.
        patients: names of the patients that it was trained on, as the recipe's table has them; empty where that is not known.
    """

    task: Task | None = None
    network: Network | None = None
    monai: MonaiClass | None = None
    input_scale: Finite = 1.0
    input_shift: Finite = 0.0
    orientation: str | None = Field(default=None, pattern=r"^[LRAPSI]{3}$")
    prefix: str = ""
    name: str | None = None
    version: str = ""
    authors: str = ""
    licence: str = ""
    patients: tuple[str, ...] = ()

    def model_post_init(self, context: Any) -> None:
        """Refuse two networks."""
        if self.network is not None and self.monai is not None:
            raise ValueError(
                f"expected network or monai, got both ({self.network.builder}, {self.monai.name}): a state dict is of one of them"
            )
        if self.orientation is not None and len({_AXIS_OF[letter] for letter in self.orientation}) < 3:
            raise ValueError(f"expected one letter for each axis of the patient, as in RAS, got {self.orientation!r}")


class ForeignSource(VersionedRecord):
    """Where an imported teacher comes from; ``source.json`` of its version.

    Attributes:
        kind: of the source.
        name: as the source calls it.
        version: as its authors count.
        authors: who made it, as the source says.
        licence: of its weights, as the source says.
        files: sha256 of the files that were read, by their place in the source.
        classes: as the source names them, in the order of its channels.
        members: networks whose logits are averaged.
        training_patients_known: whether it was said whose data it was trained on: leakage into a test cannot be excluded otherwise.
        caveats: what of its preprocessing medkd does in another way, or does not know.
    """

    SCHEMA: ClassVar[str] = "foreign_source/1"
    kind: SourceKind
    name: str
    version: str = ""
    authors: str = ""
    licence: str = ""
    files: dict[str, Sha256]
    classes: tuple[str, ...]
    members: int = Field(default=1, ge=1)
    training_patients_known: bool = False
    caveats: tuple[str, ...] = ()
