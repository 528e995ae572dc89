"""What the index of an export may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import ExportedVersion, RegistryExport, read_record

GOLDEN = Path(__file__).parent / "golden" / "registry_export_1.json"


@pytest.fixture
def export():
    return read_record(GOLDEN.read_bytes(), RegistryExport)


@pytest.mark.parametrize("folder", ["../versions/0", "/versions/0", "versions/0/..", "versions/", "versions/1234567", "other/0"])
def test_a_version_lies_in_a_numbered_folder_of_the_export(export, folder):
    given = export.versions[0].model_dump()
    assert ExportedVersion(**{**given, "folder": "versions/12"}).folder == "versions/12"
    with pytest.raises(ValueError, match="folder"):
        ExportedVersion(**{**given, "folder": folder})


def test_figures_are_finite(export):
    given = export.versions[0].model_dump()
    for changes in ({"metrics": {"auc": float("nan")}}, {"history": [{"epoch": 1.0, "loss": float("inf")}]}):
        with pytest.raises(ValueError, match=next(iter(changes))):
            ExportedVersion(**{**given, **changes})


def test_an_export_has_a_version_and_comes_back_as_it_was_written(export):
    with pytest.raises(ValueError, match="versions"):
        RegistryExport(versions=(), files={})
    assert read_record(export.canonical_json(), RegistryExport) == export
