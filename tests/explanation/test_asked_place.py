"""What supports this here? A voxel, or a class of a slice, explained by networks whose maps are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from data_contracts import Entry, ExplanationError, ExplanationRequest, map_name
from medkd.explanation.artefact import keep, replay
from medkd.explanation.explain_study import StudyImages, explain_study
from tests.explanation.pictures import bright_picture, model_of_pictures

BOX, PLACE = np.s_[4:9, 5:12, 6:14], (6, 8, 9)
MAP = map_name(0, "student", "input_times_gradient")


def asked(values, volume, model, **changes):
    request = ExplanationRequest(explainers=(Entry(name="input_times_gradient"),), place=PLACE).model_copy(update=changes)
    return explain_study(StudyImages(values, volume), model, request)


def test_a_voxel_is_supported_by_itself_and_a_little_by_its_neighbours(loaded, make_volume):
    """The margin at a voxel is twice the voxel and a tenth of each of its six neighbours; bright is 2 above dark in what the network sees.

    A hundredth is let pass: at the edge of one of the windows that are averaged a neighbour is not seen.
    """
    made = asked(*make_volume([BOX]), loaded)
    found = made.arrays[MAP]
    neighbours = [tuple(at + (step if axis == along else 0) for along, at in enumerate(PLACE)) for axis in range(3) for step in (-1, 1)]
    assert float(found[PLACE]) == pytest.approx(4.0, rel=0.01)
    assert [float(found[one]) for one in neighbours] == pytest.approx([0.2] * 6, rel=0.01)
    assert float(found.abs().sum()) == pytest.approx(5.2, rel=0.01)
    (ref,) = made.record.maps
    assert (ref.number, made.record.explained) == (0, (0,))
    assert made.arrays["mask/0"].nonzero().tolist() == [list(PLACE)]


def test_a_dark_voxel_beside_the_box_is_supported_by_the_box_alone(loaded, make_volume):
    found = asked(*make_volume([BOX]), loaded, place=(3, 8, 9)).arrays[MAP]
    assert found.nonzero().tolist() == [[4, 8, 9]]
    assert float(found.sum()) == pytest.approx(0.2, rel=0.01)


def test_what_was_found_stays_in_the_record_and_only_the_place_has_maps(loaded, make_volume):
    record = asked(*make_volume([BOX]), loaded).record
    assert [one.tracking_id for one in record.lesions] == ["lesion-1"]
    assert {one.number for one in record.maps} == {0}
    assert record.sanity_reports[0].trusted


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"place": (99, 0, 0)}, "PLACE_UNKNOWN"), ({"class_name": "dark"}, "CLASS_UNKNOWN"), ({"class_name": "background"}, "CLASS_UNKNOWN")],
)
def test_no_such_place_and_no_such_class_are_refused(loaded, make_volume, changes, code):
    with pytest.raises(ExplanationError) as caught:
        asked(*make_volume([BOX]), loaded, **changes)
    assert caught.value.code == code


def test_a_classifier_is_asked_about_the_slice_and_a_class():
    shown, volume = bright_picture()
    model = model_of_pictures("classification")
    given = asked(shown, volume, model, place=(0, 15, 30)).record.maps[0]
    other = asked(shown, volume, model, place=(0, 15, 30), class_name="bright" if given.target.options["index"] == 0 else "dark")
    assert other.record.maps[0].target.options["index"] == 1 - given.target.options["index"]
    first = asked(shown, volume, model, place=(0, 15, 30))
    torch.testing.assert_close(other.arrays[MAP], -first.arrays[MAP])


def test_of_several_slices_a_classifier_is_asked_about_the_one_of_the_place():
    shown, volume = bright_picture(frames=3)
    shown[2, 30:40, 40:60] = 255
    made = asked(shown, volume, model_of_pictures("classification"), place=(2, 35, 50))
    assert [int(one) for one in made.arrays[MAP].abs().flatten(1).sum(1).nonzero()] == [2]


def test_on_a_coarser_grid_the_nearest_voxel_of_the_network_is_asked():
    """Pictures of 48 x 64 are seen as 24 x 32: a pixel of the picture is a quarter of one of the network's."""
    shown, volume = bright_picture()
    made = asked(shown, volume, model_of_pictures("segmentation"), place=(0, 15, 30))
    peak = [int(at) for at in torch.unravel_index(made.arrays[MAP].abs().argmax(), made.arrays[MAP].shape)]
    assert max(abs(at - of) for at, of in zip(peak, (0, 15, 30), strict=True)) <= 1


def test_an_answer_is_made_again_to_the_bit(loaded, make_volume, tmp_path):
    values, volume = make_volume([BOX])
    again = replay(keep(asked(values, volume, loaded), tmp_path / "kept"), values, loaded)
    assert (again.same, again.differs, again.record.request.place) == (True, {}, PLACE)


def test_a_request_without_a_place_keeps_its_bytes():
    assert b"place" not in ExplanationRequest(explainers=()).canonical_json()
    assert b"class_name" not in ExplanationRequest(explainers=()).canonical_json()
