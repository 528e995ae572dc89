"""Forms of 8-bit integers: rounded, the same each time, with their maps, and no worse than accuracy control allows."""

from __future__ import annotations

import numpy as np
import pytest

from data_contracts import CompressionError, MissingDependencyError, NetworkSpec, Quantisation, Task
from medkd.compression import quantise as module
from medkd.compression.quantise import CompiledNetwork, import_nncf, open_form, quantise, quantised_layers
from medkd.models._build import build_network
from medkd.serving.export_onnx import export_onnx
from medkd.serving.network import OnnxNetwork
from medkd.serving.openvino_network import import_openvino

PICTURES = Task(kind="classification", classes=("a", "b"), image_size=(24, 24))
VOLUMES = Task(kind="segmentation", classes=("a", "b", "c"), image_size=(8, 16, 16))
NETWORKS = {
    "pictures": (PICTURES, NetworkSpec(builder="resnet", options={"channels": (4, 4, 6, 8)})),
    "volumes": (VOLUMES, NetworkSpec(builder="unet", spatial_dims=3, out_channels=3, options={"channels": (4, 8, 8)})),
}


def nothing(_network):
    raise AssertionError("accuracy is asked about where it is controlled alone")


@pytest.fixture(scope="module", params=sorted(NETWORKS))
def subject(request):
    task, spec = NETWORKS[request.param]
    images = np.random.default_rng(0).normal(size=(6, 1, *task.image_size)).astype(np.float32)
    return task, export_onnx(build_network(spec, seed=1).eval(), task).payload, images


WAYS = (Quantisation(), Quantisation(by="onnx"), Quantisation(by="onnx", method="dynamic"))


@pytest.mark.parametrize("wanted", WAYS, ids=["openvino", "onnx", "dynamic"])
def test_a_form_rounds_answers_nearly_alike_keeps_its_map_and_is_the_same_each_time(subject, wanted):
    task, payload, images = subject
    files = quantise(payload, task, wanted, images, nothing)
    assert files == quantise(payload, task, wanted, images, nothing)
    assert quantised_layers(files)
    expected, found = OnnxNetwork(payload, task).ask(images), open_form(files, task).ask(images)
    for own, other in zip(expected, found, strict=True):
        gap = np.abs(own - other).max()
        assert 0 < gap < 0.25 * np.abs(own).max()  # rounded, so not equal
    # The map is still the closed form: of a 1x1 head the logits less the bias, of a classifier's pooled head its mean plus the bias the logit.
    pooled = found[1].mean((2, 3)) if task.spatial_dims == 2 else found[1]
    offset = found[0] - pooled
    assert np.ptp(offset, axis=tuple(place for place in range(offset.ndim) if place != 1)).max() < 0.2 * np.abs(expected[0]).max()


@pytest.mark.extended
def test_accuracy_control_puts_layers_back_until_the_figure_holds():
    task, images = PICTURES, np.random.default_rng(0).normal(size=(2, 1, 24, 24)).astype(np.float32)
    payload = export_onnx(build_network(NETWORKS["pictures"][1], seed=1).eval(), task).payload
    expected = OnnxNetwork(payload, task).ask(images)[0]

    def figure(network):
        return 1 - float(np.abs(network.ask(images)[0] - expected).max() / np.abs(expected).max())

    free = quantise(payload, task, Quantisation(), images, figure)
    lost = 1 - figure(open_form(free, task))
    kept = quantise(payload, task, Quantisation(largest_drop=lost / 4), images, figure)
    assert 1 - figure(open_form(kept, task)) <= lost / 4 + 1e-4
    assert len(quantised_layers(kept)) < len(quantised_layers(free))


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Quantisation(method="dynamic"), "static or aware quantisation by openvino"),
        (Quantisation(by="onnx", largest_drop=0.01), "accuracy control"),
    ],
)
def test_what_a_library_does_not_have_is_refused(subject, wanted, said):
    task, payload, images = subject
    with pytest.raises(CompressionError, match=said) as caught:
        quantise(payload, task, wanted, images, nothing)
    assert caught.value.code == "NOT_QUANTISABLE"


@pytest.mark.parametrize("by", ["onnx", "openvino"])
def test_what_a_library_cannot_read_is_refused_in_one_sentence(by):
    payload = export_onnx(build_network(NETWORKS["pictures"][1], seed=1).eval(), PICTURES).payload
    with pytest.raises(CompressionError) as caught:
        quantise(payload, PICTURES, Quantisation(by=by), np.zeros((2, 1, 7), np.float32), nothing)
    assert caught.value.code == "NOT_QUANTISABLE"
    assert "\n" not in str(caught.value)


def test_a_form_that_lost_its_map_is_refused(subject, monkeypatch):
    task, payload, images = subject
    monkeypatch.setattr(module, "_by_onnx", lambda *_: without_map(payload))
    with pytest.raises(CompressionError, match="has none") as caught:
        quantise(payload, task, Quantisation(by="onnx"), images, nothing)
    assert caught.value.code == "CLASS_MAP_LOST"


def without_map(payload):
    import onnx

    model = onnx.load_from_string(payload)
    del model.graph.output[1]
    return model.SerializeToString()


def test_without_nncf_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(module.importlib, "import_module", lambda name: (_ for _ in ()).throw(ImportError(name)))
    monkeypatch.setattr(module, "import_openvino", lambda: None)
    with pytest.raises(MissingDependencyError, match=r"\[compression\]") as caught:
        import_nncf()
    assert caught.value.code == "NNCF_MISSING"


def test_nncf_and_openvino_cannot_send_events():
    import sys

    import_nncf()
    assert sys.modules["openvino_telemetry"] is None


def test_a_compiled_model_is_asked_as_forms_are(subject):
    openvino = import_openvino()  # alone it would send an event
    task, payload, images = subject
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(payload), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for own, other in zip(OnnxNetwork(payload, task).ask(images), CompiledNetwork(compiled, task).ask(images), strict=True):
        np.testing.assert_allclose(own, other, atol=1e-4)
