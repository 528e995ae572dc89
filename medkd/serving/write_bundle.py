"""A network as a MONAI Bundle: TorchScript, metadata and an inference configuration that run where medkd is not installed."""

from __future__ import annotations

import io
import json
import re
import zipfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

import torch
from torch import Tensor, nn

from data_contracts import Checkpoint, CompressionError, ModelCard, ModelRef, Task, TaskKind, require_kind, require_one_image
from medkd.inference.predict import averaged_over_flips
from medkd.serving.bundle_inference import MAPS, NETWORK, Config, inference_config
from medkd.serving.bundle_texts import bundle_metadata, bundle_readme
from medkd.serving.export_onnx import ServedNetwork, quiet_exporter
from medkd.trace import frozen, layer_map_of

METADATA, INFERENCE, README, LICENCE = "configs/metadata.json", "configs/inference.json", "docs/README.md", "LICENSE"
#: An archive's own time is no part of it.
_MOMENT = (2020, 1, 1, 0, 0, 0)
#: How torch tells classes of one name apart; in pickles such names end with their line, so that they may be longer or shorter.
_COUNTED = re.compile(rb"___torch_mangle_(\d+)")


@dataclass(frozen=True)
class BundledModel:
    """What a bundle is made of.

    Attributes:
        model: the registered version.
        checkpoint: its checkpoint.
        card: its card; None of a version without one.
        network: built and loaded.
    """

    model: ModelRef
    checkpoint: Checkpoint
    card: ModelCard | None
    network: nn.Module


class _Part(nn.Module):
    """The logits (0) or the class maps (1) of a served network, averaged over a task's mirrorings."""

    def __init__(self, served: ServedNetwork, place: int, flips: tuple[int, ...]) -> None:
        super().__init__()
        self.served, self._place, self._flips = served, place, flips

    def forward(self, image: Tensor) -> Tensor:
        return averaged_over_flips(self._one, self._flips)(image)

    def _one(self, image: Tensor) -> Tensor:
        answer = self.served(image)
        part: Tensor = answer[self._place] if isinstance(answer, tuple) else answer
        return part


def write_bundle(bundled: BundledModel) -> dict[str, bytes]:
    """Return the files of a bundle by their places.

    Raises:
        CompressionError: ``FORM_NOT_EXPORTED`` when the network cannot be traced.
    """
    require_kind(bundled.checkpoint.task, "a MONAI bundle")
    require_one_image(bundled.checkpoint.task, "a MONAI bundle")
    task, network = bundled.checkpoint.task, bundled.network
    served = ServedNetwork(network)
    segments = task.kind is TaskKind.SEGMENTATION
    scripts = {NETWORK: 0, **({MAPS: 1} if served.has_map and not segments else {})}
    config = inference_config(task, _head_bias(network, task) if segments else None, has_maps=served.has_map)
    return {
        **{place: script_of(served, task, part) for place, part in scripts.items()},
        METADATA: _json(bundle_metadata(bundled.model, bundled.checkpoint, bundled.card, _versions())),
        INFERENCE: _json(config),
        README: bundle_readme(bundled.model, bundled.checkpoint, bundled.card).encode(),
        LICENCE: _licence(),
    }


def script_of(served: ServedNetwork, task: Task, part: int) -> bytes:
    """Return a part of a network's answer as TorchScript, traced: 0 logits, 1 class maps. The same bytes each time, without places of this machine.

    Raises:
        CompressionError: ``FORM_NOT_EXPORTED``.
    """
    image = torch.zeros(1, 1, *task.image_size, device=next(served.network.parameters()).device)
    written = io.BytesIO()
    with frozen(served.network), torch.no_grad(), quiet_exporter():
        try:
            for _ in range(
                2
            ):  # the first names of a process are not counted: after that they all are, and the bytes are the same each time
                traced = torch.jit.trace(_Part(served, part, task.test_time_flips).eval(), image, check_trace=False)
            torch.jit.save(traced, written)
        except Exception as error:  # the tracer, and whatever network it follows, refuse in any way
            why = " ".join(str(error).split())[:160]
            raise CompressionError(
                "FORM_NOT_EXPORTED", f"expected a network that TorchScript can trace, {type(served.network).__name__} is none ({why})"
            ) from error
    return _without_places(written.getvalue())


def _without_places(script: bytes) -> bytes:
    """Return TorchScript without what is for debuggers (file names of this machine) and without numbers that count up through a process."""
    with zipfile.ZipFile(io.BytesIO(script)) as source:
        parts = {name: source.read(name) for name in source.namelist() if not name.endswith((".debug_pkl", "serialization_id"))}
    counted = sorted({int(found) for name, part in parts.items() for found in _COUNTED.findall(name.encode() + part)})
    place = {str(number).encode(): str(index).encode() for index, number in enumerate(counted)}

    def renamed(text: bytes) -> bytes:
        return _COUNTED.sub(lambda found: found[0][: -len(found[1])] + place[found[1]], text)

    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w", zipfile.ZIP_STORED) as target:
        for name, part in sorted((renamed(name.encode()).decode(), renamed(part)) for name, part in parts.items()):
            target.writestr(zipfile.ZipInfo(name, date_time=_MOMENT), part)
    return kept.getvalue()


def _head_bias(network: nn.Module, task: Task) -> list[float]:
    bias = getattr(network.get_submodule(layer_map_of(network).head), "bias", None)
    return [0.0] * len(task.classes) if bias is None else [float(value) for value in bias.detach().cpu()]


def _licence() -> bytes:
    """Return the licence of medkd's code: of a checkout, or of what is installed."""
    path = Path(__file__).parents[2] / "LICENSE"
    if path.is_file():
        return path.read_bytes()
    try:
        return (distribution("medkd").read_text("licenses/LICENSE") or "Apache-2.0\n").encode()
    except PackageNotFoundError:
        return b"Apache-2.0\n"


def _versions() -> dict[str, str]:
    return {name: version(name).split("+")[0] for name in ("monai", "torch", "numpy", "nibabel", "pillow")} | {"fire": "0.7.1"}


def _json(config: Config) -> bytes:
    return (json.dumps(config, indent=1, ensure_ascii=False) + "\n").encode()
