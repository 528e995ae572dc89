"""The stage that makes one form of a candidate: changed, trained, exported, quantised, in this order."""

from __future__ import annotations

from data_contracts import Candidate, Checkpoint, CohortSet, CompressionError, FormRefusal, MadeForm, RegistryError
from medkd.compression.made_forms import keep_files
from medkd.compression.quantise import quantise
from medkd.compression.training_images import figure_on, training_images
from medkd.models._load import load_network
from medkd.serving.export_onnx import export_onnx
from medkd.serving.form import NETWORK
from medkd.serving.openvino_network import TOPOLOGY, WEIGHTS, convert_to_openvino
from medkd.storage.stage import stage
from medkd.storage.workspace import Workspace

#: The version itself in float32, as it is asked by each runtime: what candidates stand beside.
BASELINES = {"torch": Candidate(runtime="torch"), "onnx": Candidate(runtime="onnx"), "openvino": Candidate(runtime="openvino")}


@stage
def make_form(
    workspace: Workspace, name: str, candidate: Candidate, checkpoint: Checkpoint, cohorts: CohortSet, trained_on: int
) -> MadeForm:
    """Make a form of a network; a library or a check that refuses it is a result, with its reason.

    Args:
        workspace: where weights and cases lie, and files go.
        name: of the candidate.
        candidate: what is done; its training was done before.
        checkpoint: of the network that is exported: the version's own, or what was trained of it.
        cohorts: of the recipe.
        trained_on: seed of the version, whose training cases ranges are calibrated on.

    Raises:
        LeakageError: ``CALIBRATION_ON_TEST``.
        MissingDependencyError: ``OPENVINO_MISSING``, ``NNCF_MISSING``.
    """
    made = MadeForm(
        name=name,
        seed=checkpoint.seed,
        checkpoint=checkpoint.without_measured(),
        runtime=candidate.runtime,
        precision="fp32" if candidate.quantise is None else "int8",
    )
    try:
        files = _files(workspace, candidate, checkpoint, cohorts, trained_on)
    except (CompressionError, RegistryError) as error:
        return made.model_copy(update={"refusal": FormRefusal(code=error.code, why=str(error))})
    place = f"compression/forms/{name}-{made.digest()[:12]}"
    return made.model_copy(update={"files": keep_files(workspace.store, place, files)})


def _files(workspace: Workspace, candidate: Candidate, checkpoint: Checkpoint, cohorts: CohortSet, trained_on: int) -> dict[str, bytes]:
    """Return the files of a form; none where torch asks it."""
    task, wanted = checkpoint.task, candidate.quantise
    if candidate.runtime == "torch":
        return {}
    payload = export_onnx(load_network(workspace, checkpoint), task).payload
    if wanted is not None:
        shown = training_images(cohorts, trained_on, workspace.store, task, wanted.cases)
        return quantise(payload, task, wanted, shown.images, figure_on(shown, task))
    if candidate.runtime == "onnx":
        return {NETWORK: payload}
    form = convert_to_openvino(payload)
    return {TOPOLOGY: form.topology, WEIGHTS: form.weights}
