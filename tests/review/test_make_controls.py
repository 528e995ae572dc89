from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from review_clients import one_report, write_studies

from data_contracts import DataError, ReviewReport, load_record, map_name
from medkd.review.make_controls import KINDS, make_controls
from medkd.review.study_file import NAME, open_study_file, write_study_file


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("controls")
    reports = write_studies(folder / "reports", 2, lesions=2)
    return reports, folder / "out", make_controls(reports, folder / "out")


def test_every_kind_is_made_of_every_study_below_the_digest_of_its_report(made):
    _, out, (controls, refused) = made
    assert refused == ()
    assert [(one.study_key, one.kind) for one in controls] == [(f"study-00{place}", kind) for place in range(2) for kind in KINDS]
    report, _ = one_report(0, lesions=2)
    assert controls[0].folder == out / report.digest() / KINDS[0]


@pytest.mark.parametrize("kind", KINDS)
def test_maps_are_wrong_and_everything_else_is_the_same(made, kind):
    reports, out, _ = made
    genuine, arrays = load_record(reports / "series-000" / "report.json", ReviewReport), open_study_file(reports / "series-000" / NAME)
    folder = out / genuine.digest() / kind
    control, wrong = load_record(folder / "report.json", ReviewReport), open_study_file(folder / NAME)
    assert control.volume == genuine.volume
    name = f"0/{map_name(1, 'student', 'grad_cam')}"
    assert not np.allclose(arrays.map(name), wrong.map(name))
    assert np.array_equal(arrays.volume(), wrong.volume())
    assert np.array_equal(arrays.mask("mask/student"), wrong.mask("mask/student"))
    assert set(arrays.tensors) == set(wrong.tensors)
    one, other = genuine.explanations[0], control.explanations[0]
    assert [ref.tensor for ref in one.maps] == [ref.tensor for ref in other.maps]
    assert [[value.name for value in ref.measures] for ref in one.maps] == [[value.name for value in ref.measures] for ref in other.maps]
    assert [lesion.model_copy(update={"outside": None}) for lesion in one.lesions] == [
        lesion.model_copy(update={"outside": None}) for lesion in other.lesions
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_figures_agree_with_the_maps_that_are_shown(made, kind):
    reports, out, _ = made
    genuine = load_record(reports / "series-000" / "report.json", ReviewReport)
    folder = out / genuine.digest() / kind
    control, shown = load_record(folder / "report.json", ReviewReport), open_study_file(folder / NAME)
    one = control.explanations[0]
    for ref in one.maps:
        values = np.clip(shown.map(f"0/{ref.tensor}"), 0, None) if one.mass == "positive" else np.abs(shown.map(f"0/{ref.tensor}"))
        inside = shown.mask(f"0/region/{ref.number}") > 0
        assert ref.measure("relevance_mass_accuracy") == pytest.approx(float(values[inside].sum() / values.sum()), abs=0.01)
    focus = one.lesions[0].outside
    outside = np.abs(shown.map(f"0/{map_name(1, 'student', focus.explainer)}")) * (shown.mask("mask/student") == 0)
    assert outside[focus.slice_index, focus.row, focus.column] == pytest.approx(float(outside.max()), rel=0.03)


def test_a_study_alone_with_one_finding_has_mirrored_maps_alone(tmp_path):
    reports = write_studies(tmp_path / "reports", 1)
    controls, refused = make_controls(reports, tmp_path / "out")
    assert [one.kind for one in controls] == ["mirrored"]
    assert [reason.split(":")[0] for _, reason in refused] == ["CONTROL_ALONE", "CONTROL_ALONE"]


def test_maps_that_do_not_change_make_no_control_and_a_report_without_arrays_is_named(tmp_path):
    report, arrays = one_report(0)
    kept = {name: np.ones_like(values) if name.startswith("map/") else values for name, values in arrays.explained[0].items()}
    folder = tmp_path / "reports" / "one"
    folder.mkdir(parents=True)
    (folder / "report.json").write_bytes(report.canonical_json())
    write_study_file(folder / NAME, report, type(arrays)(arrays.volume, (kept,), arrays.label))
    (tmp_path / "reports" / "two").mkdir()
    (tmp_path / "reports" / "two" / "report.json").write_bytes(report.canonical_json())
    _, refused = make_controls(tmp_path / "reports", tmp_path / "out")
    assert refused[0][0] == "two"
    with pytest.raises(DataError) as caught:
        make_controls(tmp_path / "empty", tmp_path / "out")
    assert caught.value.code == "NO_REPORT"


def test_a_control_shows_every_image_that_the_genuine_report_does(tmp_path):
    """A page with an image less would tell its reader that it is none."""
    reports = write_studies(tmp_path / "reports", 2, lesions=2)
    report, arrays = one_report(0, lesions=2)
    place = reports / report.volume.series_key / NAME
    write_study_file(place, report, replace(arrays, further=(arrays.volume[::-1].copy(),)))
    make_controls(reports, tmp_path / "out")
    for kind in KINDS:
        shown = open_study_file(tmp_path / "out" / report.digest() / kind / NAME)
        assert np.array_equal(shown.volume(1), open_study_file(place).volume(1))
