"""An ONNX network comes as bytes or as a file."""

from __future__ import annotations

import numpy as np
import onnxruntime

from medkd.serving.network import OnnxNetwork
from tests.serving.known_models import PICTURES, images_of, model_of


def test_a_file_is_a_model_too_and_gives_the_same_answers(tmp_path):
    (tmp_path / "model.onnx").write_bytes(model_of(PICTURES))
    from_file, from_bytes = OnnxNetwork(tmp_path / "model.onnx", PICTURES, threads=1), OnnxNetwork(model_of(PICTURES), PICTURES)
    assert from_file.has_map
    for one, other in zip(from_file.predict(images_of(PICTURES)), from_bytes.predict(images_of(PICTURES)), strict=True):
        assert np.array_equal(one, other)


def test_the_runtime_is_the_library_that_is_installed():
    assert OnnxNetwork(model_of(PICTURES), PICTURES).runtime == f"onnxruntime {onnxruntime.__version__}"
