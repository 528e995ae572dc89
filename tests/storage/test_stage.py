from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from data_contracts import ModelManifest, Ref, ReportSet
from medkd.storage import stage as stages
from medkd.storage.references import references
from medkd.storage.stage import closure_of, code_version, stage
from medkd.storage.workspace import Workspace, local_workspace

CALLS = []


@stage
def write_something(workspace: Workspace, text: str, number: int) -> ReportSet:
    CALLS.append(text)
    ref = workspace.store.write_tensors(f"things/{text}.safetensors", {"x": torch.full((2,), float(number))})
    return ReportSet(reports=(ref,), pages=(), pictures=(), explanations=())


@pytest.fixture
def workspace(tmp_path):
    CALLS.clear()
    return local_workspace(tmp_path)


def test_a_finished_stage_is_not_repeated(workspace):
    first, second = (write_something(workspace, "a", 1) for _ in range(2))
    assert first == second
    assert CALLS == ["a"]


def test_other_arguments_are_another_result(workspace):
    write_something(workspace, "a", 1)
    write_something(workspace, "a", number=2)
    write_something(workspace, text="b", number=1)
    assert CALLS == ["a", "a", "b"]


@pytest.mark.parametrize("spoil", ["flip", "remove"])
def test_a_result_whose_bytes_were_altered_is_made_again(workspace, caplog, spoil):
    ref = write_something(workspace, "a", 1).reports[0]
    path = workspace.store.path(ref)
    if spoil == "flip":
        payload = bytearray(path.read_bytes())
        payload[-1] ^= 1
        path.write_bytes(payload)
    else:
        path.unlink()
    with caplog.at_level(logging.WARNING):
        again = write_something(workspace, "a", 1)
    assert CALLS == ["a", "a"]
    assert workspace.store.verify(again.reports[0])
    assert "runs again" in caplog.text


def test_a_result_record_that_was_cut_short_is_made_again(workspace):
    write_something(workspace, "a", 1)
    path = next((workspace.root / "stages").glob("*.json"))
    path.write_bytes(path.read_bytes()[:20])
    write_something(workspace, "a", 1)
    assert CALLS == ["a", "a"]


@pytest.mark.parametrize("spoil", ["record", "digest"])
def test_a_result_record_that_was_altered_and_still_reads_is_made_again(workspace, spoil):
    kept = write_something(workspace, "a", 1).reports[0]
    other = write_something(workspace, "b", 2).reports[0]
    path = next(path for path in (workspace.root / "stages").glob("*.json") if kept.key in path.read_text())
    if spoil == "record":
        # Every byte that it now refers to is there and whole.
        path.write_text(path.read_text().replace(kept.key, other.key).replace(kept.sha256, other.sha256))
    else:
        path.with_suffix(".sha256").unlink()
    assert write_something(workspace, "a", 1).reports[0] == kept
    assert CALLS == ["a", "b", "a"]


def test_changed_code_is_another_result(workspace, monkeypatch):
    write_something(workspace, "a", 1)
    monkeypatch.setattr(stages, "code_version", lambda _: "other")
    write_something(workspace, "a", 1)
    assert CALLS == ["a", "a"]


def test_the_version_of_a_stage_is_of_what_it_imports_and_of_nothing_else():
    closure = set(closure_of("medkd.training.train"))
    assert "medkd.trace" in closure
    assert "medkd.review.render_html" not in closure
    assert "medkd.distillation.logit_kd" not in closure


def test_looking_for_the_modules_of_a_stage_imports_none_of_them():
    asked = "import sys; from medkd.storage.stage import closure_of; print(len(closure_of('medkd.api')), 'medkd.api' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    count, *imported = done.stdout.split()
    assert int(count) > 100
    assert imported == ["False", "False"]
    assert code_version("medkd.training.train") != code_version("medkd.review.render_html")


def test_a_page_is_made_anew_when_a_text_or_a_template_of_it_changes(tmp_path, monkeypatch):
    own = Path(stages.__file__).parents[1] / "review"
    assert own in {stages.resources_of(source) for source in stages.closure_of("medkd.review.write_report").values()}
    names = {path.name for path in stages._data_in(own)}
    assert {"report.html", "report.js", "texts_en.yaml", "texts_zh.yaml"} <= names
    before = code_version("medkd.review.write_report")
    (tmp_path / "texts_en.yaml").write_text("changed: yes")
    monkeypatch.setattr(stages, "resources_of", lambda source: tmp_path if source.name == "templating.py" else None)
    code_version.cache_clear()
    try:
        assert code_version("medkd.review.write_report") != before
    finally:
        code_version.cache_clear()


def test_references_are_found_however_deep():
    ref = Ref(store="run", key="a", sha256="0" * 64)
    assert list(references(ReportSet(reports=(ref,), pages=(ref,), pictures=(), explanations=()))) == [ref, ref]
    assert list(references(ModelManifest(files={}))) == []


def test_an_argument_without_a_digest_is_refused(workspace):
    with pytest.raises(TypeError, match="expected a record"):
        write_something(workspace, object(), 1)


def test_a_name_imported_from_a_package_brings_the_file_that_defines_it_and_no_other():
    # `from data_contracts import Ref` and `from medkd.measures import additivity`: the record's file, the measure's file.
    closure = set(closure_of("medkd.explanation.sanity_checks"))
    assert "medkd.measures.additivity" in closure
    assert "data_contracts.feedback" not in closure
    assert "data_contracts" not in closure


def test_no_training_depends_on_measures_reports_or_explanations():
    for name in ("medkd.training.train", "medkd.training.extract_knowledge"):
        found = {module.rsplit(".", 1)[0] for module in closure_of(name)}
        assert not found & {"medkd.measures", "medkd.review", "medkd.explanation", "medkd.registry", "medkd.dicom"}, name


def test_what_is_measured_of_every_study_is_in_the_key_of_its_explanation():
    assert {f"medkd.measures.{name}" for name in ("relevance_mass_accuracy", "gini", "cosine_agreement", "mass_in_shell")} <= set(
        closure_of("medkd.explanation.describe")
    )
