from __future__ import annotations

import hashlib

import pytest
import torch

from data_contracts import Entry, ModelRef, Ref, SanityCheck, SanityReport, TargetRecord, map_name
from medkd.explanation.map_records import MapRecords
from medkd.explanation.subjects import ExplainedRegion

SHA = hashlib.sha256(b"x").hexdigest()
ENTRY = Entry(name="grad_cam", options={"layer": "features"})


@pytest.fixture
def records(make_volume, loaded):
    _, volume = make_volume([])
    shape = volume.geometry.shape
    generator = torch.Generator().manual_seed(0)
    arrays = {map_name(1, role, "grad_cam"): torch.rand(shape, generator=generator) for role in ("student", "teacher")}
    check = SanityCheck(name="randomisation", value=0.9, limit=0.5, passed=False)
    return MapRecords(
        models={
            role: ModelRef(name=role, version=2, manifest_digest=SHA, role=role, weights_digest=SHA) for role in ("student", "teacher")
        },
        volume=volume,
        task=loaded.checkpoint.task,
        array=Ref(store="explanation", key="maps.safetensors", sha256=SHA),
        arrays=arrays,
        faithful=dict.fromkeys(arrays, ()),
        sanity_reports={"grad_cam": SanityReport(explainer="grad_cam", checks=(check,), trusted=False)},
        seed=7,
    )


@pytest.fixture
def region(records):
    inside = torch.zeros(records.volume.geometry.shape, dtype=torch.uint8)
    inside[2:5, 2:5, 2:5] = 1
    return ExplainedRegion(1, "bright", 1, 3, inside, TargetRecord(kind="lesion_margin"), slice(None))


def test_the_teachers_map_stands_before_its_students_and_is_its_parent(records, region):
    teacher, student = records.of(region, ENTRY)
    assert (teacher.model_role, student.model_role) == ("teacher", "student")
    assert student.parent == teacher.digest()
    assert teacher.parent is None
    assert student.measure("cosine_agreement") is not None
    assert teacher.measure("cosine_agreement") is None


def test_a_record_says_how_its_map_was_made_and_what_it_failed(records, region):
    student = records.of(region, ENTRY)[1]
    assert (student.model, student.case_key, student.seed) == ("student/2", "s1", 7)
    assert (student.method.explainer, student.method.layer, student.method.passes_randomisation) == ("grad_cam", "features", False)
    assert student.preprocessing_digest == records.task.digest()
    assert student.source_digest == records.volume.array.sha256
    assert student.measure("relevance_mass_accuracy") == pytest.approx(27 / (20 * 24 * 28), rel=0.3)
    assert student.peaks[0].value == pytest.approx(float(records.arrays[student.tensor].max()))


@pytest.mark.parametrize("lacks", ["array", "model"])
def test_without_a_teacher_the_students_map_stands_alone(records, region, lacks):
    if lacks == "array":
        del records.arrays[map_name(1, "teacher", "grad_cam")]
    else:
        del records.models["teacher"]
    (student,) = records.of(region, ENTRY)
    assert (student.model_role, student.parent) == ("student", None)
