"""A registered version asked about a study without torch: fetched, opened by ONNX Runtime or OpenVINO, its explanation kept beside it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from data_contracts import Calibration, Checkpoint, CompressionError, ExplanationRequest, ModelCard, Role, VolumeRef, load_record
from data_contracts.private import private_folder
from medkd.cohorts.study_arrays import study_arrays
from medkd.explanation.explain_served import ServedVersion, explain_served
from medkd.explanation.kept import EXPLANATIONS, attach_study, keep
from medkd.inference.further_images import read_further
from medkd.inference.series_caveats import rules_of, series_caveats
from medkd.inference.training_caveats import require_permitted
from medkd.registry.exported_forms import fetch_form, form_digests
from medkd.registry.interface import SERVING_FOLDER, Registry
from medkd.registry.version_files import CALIBRATION, CARD, open_registry
from medkd.serving.open_runtime import Runtime, open_runtime
from medkd.storage.store import Store
from medkd.storage.workspace import Workspace


def explain_served_registered(
    workspace: Workspace,
    images: tuple[VolumeRef, ...],
    store: Path,
    model_uri: str,
    request: ExplanationRequest,
    out: Path,
    runtime: Runtime,
) -> Path:
    """Explain a volume without torch; the artefact goes to ``OUT/explanations/ID`` and beside the model version.

    Arguments as of :func:`medkd.explanation.of_registry.explain_registered`; ``runtime`` says by what they are asked about.

    Raises:
        DataError: ``MODALITY_FORBIDDEN``; CompressionError: as :func:`open_served`.
    """
    registry = open_registry(workspace)
    asked = open_served(registry, model_uri, runtime)
    volume = images[0]
    require_permitted(volume, asked.checkpoint.domain)
    values, label = study_arrays(volume, Store(store))
    further = read_further(volume, images[1:], Store(store), asked.checkpoint.task)
    made = explain_served(values, volume, asked, request, label, further)
    caveats = (*made.record.caveats, *series_caveats(asked.series, images, store))
    folder = keep(replace(made, record=made.record.model_copy(update={"caveats": caveats})), private_folder(out) / EXPLANATIONS)
    attach_study(registry, asked.model, folder)
    return folder


def open_served(registry: Registry, uri: str, runtime: Runtime) -> ServedVersion:
    """Return a registered version opened by a run-time, every byte verified; a form that was exported for it comes before the serving form.

    Raises:
        CompressionError: ``FORM_UNKNOWN`` for a version that is no network or has no serving form, ``FORM_ALTERED``, ``FORM_UNREADABLE``.
        MissingDependencyError: ``OPENVINO_MISSING``.
    """
    model, folder = registry.fetch(uri)
    if model.role is Role.KNOWLEDGE:
        raise CompressionError("FORM_UNKNOWN", f"expected a network, {model.uri} is what a teacher said; name the teacher or a student")
    checkpoint = load_record(folder / "checkpoint.json", Checkpoint)
    form = fetch_form(registry, model.uri, runtime)[1] if runtime in form_digests(registry, model) else None
    network = open_runtime(runtime, folder.with_name(SERVING_FOLDER), checkpoint.task, form=form)
    card = load_record(folder / CARD, ModelCard) if (folder / CARD).is_file() else None
    return ServedVersion(
        model=model,
        checkpoint=checkpoint,
        network=network,
        depth=depth_of_weights(folder / "weights.safetensors"),
        calibration=load_record(folder / CALIBRATION, Calibration) if (folder / CALIBRATION).is_file() else None,
        structures="lesion" if card is None else card.structures,
        trained_on="" if card is None else card.trained_on,
        series=rules_of(card),
    )


def depth_of_weights(path: Path) -> int:
    """Return the number of layers with a weight matrix of a file of safetensors, from its header alone."""
    with path.open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    return sum(1 for name, one in header.items() if name.endswith("weight") and len(one["shape"]) > 1)
