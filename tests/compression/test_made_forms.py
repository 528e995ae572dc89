"""Files of forms are verified before they are opened."""

from __future__ import annotations

import numpy as np
import pytest

from data_contracts import StoreError
from medkd.compression.made_forms import form_bytes, keep_files, open_made, read_files
from medkd.storage.store import Store
from tests.compression.made import own_form


def test_an_altered_file_is_refused(tmp_path):
    store = Store(tmp_path, "run")
    kept = keep_files(store, "forms/a", {"model.xml": b"one", "model.bin": b"two"})
    assert read_files(store, kept) == {"model.xml": b"one", "model.bin": b"two"}
    (tmp_path / "forms/a/model.bin").write_bytes(b"tvo")
    with pytest.raises(StoreError, match=r"model\.bin") as caught:
        read_files(store, kept)
    assert caught.value.code == "STORE_ALTERED"


def test_each_runtime_opens_its_own_form_of_the_same_network(workspace, cohorts, student):
    images = np.random.default_rng(0).normal(size=(2, 1, *student.task.image_size)).astype(np.float32)
    forms = {name: own_form(workspace, cohorts, student, name) for name in ("torch", "onnx", "openvino")}
    answers = {name: open_made(workspace, form).ask(images) for name, form in forms.items()}
    for name in ("onnx", "openvino"):
        for own, other in zip(answers["torch"], answers[name], strict=True):
            np.testing.assert_allclose(own, other, atol=1e-4)
    assert form_bytes(workspace, forms["torch"]) == workspace.store.path(student.weights).stat().st_size
    assert form_bytes(workspace, forms["openvino"]) == sum(
        len(part) for part in read_files(workspace.store, forms["openvino"].files).values()
    )
