"""What a version brings to its promotion, and what does not belong together."""

from __future__ import annotations

import pytest

from data_contracts import RegistryError
from medkd.promotion.version_records import EXPLANATIONS, read_version


def test_every_record_of_the_package_is_read_and_what_is_absent_is_none(registry, make):
    full, bare = read_version(registry, make(ece=0.05).uri), read_version(registry, make(mark="bare", results=False, explained=False).uri)
    assert full.checkpoint.weights_digest == full.results.weights_digest == full.calibration.weights_digest == full.model.weights_digest
    assert full.bundle.digest() == full.bundle_digest
    assert full.training.patients == ("trained0", "trained1")
    assert (bare.results, bare.calibration, bare.bundle, bare.bundle_digest, bare.network) == (None, None, None, "", None)
    assert full.problems == bare.problems == ()


def test_explanations_that_are_gone_or_cannot_be_read_are_said(registry, make):
    model = make(explained=False)
    registry.attach(model, {}, {EXPLANATIONS: "e" * 64})
    found = read_version(registry, model.uri)
    assert (found.bundle, found.problems) == (None, ("the explanations eeeeeeeeeeee are gone",))
    registry._beside[model.uri][f"explanations/{model.name}-{model.version}.zip"] = b"no zip"
    (problem,) = read_version(registry, model.uri).problems
    assert problem.startswith("the explanations cannot be read (")


def test_a_flipped_byte_is_refused_before_anything_is_read(registry, make):
    model = make()
    (registry._versions[model.name][0][1] / "checkpoint.json").write_bytes(b"{}")
    with pytest.raises(RegistryError, match=r"checkpoint\.json") as caught:
        read_version(registry, model.uri)
    assert caught.value.code == "VERSION_ALTERED"
