"""The serving form as a folder: what is in it, and that its manifest holds it."""

from __future__ import annotations

import numpy as np
import pytest

from data_contracts import DataError, Task
from medkd.serving import pack_form as packing
from medkd.serving.code_archive import ServingCode
from medkd.serving.export_onnx import OnnxForm
from medkd.serving.form import CODE, NETWORK, REQUIREMENTS
from medkd.storage.manifest import verify_folder

SLICES = Task(kind="classification", classes=("a", "b"), image_size=(32, 24))
BLOCKS = Task(kind="classification", classes=("a", "b"), image_size=(16, 12, 20))
SEVERAL = SLICES.model_copy(update={"channels": ("t1", "t2")})
WINDOWS = Task(kind="segmentation", classes=("a", "b"), image_size=(96, 96, 96))


@pytest.fixture
def pack(monkeypatch, tmp_path):
    """Return a maker of folders from a form and code that were made elsewhere."""

    def make(task, *, map_difference=2e-6, name="form"):
        monkeypatch.setattr(packing, "export_onnx", lambda *_: OnnxForm(b"network", 1e-6, map_difference))
        monkeypatch.setattr(packing, "serving_code", lambda: ServingCode(b"code", ("a==1", "b==2.0")))
        return packing.pack_form(tmp_path / name, None, task)

    return make


def test_network_code_and_requirements_lie_under_a_manifest(pack):
    form = pack(SLICES)
    assert set(verify_folder(form.folder, form.digest).files) == {NETWORK, CODE, REQUIREMENTS}
    assert (form.folder / NETWORK).read_bytes() == b"network"
    assert (form.folder / CODE).read_bytes() == b"code"
    assert (form.folder / REQUIREMENTS).read_text() == "a==1\nb==2.0\n"
    assert form.requirements == ("a==1", "b==2.0")


def test_the_same_network_gives_the_same_folder(pack):
    first, second = pack(SLICES, name="a"), pack(SLICES, name="b")
    assert first.digest == second.digest
    assert np.array_equal(first.example, second.example)


@pytest.mark.parametrize(
    ("task", "shape"), [(SLICES, (1, 32, 24)), (BLOCKS, (1, 16, 12, 20)), (WINDOWS, (1, 8, 8, 8)), (SEVERAL, (2, 32, 24))]
)
def test_the_example_is_an_image_that_the_network_takes_and_small_where_windows_take_any(pack, task, shape):
    example = pack(task).example
    assert example.shape == shape
    assert example.dtype == np.float32
    # Three decimals: a table of it stays short.
    assert np.array_equal(np.round(example.astype(np.float64), 3).astype(np.float32), example)


@pytest.mark.parametrize(("difference", "parity"), [(2e-6, {"parity_logits": 1e-6, "parity_map": 2e-6}), (None, {"parity_logits": 1e-6})])
def test_parity_is_said_of_logits_and_of_maps_where_there_are_any(pack, difference, parity):
    assert pack(SLICES, map_difference=difference).parity == parity


def test_a_network_that_sees_a_clinical_row_has_no_form(pack):
    with pytest.raises(DataError, match="age") as caught:
        pack(SLICES.model_copy(update={"clinical": ("age",)}))
    assert caught.value.code == "TASK_INPUTS"
