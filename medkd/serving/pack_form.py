"""The serving form of a version as a folder: network, code, requirements, with a manifest of their digests."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from data_contracts import Task, require_kind, require_one_image
from medkd.serving.code_archive import serving_code
from medkd.serving.export_onnx import export_onnx
from medkd.serving.form import CODE, NETWORK, REQUIREMENTS, PackedForm, example_image
from medkd.storage.manifest import pack_model


def pack_form(folder: Path, network: nn.Module, task: Task) -> PackedForm:
    """Write the serving form of a network.

    Raises:
        RegistryError: ``FORM_NOT_EXPORTED``, ``FORM_DIFFERS`` or ``FORM_NEEDS_TORCH``.
        DataError: ``TASK_KIND`` for boxes, ``TASK_INPUTS`` for a network that sees a clinical row.
    """
    require_kind(task, "a form that answers without torch")
    if task.clinical:  # whoever asks a form brings images
        require_one_image(task, "a form that answers without torch")
    form, code = export_onnx(network, task), serving_code()
    files = {NETWORK: form.payload, CODE: code.archive, REQUIREMENTS: "".join(f"{line}\n" for line in code.requirements).encode()}
    digest = pack_model(folder, files)
    parity = {"parity_logits": form.logits_difference}
    if form.map_difference is not None:
        parity["parity_map"] = form.map_difference
    return PackedForm(folder, digest, code.requirements, example_image(task), parity)
