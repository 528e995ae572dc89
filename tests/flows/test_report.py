from __future__ import annotations

from types import SimpleNamespace

import pytest

from data_contracts import Ref, RefusedSeries
from flows.report import report
from tests.flows.recording import recorded

#: Names no explainers: the default ones are asked.
CALIBRATION, TRAINING = object(), object()
PANEL = SimpleNamespace(
    segmentation=SimpleNamespace(explainers=(), calibration=CALIBRATION, training_features=None),
    classification=SimpleNamespace(explainers=(), calibration=None, training_features=TRAINING),
)


def written(_, part, *__):
    refs = tuple(Ref(store="run", key=name, sha256="0" * 64) for name in part)
    return SimpleNamespace(
        reports=refs,
        pages=refs,
        pictures=refs,
        explanations=refs,
        refused=tuple(RefusedSeries(series_key=n, code="X", reason="y") for n in part),
    )


@pytest.mark.parametrize(("volumes", "shards"), [(("a", "b", "c"), [("a", "c"), ("b",)]), (("a",), [("a",)]), ((), [])])
def test_studies_are_explained_and_written_in_two_shards_and_come_together_again(volumes, shards):
    with recorded(explain_studies=lambda _, part, *__: part, reports=written) as engine:
        found = report("workspace", volumes, "studies", PANEL)
    assert [call[1] for call in engine.calls("explain studies")] == shards
    for refs in (found.reports, found.pages, found.pictures, found.explanations):
        assert sorted(ref.key for ref in refs) == sorted(volumes)
    assert sorted(one.series_key for one in found.refused) == sorted(volumes)


def test_both_stages_know_the_store_and_the_panel_is_asked_only_once():
    with recorded(explain_studies=lambda _, part, *__: part, reports=written) as engine:
        report("workspace", ("a",), "studies", PANEL)
    assert engine.titles() == ["explain studies", "reports"]
    assert engine.calls("explain studies")[0][2:4] == ("studies", PANEL)
    assert engine.calls("reports")[0] == ("workspace", ("a",), "studies", (CALIBRATION,), (TRAINING,))
