"""A version goes to another registry as one file, with everything it descends from and what stands beside it."""

from __future__ import annotations

import shutil
import struct
import zipfile

import pytest

from data_contracts import NetworkSpec, OutputError, RegistryError, Task
from medkd.registry.export_version import export_version
from medkd.registry.import_version import import_versions
from tests.registered import register_tiny
from tests.registry.registered_versions import open_in, publish, register_lineage, rewrite


@pytest.fixture
def origin(tmp_path, empty_database):
    return register_lineage(open_in(tmp_path / "origin", empty_database), tmp_path / "origin")


@pytest.fixture
def exported(origin, tmp_path):
    export_version(origin.registry, origin.student.uri, tmp_path / "kd.zip")
    return tmp_path / "kd.zip"


@pytest.fixture
def site(tmp_path, empty_database):
    """Return the registry of another site, in which the numbers 1 are taken."""
    registry = open_in(tmp_path / "site", empty_database)
    for name in ("r-teacher", "r-kd"):
        publish(registry, tmp_path / "site", name, content="of the site")
    return registry


def test_a_version_arrives_with_its_lineage_under_new_numbers(origin, exported, site):
    teacher, knowledge, student = import_versions(site, exported)
    assert [one.model.uri for one in (teacher, knowledge, student)] == ["models:/r-teacher/2", "models:/r-knowledge/1", "models:/r-kd/2"]
    assert student.model.teacher == knowledge.model.teacher == teacher.model.lineage
    assert student.model.manifest_digest == origin.student.manifest_digest
    tags = site.contents(student.model.uri).tags
    assert tags["medkd.imported"] == str(origin.student.lineage)
    assert tags["medkd.imported.teacher"] == str(origin.teacher.lineage)


def test_text_figures_curves_and_what_stood_beside_arrive_unchanged(origin, exported, site):
    arrived, left = (
        registry.contents(uri)
        for registry, uri in ((site, import_versions(site, exported)[-1].model.uri), (origin.registry, origin.student.uri))
    )
    assert (arrived.description, arrived.params, arrived.metrics, arrived.history) == (
        left.description,
        left.params,
        left.metrics,
        left.history,
    )
    assert arrived.history[1] == {"epoch": 2.0, "loss": 0.1 + 0.2}
    assert arrived.attached == left.attached
    assert len(arrived.attached) == 4
    assert {key: value for key, value in arrived.tags.items() if "report" in key or "expl" in key} == {
        "medkd.explanation.0123456789ab": "1 findings, 2 maps", "medkd.failed_explainers": "none", "medkd.report.fedcba987654": "explanation 0123456789ab"
    }  # fmt: skip


def test_importing_twice_registers_once(exported, site):
    first, second = import_versions(site, exported), import_versions(site, exported)
    assert [one.model for one in first] == [one.model for one in second]
    assert [one.existed for one in (*first, *second)] == [False] * 3 + [True] * 3


def test_importing_where_it_came_from_changes_nothing(origin, exported):
    before = origin.registry.contents(origin.student.uri)
    assert all(one.existed for one in import_versions(origin.registry, exported))
    assert origin.registry.contents(origin.student.uri) == before


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


def flip(wanted):
    return lambda name, payload: bytes([payload[0] ^ 1]) + payload[1:] if name == wanted else payload


@pytest.mark.parametrize(
    "wanted",
    [
        "versions/2/package/card.json",
        "versions/2/attached/reports/fedcba987654/report.html",
        "export.json",
        "versions/0/package/manifest.json",
    ],
)
def test_an_altered_file_is_refused_by_name(exported, site, wanted):
    with pytest.raises(RegistryError, match=wanted) as caught:
        import_versions(site, rewrite(exported, flip(wanted)))
    assert caught.value.code == "EXPORT_ALTERED"
    assert len(site.versions("r-kd")) == 1


def test_a_byte_that_changed_on_the_way_is_refused_by_name(exported, site):
    data = bytearray(exported.read_bytes())
    data[data.index(b"r-kd ") + 1] ^= 1
    exported.write_bytes(data)
    with pytest.raises(RegistryError, match=r"versions/2/package/card\.json"):
        import_versions(site, exported)


@pytest.mark.parametrize("name", ["../evil", "/evil", "versions/../../evil", "a\\..\\evil", "C:/evil"])
def test_a_path_that_leaves_is_refused(exported, site, name):
    with pytest.raises(RegistryError, match="evil") as caught:
        import_versions(site, rewrite(exported, lambda _, payload: payload, added={name: b"x"}))
    assert caught.value.code == "EXPORT_UNSAFE"


def test_added_and_missing_files_are_refused_by_name(exported, site, tmp_path):
    shutil.copy(exported, tmp_path / "less.zip")
    for file in (
        rewrite(exported, lambda _, payload: payload, added={"more.txt": b"x"}),
        rewrite(tmp_path / "less.zip", lambda name, payload: None if name.endswith("2/package/card.json") else payload),
    ):
        with pytest.raises(RegistryError, match=r"more\.txt was added|card\.json is missing") as caught:
            import_versions(site, file)
        assert caught.value.code == "EXPORT_ALTERED"


def test_files_that_unpack_to_more_than_they_are_are_refused(exported, site, tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("export.json", b"0" * 2**24)
    data = bytearray(exported.read_bytes())
    entry = data.rindex(b"PK\x01\x02")  # of the export itself: an archive in it has entries of its own
    data[entry + 20 : entry + 28] = struct.pack("<II", 2**31, 2**31)
    (tmp_path / "lying.zip").write_bytes(data)
    for file in ("bomb.zip", "lying.zip"):
        with pytest.raises(RegistryError) as caught:
            import_versions(site, tmp_path / file)
        assert caught.value.code == "EXPORT_UNSAFE"


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x05\x06" + b"\0" * 18])
def test_what_is_no_export_is_refused(site, tmp_path, content):
    (tmp_path / "other.zip").write_bytes(content)
    with pytest.raises(RegistryError) as caught:
        import_versions(site, tmp_path / "other.zip")
    assert caught.value.code == "EXPORT_UNREADABLE"


def test_an_imported_version_answers_as_its_original(tmp_path, empty_database, monkeypatch):
    import mlflow
    import numpy as np

    for name in ("first", "second"):
        open_in(tmp_path / name, empty_database)
    uri = register_tiny(
        tmp_path / "first", Task(kind="classification", classes=("a", "b"), image_size=(16, 16)), NetworkSpec(builder="resnet")
    )
    export_version(open_in(tmp_path / "first", empty_database), uri, tmp_path / "tiny.zip")
    import_versions(open_in(tmp_path / "second", empty_database), tmp_path / "tiny.zip")
    shutil.move(tmp_path / "first", tmp_path / "gone")
    open_in(tmp_path / "gone", empty_database)
    before, answers = mlflow.get_tracking_uri(), []
    for name in ("gone", "second"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / name / 'mlflow.db'}")
        mlflow.set_tracking_uri(f"sqlite:///{tmp_path / name / 'mlflow.db'}")
        answers.append(mlflow.pyfunc.load_model(uri).predict({"image": np.ones((1, 1, 16, 16), np.float32)}))
    mlflow.set_tracking_uri(before)
    np.testing.assert_array_equal(answers[0]["logits"], answers[1]["logits"])
