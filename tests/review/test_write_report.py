from __future__ import annotations

import zipfile

import numpy as np
import pytest

from data_contracts import ExplainedStudies, RefusedSeries, RegistryError, ReportSet, ReviewReport, StoreError, load_record
from medkd.review import write_report as module
from medkd.review.study_file import NAME as STUDY_FILE
from medkd.review.write_report import PAGE, PICTURE, RECORD, copy_report, register_reports, report_of, write_all_reports, write_report
from medkd.storage.store import write_bytes
from medkd.storage.workspace import local_workspace
from tests.registry.memory_registry import MemoryRegistry
from tests.review.training import training_of, with_features


@pytest.fixture
def kept(report, arrays, monkeypatch):
    """Let reading an artefact give the explanation of ``report``, and a store its volume."""
    monkeypatch.setattr(module, "read_kept", lambda _: (report.explanations[0], arrays.explained[0]))
    monkeypatch.setattr(module, "study_arrays", lambda *_: (arrays.volume, arrays.label))
    monkeypatch.setattr(module, "load_calibration", lambda *_: None)
    monkeypatch.setattr(module, "load_training_features", lambda *_: None)
    monkeypatch.setattr(module, "write_nifti", lambda _, __, path: write_bytes(path, b"image"))
    return report


def stored(workspace, *names):
    return tuple(
        workspace.store.refer(write_bytes(workspace.store.root / name, name.encode()).relative_to(workspace.store.root).as_posix())
        for name in names
    )


def test_a_report_is_composed_of_what_was_kept(kept, arrays, tmp_path):
    composed, found = report_of((tmp_path,), None)
    assert composed.explanations == kept.explanations
    np.testing.assert_array_equal(found.volume, arrays.volume)
    np.testing.assert_array_equal(found.label, arrays.label)


def test_a_study_gets_its_files_and_its_model_gets_them_too(kept, tmp_path, monkeypatch):
    registry, out = MemoryRegistry(), tmp_path / "out"
    model = kept.explanations[0].model
    registry._versions[model.name] = [(model, tmp_path)] * model.version
    monkeypatch.setattr(module, "open_registry", lambda _: registry)
    attached = []
    monkeypatch.setattr(registry, "attach", lambda _, files, tags: attached.append((files, tags)))
    written = write_report(local_workspace(tmp_path / "run"), tmp_path, tmp_path, out)
    assert {path.name for path in out.iterdir()} == {PAGE, RECORD, PICTURE, STUDY_FILE, "image.nii.gz", "segmentation.nii.gz"}
    assert (out / RECORD).read_bytes() == written.canonical_json()
    files = [path.name for files, _ in attached for paths in files.values() for path in paths]
    assert files == [PAGE, RECORD, PICTURE]
    (tag,) = attached[-1][1]
    assert tag == f"medkd.report.{written.digest()[:12]}"


def test_a_classifiers_report_leaves_no_segmentation_of_another_models(kept, arrays, tmp_path, monkeypatch):
    monkeypatch.setattr(
        module,
        "read_kept",
        lambda _: (kept.explanations[0], {n: v for n, v in arrays.explained[0].items() if not n.startswith("seg")}),
    )
    monkeypatch.setattr(module, "open_registry", lambda _: None)
    monkeypatch.setattr(module, "_attach", lambda *_: None)
    write_bytes(tmp_path / "out" / "segmentation.nii.gz", b"of another model")
    write_report(local_workspace(tmp_path / "run"), tmp_path, tmp_path, tmp_path / "out")
    assert not (tmp_path / "out" / "segmentation.nii.gz").exists()


def test_what_was_refused_stays_so(tmp_path, monkeypatch):
    refused = RefusedSeries(series_key="s1", code="X", reason="y")
    monkeypatch.setattr(module, "write_report", lambda _, folder, __, out: (folder, out))
    folder = tmp_path / "s2" / "explanations" / "id"
    assert write_all_reports(None, (refused, folder), tmp_path) == (refused, (folder, tmp_path / "s2"))


