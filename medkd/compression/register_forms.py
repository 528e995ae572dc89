"""Forms within all bounds go to the registry: what was trained as a version of its own below the student, exported files below the version."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from data_contracts import CompressionReport, ExportedForm, FormKind, MadeForm, ModelRef
from medkd.compression.bounds import VERSION
from medkd.compression.candidates import CompressionSource
from medkd.compression.made_forms import open_made, read_files
from medkd.compression.make_form import BASELINES
from medkd.compression.torch_network import TorchNetwork
from medkd.compression.write_compression import PICTURE, RECORD, TABLE
from medkd.models._load import load_network
from medkd.promotion.version_records import COMPRESSION, COMPRESSION_RECORD
from medkd.registry.exported_forms import attach_form
from medkd.registry.interface import Registry
from medkd.registry.publish import open_registry
from medkd.storage.store import sha256_file, write_bytes
from medkd.storage.workspace import Workspace

#: Folder of artefacts beside a version with its compression.
PLACE = COMPRESSION_RECORD.partition("/")[0]
#: Images that a form is compared with its network on when it is attached.
_COMPARED = 4


def accepted_forms(report: CompressionReport, made: Mapping[str, Sequence[MadeForm]]) -> dict[str, MadeForm]:
    """Return the forms of candidates that are within all bounds, the first seed of each."""
    within = {one.name for one in report.forms if not one.refusals}
    return {name: forms[0] for name, forms in made.items() if name in within and name not in BASELINES and name not in report.failed}


def attach_compression(registry: Registry, model: ModelRef, report: CompressionReport, folder: Path) -> None:
    """Put the table beside a version, its digest as a tag; the same record is not attached twice."""
    if registry.tags(model).get(COMPRESSION) == report.digest():
        return
    registry.attach(model, {PLACE: [folder / name for name in (RECORD, TABLE, PICTURE)]}, {COMPRESSION: report.digest()})


def attach_report(workspace: Workspace, model: ModelRef, report: CompressionReport, folder: Path) -> None:
    """As :func:`attach_compression`, in the workspace's own registry."""
    attach_compression(open_registry(workspace), model, report, folder)


def attach_forms(
    workspace: Workspace,
    source: CompressionSource,
    forms: Sequence[MadeForm],
    models: Mapping[str, ModelRef],
    registry: Registry | None = None,
) -> tuple[ExportedForm, ...]:
    """Attach the files of forms below the version of their weights and return their records.

    Args:
        workspace: where the files lie.
        source: the version that was compressed.
        forms: within all bounds.
        models: versions by the digest of their weights: the source and what was trained of it.
        registry: another than the workspace's.
    """
    target = registry or open_registry(workspace)
    known = {source.checkpoint.weights_digest: source.model, **models}
    attached = []
    for form in (one for one in forms if one.files):
        model = known[form.checkpoint.weights_digest]
        with tempfile.TemporaryDirectory(prefix="medkd-form-") as scratch:
            record = exported_form(workspace, form, model, Path(scratch))
            attach_form(target, model, record, Path(scratch))
            attached.append(record)
    return tuple(attached)


def exported_form(workspace: Workspace, form: MadeForm, model: ModelRef, folder: Path) -> ExportedForm:
    """Write the files of a form to a folder and return its record, compared with its network on images drawn at random."""
    files = read_files(workspace.store, form.files)
    for name, payload in files.items():
        write_bytes(folder / name, payload)
    task = form.checkpoint.task
    drawn, shape = np.random.default_rng(0), (_COMPARED, task.in_channels, *task.image_size)
    # Within the values that images have: ranges of integers were calibrated on those.
    images = (drawn.uniform(-1, 1, shape) if task.intensity == "window" else drawn.normal(size=shape)).astype(np.float32)
    own = TorchNetwork(load_network(workspace, form.checkpoint), task).ask(images)
    network = open_made(workspace, form)
    found = network.ask(images)
    scales = [max(float(np.abs(part).max()), 1.0) for part in own]
    differences = [float(np.abs(a - b).max()) / scale for a, b, scale in zip(own, found, scales, strict=False)]
    return ExportedForm(
        name=form.name,
        kind=FormKind.OPENVINO if form.runtime == "openvino" else FormKind.ONNX,
        source=model.lineage,
        precision=form.precision,
        files={name: sha256_file(folder / name) for name in files},
        bytes=sum(map(len, files.values())),
        runtime=network.runtime,
        logits_difference=differences[0],
        map_difference=differences[1] if len(differences) > 1 else None,
        compared=_COMPARED,
    )


def is_trained(form: MadeForm, source: CompressionSource) -> bool:
    """Return whether a form's network has weights of its own, and so is a version of its own."""
    return form.checkpoint.weights_digest != source.checkpoint.weights_digest and form.name != VERSION
