from __future__ import annotations

import zipfile

import pytest

from data_contracts import CohortSet, CohortUse, ExplanationBundle, LeakageCertificate, LeakageError, ModelRef, Part, Ref, Role
from medkd.registry.memory_registry import MemoryRegistry
from medkd.registry.publish import attach_explanations, register_models
from medkd.workspace import embedded_workspace

MODEL = ModelRef(name="net", version=1, manifest_digest="a" * 64, role=Role.STUDENT, weights_digest="b" * 64)


def test_without_a_clean_certificate_nothing_is_registered(tmp_path):
    shared = LeakageCertificate(cohort_digest="a" * 64, patients={}, shared_patients=("p1",), shared_pixel_digests=())
    use = CohortUse(cohort=Ref(store="run", key="x", sha256="0" * 64), part=Part.TEST)
    registry = MemoryRegistry()
    with pytest.raises(LeakageError) as caught:
        register_models(embedded_workspace(tmp_path), None, CohortSet(uses={"test": use}, certificates=(shared,)), (), (), registry)
    assert caught.value.code == "NO_CLEAN_CERTIFICATE"
    assert registry.tags == {}


def test_explanations_are_one_archive_whose_bytes_depend_on_its_contents_alone(tmp_path):
    workspace, registry = embedded_workspace(tmp_path), MemoryRegistry()
    bundle = ExplanationBundle(subject="r/kd-0", weights_digest="b" * 64, teacher_digest="c" * 64, explanations=(), figures={})
    payloads = []
    for _ in range(2):
        attach_explanations(workspace, registry, MODEL, bundle, {})
        payloads.append(registry.attached[MODEL.uri]["explanations"].read_bytes())
    assert payloads[0] == payloads[1]
    with zipfile.ZipFile(registry.attached[MODEL.uri]["explanations"]) as archive:
        assert archive.read("index.json") == bundle.canonical_json()
    assert registry.tags[MODEL.uri]["medkd.explanations"] == bundle.digest()
