"""A registered version in a form that others run: made, compared with the version's own network, written to a folder, put below the version."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from data_contracts import CompressionError, Role
from data_contracts.compression import ExportedForm, FormKind
from medkd.registry.exported_forms import attach_form
from medkd.registry.form_texts import form_readme
from medkd.registry.interface import Registry, resolve
from medkd.registry.load_version import LoadedVersion, load_version
from medkd.serving.bundle_inference import MAPS
from medkd.serving.bundle_inference import NETWORK as SCRIPT
from medkd.serving.code_archive import serving_code
from medkd.serving.export_onnx import ServedNetwork, answers_of, compare_forms, export_onnx
from medkd.serving.form import NETWORK, REQUIREMENTS, example_image
from medkd.serving.network import OnnxNetwork
from medkd.serving.openvino_network import TOPOLOGY, WEIGHTS, OpenVinoForm, OpenVinoNetwork, convert_to_openvino
from medkd.serving.write_bundle import INFERENCE, BundledModel, write_bundle
from medkd.storage.store import write_bytes

Answer = Callable[[NDArray[np.float32]], list[NDArray[np.float32]]]
#: Images drawn at random that a form is compared on, beside the version's example.
DRAWN = 4
#: What `medkd run-study --runtime` needs beside what a served version does: the command line, and what draws its page.
EDGE = ("PyYAML", "contourpy", "cryptography", "scikit-image", "typer")


@dataclass(frozen=True)
class ExportOutcome:
    """What an export gave.

    Attributes:
        form: the record.
        folder: its files.
        attached: whether it was put below the version; False where the same form was there before.
    """

    form: ExportedForm
    folder: Path
    attached: bool


def export_form(registry: Registry, uri: str, kind: FormKind, out: Path) -> ExportOutcome:
    """Write a form of a registered version to a folder and put it below the version, once its answers were compared with the network's.

    Args:
        registry: that holds the version.
        uri: ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``.
        kind: which form.
        out: folder that is ours.

    Raises:
        RegistryError: whatever the registry refuses; ``FORM_NOT_EXPORTED`` or ``FORM_DIFFERS``.
        CompressionError: ``FORM_NOT_EXPORTED`` for a version that is no network, or what OpenVINO or TorchScript cannot express.
        MissingDependencyError: ``OPENVINO_MISSING``.
    """
    model = resolve(registry, uri)
    if model.role is Role.KNOWLEDGE:
        raise CompressionError(
            "FORM_NOT_EXPORTED", f"expected a network, {model.uri} is what a teacher said; name the teacher or a student"
        )
    loaded = load_version(registry, model.uri)
    files, answer, runtime = _made(loaded, kind)
    logits, maps, compared = _compare(loaded, answer)
    needed = sum(len(payload) for payload in files.values())
    if kind is not FormKind.BUNDLE:  # a bundle has a text of its own
        files |= {"README.md": form_readme(loaded.model, loaded.checkpoint, kind).encode(), REQUIREMENTS: _requirements(kind)}
    for name, payload in files.items():
        write_bytes(out / name, payload)
    form = ExportedForm(
        name=kind.value,
        kind=kind,
        source=loaded.model.lineage,
        files={name: hashlib.sha256(payload).hexdigest() for name, payload in sorted(files.items())},
        bytes=needed,
        runtime=runtime,
        logits_difference=logits,
        map_difference=maps,
        compared=compared,
    )
    return ExportOutcome(form, out, attach_form(registry, loaded.model, form, out))


def _made(loaded: LoadedVersion, kind: FormKind) -> tuple[dict[str, bytes], Answer, str]:
    """Return the files of a form, what answers by them, and the library that does."""
    task = loaded.checkpoint.task
    if kind is FormKind.BUNDLE:
        files = write_bundle(BundledModel(loaded.model, loaded.checkpoint, loaded.card, loaded.network))
        return files, _scripted(files), f"torch {version('torch').split('+')[0]}"
    payload = export_onnx(loaded.network, task).payload
    if kind is FormKind.ONNX:
        onnx = OnnxNetwork(payload, task)
        return {NETWORK: payload}, onnx.predict, onnx.runtime
    form: OpenVinoForm = convert_to_openvino(payload)
    openvino = OpenVinoNetwork(form, task)
    return {TOPOLOGY: form.topology, WEIGHTS: form.weights}, openvino.predict, openvino.runtime


def _scripted(files: dict[str, bytes]) -> Answer:
    """Return what answers by the TorchScript of a bundle: of a segmentation the class maps are its logits less the bias of the head."""
    networks = [torch.jit.load(io.BytesIO(files[name])).eval() for name in (SCRIPT, MAPS) if name in files]
    config = json.loads(files[INFERENCE])

    def answer(images: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        with torch.no_grad():
            found: list[NDArray[np.float32]] = [network(torch.from_numpy(images)).numpy() for network in networks]
        if "save_maps" in config:
            bias = np.asarray(config["head_bias"], dtype=np.float32).reshape(1, -1, *(1,) * (images.ndim - 2))
            found.append(found[0] - bias)
        return found

    return answer


def _compare(loaded: LoadedVersion, answer: Answer) -> tuple[float, float | None, int]:
    """Return the largest differences of logits and class maps from the network's own, and on how many images.

    Raises:
        RegistryError: ``FORM_DIFFERS``.
    """
    task = loaded.checkpoint.task
    images = np.random.default_rng(0).normal(size=(DRAWN, task.in_channels, *task.image_size)).astype(np.float32)
    example = example_image(task)
    if example.shape[1:] == task.image_size:
        images = np.concatenate([images, example[None]])
    expected = answers_of(ServedNetwork(loaded.network), torch.from_numpy(images), flips=task.test_time_flips)
    found = answer(images)
    differences = compare_forms(expected[: len(found)], found)
    return differences[0], differences[1] if len(differences) > 1 else None, len(images)


def _requirements(kind: FormKind) -> bytes:
    """Return the libraries by which a study is asked without torch, pinned."""
    lines = [*serving_code().requirements, *(f"{name}=={version(name)}" for name in EDGE)]
    if kind is FormKind.OPENVINO:
        lines.append(f"openvino=={version('openvino')}")
    return "".join(f"{line}\n" for line in sorted(lines)).encode()
