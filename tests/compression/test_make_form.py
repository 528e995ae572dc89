"""One form of a candidate: files where it is exported, integers where it is quantised, the reason where it cannot be made."""

from __future__ import annotations

import pytest

from data_contracts import Quantisation
from medkd.compression import make_form as module
from medkd.compression.made_forms import read_files
from medkd.compression.quantise import quantised_layers
from tests.compression.made import made, own_form


def test_the_version_by_torch_needs_no_files(workspace, cohorts, student):
    form = own_form(workspace, cohorts, student, "torch")
    assert form.files == {}
    assert form.checkpoint == student.without_measured()


def test_a_quantised_form_is_made_once_and_says_its_precision(workspace, cohorts, student, monkeypatch):
    wanted = {"quantise": Quantisation(by="onnx", cases=8), "runtime": "onnx"}
    form = made(workspace, cohorts, student, "int8", **wanted)
    assert form.precision == "int8"
    assert quantised_layers(read_files(workspace.store, form.files))
    monkeypatch.setattr(module, "quantise", lambda *_: pytest.fail("remembered"))
    assert made(workspace, cohorts, student, "int8", **wanted) == form


def test_a_refusal_is_a_result(workspace, cohorts, student):
    form = made(workspace, cohorts, student, "impossible", quantise=Quantisation(by="openvino", method="dynamic"))
    assert form.refusal.code == "NOT_QUANTISABLE"
    assert form.files == {}
