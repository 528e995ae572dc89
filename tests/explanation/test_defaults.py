from __future__ import annotations

from data_contracts import Entry, TaskKind
from medkd.catalogue import EXPLAINERS
from medkd.explanation.defaults import DEFAULT_EXPLAINERS, MOST_FINDINGS, MOST_SLICES, first_findings, with_defaults
from medkd.inference.components import smallest_voxels


def test_specks_are_no_findings_whatever_their_voxels_measure(make_volume):
    def smallest(step):
        return smallest_voxels(make_volume([], turn=((0, 0, step), (0, step, 0), (step, 0, 0)))[1].geometry)

    assert [smallest(step) for step in (0.5, 1.0, 4.0)] == [160, 20, 20]


def test_who_names_explainers_gets_those_and_who_names_none_those_of_the_task():
    asked = first_findings(Entry(name="saliency"), lesion=2, seconds=9.0)
    assert with_defaults(asked, TaskKind.SEGMENTATION) is asked
    assert (asked.lesion, asked.seconds, asked.most, asked.slices) == (2, 9.0, MOST_FINDINGS, MOST_SLICES)
    for kind in (TaskKind.SEGMENTATION, TaskKind.CLASSIFICATION):
        assert with_defaults(first_findings(), kind).explainers == DEFAULT_EXPLAINERS[kind]


def test_default_explainers_are_for_their_task_and_take_the_options_that_they_are_given():
    for kind, entries in DEFAULT_EXPLAINERS.items():
        for one in entries:
            assert kind.value in EXPLAINERS.entry(one.name).fact("TASKS")
            assert set(one.options) <= set(EXPLAINERS.entry(one.name).options())
