from __future__ import annotations

import numpy as np
import pytest

from data_contracts import CompressionError
from medkd.serving.open_runtime import open_runtime
from medkd.serving.openvino_network import convert_to_openvino
from tests.serving.known_models import PICTURES, VOLUMES, images_of, model_of


def test_either_library_opens_the_serving_form(tmp_path):
    (tmp_path / "model.onnx").write_bytes(model_of(PICTURES))
    answers = [open_runtime(runtime, tmp_path, PICTURES).ask(images_of(PICTURES)) for runtime in ("onnx", "openvino")]
    for one, other in zip(*answers, strict=True):
        assert np.abs(one - other).max() <= 1e-6
    assert [open_runtime(runtime, tmp_path, PICTURES).runtime.split()[0] for runtime in ("onnx", "openvino")] == ["onnxruntime", "openvino"]


def test_a_form_that_was_exported_comes_before_it(tmp_path):
    serving, form = tmp_path / "serving", tmp_path / "form"
    for folder in (serving, form):
        folder.mkdir()
    (serving / "model.onnx").write_bytes(b"not asked")
    exported = convert_to_openvino(model_of(VOLUMES))
    (form / "model.xml").write_bytes(exported.topology)
    (form / "model.bin").write_bytes(exported.weights)
    (form / "model.onnx").write_bytes(model_of(VOLUMES))
    for runtime in ("onnx", "openvino"):
        assert open_runtime(runtime, serving, VOLUMES, form=form).has_map


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_a_version_without_a_serving_form_is_refused(runtime, tmp_path):
    with pytest.raises(CompressionError, match=r"model\.onnx") as caught:
        open_runtime(runtime, tmp_path, PICTURES)
    assert caught.value.code == "FORM_UNKNOWN"
