"""Kept under its content, found out when altered, made again to the bit."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from data_contracts import Entry, ExplanationError, ExplanationRequest, RegistryError
from medkd.explanation.artefact import find_kept, keep, read_explanation, replay
from medkd.explanation.explain_study import Decided, StudyImages, explain_study
from medkd.explanation.preview import MOST_PREVIEWS

BOX = np.s_[12:16, 4:8, 18:22]


@pytest.fixture
def kept(loaded, make_volume, tmp_path):
    def make(*names, boxes=(BOX,), **changes):
        values, volume = make_volume(list(boxes))
        request = ExplanationRequest(explainers=tuple(name if isinstance(name, Entry) else Entry(name=name) for name in names), **changes)
        made = explain_study(StudyImages(values, volume), loaded, request)
        return keep(made, tmp_path / "explanations"), values, made

    return make


def test_the_same_question_lies_in_the_same_place(kept, loaded, tmp_path):
    asks = ("saliency", Entry(name="smooth_grad", options={"samples": 3}))
    place, _, made = kept(*asks)
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    again, _, _ = kept(*asks)
    assert again == place
    assert before == {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    assert list((tmp_path / "explanations").iterdir()) == [place]
    assert place.name == made.record.digest()[:12]
    assert json.loads((place / "cost.json").read_text())["seconds"].keys() == {"saliency", "smooth_grad", "all"}
    record, arrays = read_explanation(place)
    assert record == made.record
    assert all(torch.equal(arrays[name], value) for name, value in made.arrays.items())


def test_it_is_made_again_to_the_bit(kept, loaded):
    shap = Entry(name="kernel_shap", options={"players": 8, "samples": 24})
    place, values, _ = kept(Entry(name="smooth_grad", options={"samples": 4}), shap, "grad_cam")
    found = replay(place, values, loaded)
    assert found.same
    assert found.differs == {}


def test_an_approximation_is_made_again_with_as_many_samples(kept, loaded):
    place, values, made = kept("integrated_gradients", "kernel_shap", seconds=0.05)
    assert all(
        sanity_report.samples is not None and sanity_report.samples[1] < sanity_report.samples[0]
        for sanity_report in made.record.sanity_reports
    )
    assert replay(place, values, loaded).same


def test_one_from_before_findings_had_features_is_made_again_to_the_bit(loaded, make_volume, tmp_path):
    values, volume = make_volume([BOX])
    asked = ExplanationRequest(explainers=(Entry(name="saliency"),))
    place = keep(explain_study(StudyImages(values, volume), loaded, asked, decided=Decided(features=False)), tmp_path / "explanations")
    assert "features/1" not in read_explanation(place)[1]
    assert replay(place, values, loaded).same


def test_another_network_gives_other_bits(kept, loaded):
    place, values, _ = kept("saliency")
    with torch.no_grad():
        loaded.network.features.weight[0, 0, 0, 1, 1] += 0.01
    found = replay(place, values, loaded)
    assert not found.same
    assert found.differs["map/1/student/saliency"] > 1e-3


@pytest.mark.parametrize("name", ["maps.safetensors", "explanation.json", "cost.json"])
def test_an_altered_byte_is_found_out(kept, name):
    place, _, _ = kept("saliency")
    payload = bytearray((place / name).read_bytes())
    payload[-2] ^= 1
    (place / name).write_bytes(bytes(payload))
    with pytest.raises(RegistryError) as caught:
        read_explanation(place)
    assert caught.value.code == "VERSION_ALTERED"


def test_without_its_manifest_it_was_never_finished(kept):
    place, _, _ = kept("saliency")
    (place / "manifest.json").unlink()
    with pytest.raises(ExplanationError) as caught:
        read_explanation(place)
    assert caught.value.code == "EXPLANATION_INCOMPLETE"


def test_it_is_found_by_its_id_or_a_maps(kept, tmp_path):
    place, _, made = kept("saliency", "grad_cam")
    assert find_kept(tmp_path, place.name[:5]) == place
    assert find_kept(tmp_path, made.record.digest()) == place
    assert find_kept(tmp_path, made.record.maps[1].digest()) == place
    for wanted in ("ffffffff", "a"):
        with pytest.raises(ExplanationError) as caught:
            find_kept(tmp_path, wanted)
        assert caught.value.code == "EXPLANATION_UNKNOWN"
        assert place.name in str(caught.value)


def test_there_are_at_most_twenty_previews_and_every_lesion_is_seen_first(kept):
    boxes = [np.s_[2:5, 2:5, 1 + 5 * i : 4 + 5 * i] for i in range(5)] + [np.s_[12:15, 12:15, 1 + 5 * i : 4 + 5 * i] for i in range(5)]
    place, _, _ = kept("saliency", "grad_cam", "hires_cam", boxes=boxes)
    shown = {path.name for path in (place / "previews").glob("*.png")}
    assert len(shown) == MOST_PREVIEWS
    assert {f"lesion-{number}-saliency.png" for number in range(1, 11)} <= shown


def test_what_was_made_without_torch_is_not_made_again_by_it(kept, loaded, tmp_path):
    _, values, made = kept("saliency")
    record = made.record.model_copy(update={"libraries": {"medkd": "1", "onnxruntime": "2"}})
    place = keep(replace(made, record=record), tmp_path / "served")
    with pytest.raises(ExplanationError, match="onnxruntime 2") as caught:
        replay(place, values, loaded)
    assert caught.value.code == "REPLAY_RUNTIME"
