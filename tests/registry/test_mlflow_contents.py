"""What stands beside a version in MLflow, and how the digests of attached files are kept in tags."""

from __future__ import annotations

import hashlib
import json
from types import SimpleNamespace

import pytest

from data_contracts import ModelRef, Role
from medkd.registry.mlflow_contents import ATTACHED, digest_tags, read_contents
from medkd.registry.mlflow_model import PACKAGE, SERVING

MODEL = ModelRef(name="net", version=1, manifest_digest="a" * 64, role=Role.STUDENT, weights_digest="b" * 64)


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def files(tmp_path):
    for name in ("report.html", "report.json", "explanation-1.zip"):
        (tmp_path / name).write_text(name)
    return tmp_path


def test_pictures_of_a_place_share_a_tag_and_an_archive_has_its_own(files):
    first = digest_tags({}, {"reports/1": [files / "report.json"], "explanations": [files / "explanation-1.zip"]})
    assert first[f"{ATTACHED}explanations/explanation-1.zip"] == sha("explanation-1.zip")
    both = digest_tags(first, {"reports/1": [files / "report.html"]})
    assert json.loads(both[f"{ATTACHED}reports/1"]) == {"report.html": sha("report.html"), "report.json": sha("report.json")}


def test_a_file_that_is_attached_anew_has_its_new_digest(files):
    first = digest_tags({}, {"reports/1": [files / "report.json"]})
    (files / "report.json").write_text("other")
    assert json.loads(digest_tags(first, {"reports/1": [files / "report.json"]})[f"{ATTACHED}reports/1"]) == {"report.json": sha("other")}


def contents(*, points=(), tags=None, there=()):
    """Read the contents of a version from a client and artefacts that hold the given."""
    metrics = {}
    for name, step, value in points:
        metrics.setdefault(name, []).append(SimpleNamespace(step=step, value=value))
    data = SimpleNamespace(metrics=dict.fromkeys(metrics, 0.0), params={"b": "2", "a": "1"})
    client = SimpleNamespace(
        get_run=lambda run_id: SimpleNamespace(data={"run": data}[run_id]), get_metric_history=lambda _run_id, name: metrics[name]
    )
    version = SimpleNamespace(run_id="run", tags=tags or {}, description=None, creation_timestamp=1234)

    def list_artifacts(place):
        begin = f"{place}/" if place else ""
        names = sorted({path.removeprefix(begin).split("/")[0] for path in there if path.startswith(begin)})
        return [SimpleNamespace(path=f"{begin}{name}", is_dir=f"{begin}{name}" not in there) for name in names]

    return read_contents(client, version, SimpleNamespace(list_artifacts=list_artifacts), MODEL, {"MLmodel": ""})


def test_figures_are_those_of_step_0_and_curves_go_by_epoch_without_what_is_not_finite():
    found = contents(points=[("auc", 0, 0.75), ("loss", 2, 1.0), ("loss", 1, 2.0), ("loss", 3, float("nan")), ("rate", 2, 0.5)])
    assert found.metrics == {"auc": 0.75}
    assert found.history == ({"epoch": 1.0, "loss": 2.0}, {"epoch": 2.0, "loss": 1.0, "rate": 0.5})
    assert (found.params, found.description, found.created_ms) == ({"a": "1", "b": "2"}, "", 1234)


def test_attached_files_have_their_digest_and_mlflows_own_are_none_of_them():
    tags = {"medkd.seed": "0", f"{ATTACHED}reports/1": json.dumps({"page.html": "c" * 64}), f"{ATTACHED}explanations/1.zip": "d" * 64}
    there = (
        "MLmodel",
        "registered_model_meta",
        f"{PACKAGE}/card.json",
        f"{SERVING}/model.onnx",
        "reports/1/page.html",
        "previews/1/old.png",
    )
    found = contents(tags=tags, there=there)
    assert found.tags == {"medkd.seed": "0"}
    assert found.attached == {"explanations/1.zip": "d" * 64, "previews/1/old.png": "", "reports/1/page.html": "c" * 64}


def test_an_attached_file_that_is_gone_is_still_listed():
    assert contents(tags={f"{ATTACHED}explanations/1.zip": "d" * 64}).attached == {"explanations/1.zip": "d" * 64}