def test_a_copied_report_is_that_of_its_place(tmp_path):
    workspace = local_workspace(tmp_path / "run")
    names = [stored(workspace, f"reports/a/{name}", f"reports/b/{name}") for name in (RECORD, PAGE, PICTURE)]
    reports = ReportSet(reports=names[0], pages=names[1], pictures=names[2], explanations=())
    page = copy_report(workspace, reports, 1, tmp_path / "out")
    assert page.read_text() == f"reports/b/{PAGE}"
    assert (tmp_path / "out" / RECORD).read_text() == f"reports/b/{RECORD}"


def test_all_pages_lie_in_one_archive_beside_both_students(kept, tmp_path, monkeypatch):
    workspace, attached = local_workspace(tmp_path / "run"), []
    refs = stored(workspace, f"reports/a/{RECORD}", f"reports/a/{PAGE}", "explanations/id/explanation.json")
    reports = ReportSet(reports=refs[:1], pages=refs[1:2], pictures=(), explanations=refs[2:])
    student = kept.explanations[0].model

    class Panel:
        segmentation = classification = type("One", (), {"model": student})

    registry = MemoryRegistry()
    monkeypatch.setattr(registry, "attach", lambda model, files, tags: attached.append((model, files, tags)))
    monkeypatch.setattr(module, "attach_study", lambda _, model, folder: attached.append((model, folder.name)))
    assert register_reports(workspace, Panel, reports, registry).models == (student, student)
    with zipfile.ZipFile(attached[0][1]["reports"]) as archive:
        assert sorted(archive.namelist()) == [f"a/{PAGE}", f"a/{RECORD}"]
    assert attached[0][2] == {"medkd.reports": reports.digest()}
    assert attached[-1] == (student, "id")


def test_a_report_says_the_nearest_training_cases_of_its_version(kept, arrays, tmp_path, monkeypatch):
    one = kept.explanations[0]
    held = with_features(arrays, (0, 0, 0, 0)).explained[0]
    monkeypatch.setattr(module, "read_kept", lambda _: (one, held))
    monkeypatch.setattr(module, "open_registry", lambda _: None)
    monkeypatch.setattr(module, "_attach", lambda *_: None)
    monkeypatch.setattr(module, "load_training_features", lambda *_: training_of(one))
    written = write_report(local_workspace(tmp_path / "run"), tmp_path, tmp_path, tmp_path / "out")
    assert [len(found.cases) for found in written.similar] == [5]
    assert load_record(tmp_path / "out" / RECORD, ReviewReport).similar == written.similar


def test_altered_features_of_training_cases_end_no_report_and_are_named_in_it(kept, tmp_path, monkeypatch, caplog):
    def altered(*_):
        raise RegistryError("TRAINING_FEATURES_ALTERED", "expected training_features.safetensors as it was")

    monkeypatch.setattr(module, "open_registry", lambda _: None)
    monkeypatch.setattr(module, "_attach", lambda *_: None)
    monkeypatch.setattr(module, "load_training_features", altered)
    written = write_report(local_workspace(tmp_path / "run"), tmp_path, tmp_path, tmp_path / "out")
    assert written.similar == ()
    (caveat,) = [one for one in written.caveats if one.code == "TRAINING_FEATURES_ALTERED"]
    model = kept.explanations[0].model
    assert f"{model.name}, version {model.version}" in caveat.text
    assert "training_features.safetensors" in caplog.text


def test_a_run_whose_features_were_altered_is_told_the_file(tmp_path, report):
    workspace = local_workspace(tmp_path)
    record = training_of(report.explanations[0]).record
    explained = ExplainedStudies(studies=())
    with pytest.raises(StoreError, match=record.array.key) as caught:
        module.report_studies.__wrapped__(workspace, explained, "studies", (), (record,))
    assert caught.value.code == "STORE_ALTERED"
