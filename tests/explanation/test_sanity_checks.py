"""What fails is what must fail: maps of edges, maps that do not know their lesion, sums that do not add up."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from data_contracts import Entry, Geometry, NetworkSpec, Task
from medkd import catalogue
from medkd.explanation import lesion_subjects
from medkd.explanation.defaults import first_findings
from medkd.explanation.explain_lesions import explain_lesions
from medkd.explanation.lesion_subjects import LesionStudyExplainer, LesionTrial
from medkd.explanation.sanity_checks import run_sanity_checks
from medkd.explanation.subjects import Method
from medkd.inference.segment import PreparedStudy, prepare_study
from medkd.models._build import build_network
from medkd.trace import layer_map_of
from medkd.volumes.orientation import Grid
from medkd.volumes.resample import align

TASK = Task(kind="segmentation", classes=("background", "bright"), image_size=(16, 16, 16), window=(0.0, 1.0))
SPEC = NetworkSpec(builder="unet", spatial_dims=3, options={"channels": (4, 8)})
EDGES = """
import torch
SCOPE, ACCESS, SOURCE = "local", "white box", "a test"
SIGNED, COMPLETE, ADDITIVE, DIFFERENTIABLE, PASSES_RANDOMISATION = True, False, False, False, True
TASKS = frozenset({"classification", "segmentation"})
def edges(trace, target, *, differentiable=False):
    slope = torch.gradient(trace.image[:, 0], dim=(1, 2, 3))
    found = torch.stack(slope).square().sum(0).sqrt()
    return found[:, None].expand(-1, len(target.targets), -1, -1, -1)
"""


@pytest.fixture
def try_it():
    def run(explainer, **options):
        image = torch.rand(1, 24, 24, 24, generator=torch.Generator().manual_seed(1)) * 2 - 1
        study = PreparedStudy(TASK, image, align(Grid((24, 24, 24), np.diag([1.0, 1.0, 1.0, 1.0])), TASK))
        inside = torch.zeros(24, 24, 24, dtype=torch.uint8)
        inside[4:8, 5:9, 3:8] = 1
        network = build_network(SPEC, seed=0).eval()
        method = Method(explainer, options)
        maps = explain_lesions(network, study, inside[None], [1], method)
        sanity_report = run_sanity_checks(LesionTrial(network, study, inside, 1, maps, method), network, SPEC)
        return sanity_report, {check.name: check for check in sanity_report.checks}

    return run


def test_integrated_gradients_pass_everything_they_claim(try_it):
    sanity_report, checks = try_it("integrated_gradients", steps=32)
    assert sanity_report.trusted
    assert all(checks[name].passed for name in ("randomisation", "completeness", "additivity"))
    assert checks["completeness"].value < 0.05


def test_a_map_of_a_gap_must_add_up_to_the_gap(try_it):
    teacher = build_network(SPEC, seed=5).eval()
    _, checks = try_it("gap_attribution", teacher=teacher, steps=64)
    assert checks["completeness"].passed
    assert checks["completeness"].value < 0.05
    assert checks["additivity"].passed


def test_too_few_steps_do_not_add_up(try_it):
    sanity_report, checks = try_it("integrated_gradients", steps=1, baseline=-3.0)
    assert checks["completeness"].passed is False
    assert not sanity_report.trusted


def test_a_class_map_does_not_know_its_lesion(try_it):
    sanity_report, checks = try_it("cam")
    assert checks["random_lesion"].passed is False
    assert checks["random_lesion"].value > 0.6
    assert not sanity_report.trusted
    assert checks["completeness"].passed is None
    assert checks["completeness"].reason == "not claimed"


def test_an_edge_detector_is_found_out(try_it, tmp_path, monkeypatch):
    (tmp_path / "edge_explainer.py").write_text(EDGES)
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint(name="edges", value="edge_explainer:edges", group="medkd.explainers")
    monkeypatch.setattr(catalogue, "declared_entry_points", lambda group: (point,) if group == point.group else ())
    try:
        sanity_report, checks = try_it("edges")
    finally:
        sys.modules.pop("edge_explainer", None)
    assert checks["randomisation"].value == pytest.approx(1.0)
    assert checks["randomisation"].passed is False
    assert checks["random_lesion"].passed is False
    assert not sanity_report.trusted


@pytest.fixture
def long_lesion(monkeypatch):
    """Return the explainer of a study whose lesion goes through several windows, of which two are tried."""
    monkeypatch.setattr(lesion_subjects, "MOST_WINDOWS", 2)
    shape, unit = (24, 24, 48), ((0.0, 0.0, 1.0, 0.0), (0.0, 1.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
    values = torch.rand(*shape, generator=torch.Generator().manual_seed(1)) * 0.2
    values[8:14, 8:14, 4:40] = 0.9
    geometry = Geometry(shape=shape, affine_lps_mm=unit, spacing_mm=(1.0, 1.0, 1.0), residual_mm=0)
    volume = SimpleNamespace(geometry=geometry, space=geometry)
    study = prepare_study(values, Grid(shape, np.array(unit)), TASK)

    def of(network):
        return LesionStudyExplainer({"student": network}, study, volume, first_findings(Entry(name="saliency")), None)

    return of


class Bright(torch.nn.Module):
    """Marks what is bright, and has layers to explain; with weights drawn anew it marks something else."""

    def __init__(self, network):
        super().__init__()
        self.network, self.layer_map = network, layer_map_of(network)
        for name, module in network.named_children():
            self.add_module(name, module)

    def forward(self, image):
        seen = self.network(image)
        return torch.cat([-20 * image, 20 * image], 1) + 0.1 * seen


@pytest.mark.parametrize(("explainer", "options"), [("input_times_gradient", {}), ("integrated_gradients", {"steps": 24})])
def test_a_lesion_that_goes_through_many_windows_is_tried_on_those_that_hold_most_of_it(long_lesion, explainer, options):
    network = Bright(build_network(SPEC, seed=0)).eval()
    study_explainer, method = long_lesion(network), Method(explainer, options)
    maps = study_explainer.explain(network, method)
    trial = study_explainer.trial(network, maps, method)
    assert trial.windows is not None
    assert trial.windows[0] > trial.windows[1] == 2
    assert float(trial.maps.abs().sum()) < float(maps[:1].abs().sum())  # the part of two windows
    sanity_report = run_sanity_checks(trial, network, SPEC)
    checks = {check.name: check for check in sanity_report.checks}
    assert sanity_report.windows == trial.windows
    assert checks["additivity"].passed is True
    assert checks["additivity"].value < 1e-3
    assert checks["randomisation"].passed is True
    if explainer == "integrated_gradients":  # what two windows say adds up to their part of the margin
        assert checks["completeness"].passed is True
        assert checks["completeness"].value < 0.05


def test_a_lesion_that_lies_in_few_windows_is_tried_on_all(long_lesion, monkeypatch):
    monkeypatch.setattr(lesion_subjects, "MOST_WINDOWS", 100)
    network = Bright(build_network(SPEC, seed=0)).eval()
    study_explainer, method = long_lesion(network), Method("saliency", {})
    maps = study_explainer.explain(network, method)
    trial = study_explainer.trial(network, maps, method)
    assert trial.windows is None
    assert torch.equal(trial.maps, maps[:1])
    assert "windows" not in run_sanity_checks(trial, network, SPEC).model_dump(mode="json")
