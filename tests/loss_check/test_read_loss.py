from __future__ import annotations

import pytest

from data_contracts import CatalogueError
from medkd.loss_check.read_loss import MAX_BYTES, catalogue_loss, file_loss, said
from medkd.loss_check.small_networks import Setting
from tests.loss_check.faults import GOOD, OF_THE_CATALOGUE


def test_an_entry_of_the_catalogue_brings_what_its_file_declares():
    loss = catalogue_loss("logit_standardisation")
    assert (loss.source, loss.min_classes, loss.minimum_at_teacher) == ("catalogue", 3, True)
    assert catalogue_loss("encoder_alignment").tasks == ("segmentation",)
    with pytest.raises(CatalogueError, match="did you mean 'logit_kd'"):
        catalogue_loss("logit_kdd")


def test_a_file_may_say_which_dimensions_it_is_for(loss_of):
    assert (loss_of(GOOD).dims, loss_of(GOOD + "\nDIMS = {3}\n").dims) == ((2, 3), (3,))


def test_both_conventions_are_told_apart_by_their_arguments(loss_of):
    setting = Setting("classification", 2)
    of_networks, of_traces = loss_of(GOOD), loss_of(OF_THE_CATALOGUE, "margin")
    for loss in (of_networks, of_traces):
        assert float(loss.value(setting.network(0), setting.teacher(), setting.sample(0))) > 0
    assert (of_networks.needs, of_networks.minimum_at_teacher) == (None, None)
    assert (of_traces.name, of_traces.needs, of_traces.tasks) == ("margin", {"teacher"}, ("classification",))


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("x = 1", "LOSS_SIGNATURE"), (GOOD + "\nDIMS = 2\n", "LOSS_SIGNATURE"), (GOOD + "\nDIMS = (4,)\n", "LOSS_SIGNATURE"),
        ("def loss(a): return a", "LOSS_SIGNATURE"), ("def loss(:", "LOSS_UNREADABLE"),
        ("raise SystemExit(3)", "LOSS_UNREADABLE"), ("import not_there_at_all", "LOSS_UNREADABLE"), ("loss = 3", "LOSS_SIGNATURE"),
    ],
)  # fmt: skip
def test_what_holds_no_loss_is_one_sentence(loss_of, source, code):
    with pytest.raises(CatalogueError, match="expected") as caught:
        loss_of(source)
    assert caught.value.code == code


def test_what_is_no_file_is_one_sentence(tmp_path):
    (tmp_path / "big.py").write_bytes(b"#" * (MAX_BYTES + 1))
    (tmp_path / "text.txt").write_text("x")
    for name in ("missing.py", "", "big.py", "text.txt"):
        with pytest.raises(CatalogueError, match="expected a Python file") as caught:
            file_loss(tmp_path / name)
        assert caught.value.code == "LOSS_FILE"


def test_errors_of_others_are_said_in_one_line():
    assert said(ValueError("a\nb")) == "ValueError: a b"
    assert said(KeyError()) == "KeyError"


def test_a_loss_of_detectors_is_refused_with_what_it_is_for():
    with pytest.raises(CatalogueError, match="expected a loss for classification or segmentation, box_kd is for detection") as caught:
        catalogue_loss("box_kd")
    assert caught.value.code == "LOSS_TASK"
