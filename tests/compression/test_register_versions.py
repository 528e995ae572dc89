"""What was trained by compression becomes a version of its own: its teacher, its origin, whose data it saw, and what was measured of it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from data_contracts import CompressionReport, RegistryError, TrainingManifest, load_record
from medkd.compression.candidates import CompressionSource
from medkd.compression.register_versions import compressed_arm, compressed_students, register_versions
from medkd.compression.write_compression import write_compression
from medkd.promotion.version_records import FORM, ORIGIN, read_version
from medkd.registry.interface import TRAINING_MANIFEST, Publication
from medkd.storage.manifest import pack_model
from tests.flows.recording import GOLDEN
from tests.promotion.versions import Plan, publish
from tests.registry.memory_registry import MemoryRegistry

REPORT = load_record(GOLDEN / "compression_report_1.json", CompressionReport)


def test_an_arm_of_a_compressed_student_is_no_control():
    assert compressed_arm("kd", "int8") == "kd-compressed_int8"
    assert "__" not in compressed_arm("kd", "int8")


def test_networks_with_weights_of_their_own_become_versions(student):
    source = CompressionSource(SimpleNamespace(), student, None)
    own = student.model_copy(update={"weights_digest": "b" * 64})
    forms = {"pruned": SimpleNamespace(name="pruned", checkpoint=own), "int8": SimpleNamespace(name="int8", checkpoint=student)}
    (found,) = compressed_students(forms, source).items()
    assert found == ("pruned", own.model_copy(update={"arm": "kd-compressed_pruned"}))


@pytest.fixture
def registered(tmp_path, monkeypatch, student):
    """Register a student of a version by a package that stands for the real one; return registry, version and source."""
    registry = MemoryRegistry()
    model = publish(registry, tmp_path / "origin", Plan())
    source = CompressionSource(model, student, None)
    given = []

    def publication_of(_workspace, _result, checkpoint, lineage, manifest):
        given.append((lineage, manifest))
        elsewhere = MemoryRegistry()
        version = publish(elsewhere, tmp_path / "packed", Plan(name="r-kd-compressed_int8"))
        folder = elsewhere.fetch(version.uri)[1]
        return Publication(
            name=version.name, folder=folder, role=version.role, weights_digest=version.weights_digest, tags={"medkd.arm": checkpoint.arm}
        )

    monkeypatch.setattr("medkd.compression.register_versions.publication_of", publication_of)
    write_compression(tmp_path, REPORT)
    result = SimpleNamespace(students=(student.model_copy(update={"arm": "kd-compressed_int8"}),))
    return registry, source, given, lambda: register_versions(None, result, source, REPORT, tmp_path, registry)


def test_it_has_the_training_patients_of_the_version_and_says_what_it_was_made_of(registered):
    registry, source, given, register = registered
    (model,) = register()
    ((lineage, manifest),) = given
    assert lineage == ()
    assert source.model.teacher is None
    expected = load_record(registry.fetch(source.model.uri)[1] / TRAINING_MANIFEST, TrainingManifest)
    assert manifest == expected
    found = read_version(registry, model.uri)
    assert found.compression == REPORT
    tags = registry.tags(model)
    assert (tags[FORM], tags[ORIGIN]) == ("int8", str(source.model.lineage))


def test_a_version_that_does_not_say_whose_data_it_saw_is_refused(registered, tmp_path):
    registry, source, _, _ = registered
    digest = pack_model(tmp_path / "bare", {"weights.safetensors": b"w"})
    bare = registry.register(Publication(name="bare", folder=tmp_path / "bare", role=source.model.role, weights_digest=digest))
    unknown = CompressionSource(bare, source.checkpoint, None)
    with pytest.raises(RegistryError, match=TRAINING_MANIFEST) as caught:
        register_versions(None, SimpleNamespace(students=()), unknown, REPORT, tmp_path, registry)
    assert caught.value.code == "NO_TRAINING_MANIFEST"
