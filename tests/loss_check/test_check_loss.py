from __future__ import annotations

import pytest

from data_contracts import CatalogueError
from medkd.catalogue import LOSSES
from medkd.loss_check.asking import Case
from medkd.loss_check.check_loss import LAWS, check_loss, controls_of
from medkd.loss_check.gradient_laws import depends_on_images, reaches_student
from medkd.loss_check.network_laws import given_back, teacher_unchanged
from medkd.loss_check.read_loss import catalogue_loss
from medkd.loss_check.small_networks import Setting
from tests.loss_check.faults import GOOD, OF_THE_CATALOGUE


def test_a_loss_is_asked_on_every_kind_of_network_that_it_is_for(loss_of):
    report = check_loss(loss_of(OF_THE_CATALOGUE, "margin"), dims=(2,))
    assert [setting.name for setting in report.settings] == ["classification 2D"]
    assert len(report.settings[0].laws) == len(LAWS) + 1
    assert not report.broken()
    assert report.controls == ()


#: Those of classification and segmentation: there are no small detectors.
NAMES = [name for name in LOSSES.names() if LOSSES.entry(name).fact("TASKS", frozenset()) != {"detection"}]


@pytest.mark.parametrize("name", NAMES)
def test_every_loss_of_the_catalogue_keeps_the_quick_laws(name):
    loss = catalogue_loss(name)
    case = Case.of(loss, Setting(loss.tasks[-1], 2, loss.min_classes))
    assert not [
        law.sentence
        for law in (reaches_student(case), depends_on_images(case), teacher_unchanged(case), given_back(case))
        if law.verdict == "broken"
    ]


@pytest.mark.extended
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_every_loss_of_the_catalogue_keeps_all_laws(name, dims):
    report = check_loss(catalogue_loss(name), dims=(dims,))
    assert not [(setting.name, law.law, law.sentence) for setting, law in report.broken()]


def test_a_loss_that_works_nowhere_says_what_it_raised(loss_of):
    with pytest.raises(CatalogueError, match="classification 2D it does not: KeyError: 'map'") as caught:
        check_loss(loss_of("def loss(student, teacher, images, labels):\n    return {}['map']\n"), dims=(2,))
    assert caught.value.code == "LOSS_FAILED"


def test_controls_are_due_where_explanations_are_read(loss_of):
    four = ("another_patient", "centre_gaussian", "random_teacher", "shuffled")
    assert controls_of(catalogue_loss("attribution_transfer")) == controls_of(loss_of(GOOD)) == four
    assert controls_of(catalogue_loss("logit_kd")) == ()
