from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from medkd.serving.form import PREDICT, PackedForm


def test_the_example_is_one_row_that_survives_json():
    image = np.random.default_rng(0).normal(size=(1, 3, 4)).astype(np.float32)
    form = PackedForm(Path("nowhere"), "0" * 64, (), image, {})
    (row,) = json.loads(json.dumps(form.example_rows()))
    assert list(row) == ["image"]
    assert np.array_equal(np.array(row["image"], dtype=np.float32), image)


def test_the_code_that_mlflow_executes_lies_beside_and_says_which_model_it_is():
    assert "mlflow.models.set_model(MedkdModel())" in PREDICT.read_text(encoding="utf-8")
