"""OpenVINO answers as ONNX Runtime does, from the same bytes each time, and tells nobody that it was imported."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from data_contracts import CompressionError, MissingDependencyError, NetworkSpec, Task
from medkd.models._build import build_network
from medkd.serving import openvino_network
from medkd.serving.export_onnx import compare_forms, export_onnx
from medkd.serving.network import OnnxNetwork
from medkd.serving.openvino_network import OpenVinoForm, OpenVinoNetwork, convert_to_openvino, import_openvino, save_openvino
from tests.serving.known_models import PICTURES, factors_of, images_of, model_of
from tests.serving.test_export_onnx import NETWORKS, made


@pytest.mark.parametrize(("builder", "dims", "size", "options"), NETWORKS, ids=[f"{n}-{d}d" for n, d, _, _ in NETWORKS])
def test_every_network_answers_as_its_onnx_form(builder, dims, size, options):
    network, task = made(builder, dims, size, options)
    onnx = export_onnx(network, task).payload
    images = images_of(task)
    found = OpenVinoNetwork(convert_to_openvino(onnx), task)
    assert found.has_map
    assert max(compare_forms(OnnxNetwork(onnx, task).ask(images), found.ask(images))) <= 1e-4


def test_a_network_of_several_images_answers_as_its_onnx_form():
    spec = NetworkSpec(builder="unet", spatial_dims=2, in_channels=2, options={"channels": (4, 8)})
    network, task = (
        build_network(spec, seed=1).eval(),
        Task(kind="segmentation", classes=("a", "b"), image_size=(32, 32), channels=("t1", "t2")),
    )
    onnx = export_onnx(network, task).payload
    found, wanted = OpenVinoNetwork(convert_to_openvino(onnx), task), OnnxNetwork(onnx, task)
    for count in (1, 3):  # one image is asked at a fixed shape
        images = np.random.default_rng(0).normal(size=(count, 2, 32, 32)).astype(np.float32)
        assert max(compare_forms(wanted.ask(images), found.ask(images))) <= 1e-4


def test_the_bytes_are_the_same_each_time_and_weights_are_float32():
    network, task = made("unet", 2, (32, 32), {"channels": (4, 8)})
    whole = export_onnx(network, task).payload  # OpenVINO splits some of its operations, and counts the parts
    assert convert_to_openvino(whole) == convert_to_openvino(whole)
    form = convert_to_openvino(model_of(PICTURES))
    factors = factors_of(PICTURES).tobytes()
    assert factors in form.weights
    assert b"f16" not in form.topology


def test_a_file_is_a_form_too_and_gives_the_same_answers(tmp_path):
    form = convert_to_openvino(model_of(PICTURES))
    (tmp_path / "model.xml").write_bytes(form.topology)
    (tmp_path / "model.bin").write_bytes(form.weights)
    from_file, from_bytes = OpenVinoNetwork(tmp_path / "model.xml", PICTURES, threads=1), OpenVinoNetwork(form, PICTURES)
    for one, other in zip(from_file.ask(images_of(PICTURES)), from_bytes.ask(images_of(PICTURES)), strict=True):
        assert np.array_equal(one, other)


def test_the_answer_is_computed_in_float32_by_the_threads_that_were_asked():
    network = OpenVinoNetwork(convert_to_openvino(model_of(PICTURES)), PICTURES, threads=1)
    for alone in (True, False):
        asked = network._request(alone=alone).get_compiled_model().get_property
        assert asked("INFERENCE_PRECISION_HINT").to_string() == "f32"
        assert openvino_network._settings(1)["INFERENCE_PRECISION_HINT"] == "f32"  # whatever this processor would do unasked
        assert asked("INFERENCE_NUM_THREADS") == 1
        assert asked("NUM_STREAMS") == 1
        assert asked("ENABLE_CPU_PINNING") is False


def test_one_image_is_answered_by_a_network_of_its_fixed_shape_and_several_by_one_of_any():
    network = OpenVinoNetwork(convert_to_openvino(model_of(PICTURES)), PICTURES, threads=1)
    alone, several = (network._request(alone=one).get_compiled_model().inputs[0].partial_shape for one in (True, False))
    assert not alone.is_dynamic
    assert several.is_dynamic
    images = images_of(PICTURES, 3)
    for one, other in zip(network.run(images[:1]), network.run(images), strict=True):
        assert np.allclose(one, other[:1], atol=1e-6)


def test_a_model_of_openvino_is_saved_as_it_is():
    model = import_openvino().Core().read_model(model_of(PICTURES))
    assert save_openvino(model) == convert_to_openvino(model_of(PICTURES))


@pytest.mark.parametrize("onnx", [b"", b"no model", model_of(PICTURES)[:80]])
def test_what_openvino_does_not_read_is_refused_in_a_sentence(onnx):
    with pytest.raises(CompressionError, match="expected an ONNX network") as caught:
        convert_to_openvino(onnx)
    assert caught.value.code == "FORM_NOT_EXPORTED"


@pytest.mark.parametrize("form", [OpenVinoForm(b"<net", b""), OpenVinoForm(b"", b"")])
def test_files_that_are_no_model_are_refused_in_a_sentence(form):
    with pytest.raises(CompressionError, match="expected a model of OpenVINO") as caught:
        OpenVinoNetwork(form, PICTURES)
    assert caught.value.code == "FORM_UNREADABLE"


def test_without_openvino_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingDependencyError, match=r"\[compression\]") as caught:
        openvino_network.import_openvino()
    assert caught.value.code == "OPENVINO_MISSING"


def test_importing_openvino_neither_sends_anything_nor_imports_torch():
    code = (
        "import sys, socket, warnings; warnings.simplefilter('error')\n"
        "def refuse(*given): raise AssertionError('a socket was opened')\n"
        "socket.socket.connect = refuse\n"
        "import threading\n"
        "from medkd.serving.openvino_network import import_openvino; import_openvino()\n"
        "sends = sorted(name for name, module in sys.modules.items() if name.startswith('openvino_telemetry') and module)\n"
        "print(sends, 'torch' in sys.modules, threading.active_count())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "[] False 1"
