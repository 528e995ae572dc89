"""A version with its lineage as one file: the same bytes each time, and none that was altered."""

from __future__ import annotations

import pytest

from data_contracts import OutputError, RegistryError
from medkd.registry.export_version import export_version


def test_an_export_has_the_same_bytes_each_time_and_replaces_nothing(origin, exported, tmp_path):
    export_version(origin.registry, origin.student.uri, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == exported.read_bytes()
    with pytest.raises(OutputError) as caught:
        export_version(origin.registry, origin.student.uri, exported)
    assert caught.value.code == "OUT_EXISTS"


def test_an_altered_attachment_is_not_exported(origin, tmp_path):
    (page,) = (tmp_path / "origin" / "mlartifacts").rglob("report.html")
    page.write_text("report.htmL")
    with pytest.raises(RegistryError, match=r"reports/fedcba987654/report\.html") as caught:
        export_version(origin.registry, origin.student.uri, tmp_path / "altered.zip")
    assert caught.value.code == "VERSION_ALTERED"
    assert not (tmp_path / "altered.zip").exists()
