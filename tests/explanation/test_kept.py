"""What is kept needs no torch to be written and read, and is found out where it was altered."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy

from data_contracts import Entry, ExplanationError, ExplanationRequest, RegistryError
from medkd.explanation.artefact import read_explanation
from medkd.explanation.explain_study import StudyImages, explain_study
from medkd.explanation.kept import ARRAYS, KeptResult, attach_study, explained_in, keep, read_kept
from tests.registry.memory_registry import MemoryRegistry

BOX = np.s_[12:16, 4:8, 18:22]


@pytest.fixture
def made(loaded, make_volume):
    values, volume = make_volume([BOX])
    found = explain_study(StudyImages(values, volume), loaded, ExplanationRequest(explainers=(Entry(name="saliency"),)))
    arrays = {name: one.numpy() for name, one in found.arrays.items()}
    return KeptResult(found.record, found.payload, arrays, values.numpy(), {"all": 1.0}, 5)


def test_what_is_kept_is_read_again(made, tmp_path):
    place = keep(made, tmp_path)
    record, arrays = read_kept(place)
    assert record == made.record
    assert place.name == hashlib.sha256((place / "explanation.json").read_bytes()).hexdigest()[:12]
    assert safetensors.numpy.load(made.payload).keys() == arrays.keys()
    for name, values in read_explanation(place)[1].items():
        np.testing.assert_array_equal(values.numpy(), arrays[name])
    assert list((place / "previews").glob("*.png"))
    assert not (keep(made, tmp_path / "other", previews=False) / "previews").exists()
    assert [one[:3] for one in explained_in(record)] == [("lesion", 1, "bright")]


def test_an_altered_one_is_refused(made, tmp_path):
    place = keep(made, tmp_path)
    (place / ARRAYS).write_bytes(b"x")
    with pytest.raises(RegistryError):
        read_kept(place)
    (place / "manifest.json").unlink()
    with pytest.raises(ExplanationError) as caught:
        read_kept(place)
    assert caught.value.code == "EXPLANATION_INCOMPLETE"


def test_it_is_put_beside_its_version(made, tmp_path):
    registry, place = MemoryRegistry(), keep(made, tmp_path)
    attach_study(registry, made.record.model, place)
    tags = registry.tags(made.record.model)
    assert tags[f"medkd.explanation.{place.name}"] == "1 findings, 1 maps"
    assert "explanations" in registry.artefacts[made.record.model.uri]


def test_no_torch_is_imported_to_read_report_and_publish():
    modules = "medkd.explanation.kept, medkd.explanation.served_registered, medkd.review.write_report, medkd.results.write_results, flows.run_served_study"
    code = f"import sys, {modules}; print(sorted({{'torch', 'monai', 'prefect', 'sklearn'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
