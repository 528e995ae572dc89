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
from tests.loss_check.faults import (
    CRASHES_LATER,
    GOOD,
    MATCHES_GRADIENTS,
    MATCHES_MAPS,
    NUMBER_OF_NUMPY,
    OF_THE_CATALOGUE,
    PICTURES_ALONE,
    REGULARISES,
)


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


FOUR = ("another_patient", "centre_gaussian", "random_teacher", "shuffled")
#: In the catalogue's form: what is asked of the teacher, and the same of the student.
OF_TRACES = "def loss(student, teacher, sample):\n    return ({} - {}).square().mean()\n"


def test_a_file_is_taken_at_its_word_about_explanations():
    assert controls_of(catalogue_loss("attribution_transfer"), ()) == FOUR
    assert controls_of(catalogue_loss("logit_kd"), ()) == ()


@pytest.mark.parametrize("setting", [Setting("classification", 2), Setting("segmentation", 3)], ids=str)
@pytest.mark.parametrize("source", [GOOD, REGULARISES, OF_TRACES.format("student.logits", "teacher.logits()")])
def test_a_file_that_declares_nothing_and_reads_answers_alone_is_due_no_controls(loss_of, setting, source):
    assert controls_of(loss_of(source), [setting]) == ()


@pytest.mark.parametrize(
    "source", [MATCHES_MAPS, MATCHES_GRADIENTS, OF_TRACES.format("student.feature('body')", "teacher.features('last')")]
)
def test_a_file_that_declares_nothing_and_reads_reasons_is_due_controls(loss_of, source):
    assert controls_of(loss_of(source), [Setting("classification", 2)]) == FOUR


@pytest.mark.parametrize(
    "source", [NUMBER_OF_NUMPY, "def loss(student, teacher, images, labels):\n    return student(images).mean().item()\n"]
)
def test_a_number_is_a_broken_law_and_no_other_is_asked(loss_of, source):
    (setting,) = check_loss(loss_of("TASKS = {'classification'}\n" + source), dims=(2,)).settings
    broken, others = setting.laws
    assert (broken.law, broken.verdict, others.verdict) == ("the gradient reaches the student", "broken", "not applicable")
    assert "which carries no gradient: line" in broken.sentence
    assert others.sentence.startswith("not asked")


def test_networks_on_which_a_loss_crashes_are_a_broken_law_unless_it_says_that_it_is_not_for_them(loss_of):
    report = check_loss(loss_of("TASKS = {'classification'}\n" + PICTURES_ALONE))
    assert [(setting.name, law.law) for setting, law in report.broken()] == [("classification 3D", "it answers")]
    assert "ValueError: too many values to unpack" in report.broken()[0][1].sentence
    meant = check_loss(loss_of("TASKS = {'classification'}\nDIMS = (2,)\n" + PICTURES_ALONE))
    assert ([setting.name for setting in meant.settings], meant.broken()) == (["classification 2D"], ())


def test_a_crash_under_one_law_breaks_that_law_and_keeps_the_others(loss_of):
    (setting,) = check_loss(loss_of("TASKS = {'classification'}\n" + CRASHES_LATER), dims=(2,)).settings
    found = {law.law: law for law in setting.laws}
    assert list(found) == [*LAWS, "cost"]
    assert found["the gradient reaches the student"].verdict == "holds"
    assert found["the gradient depends on the weights"].verdict == found["the teacher is never changed"].verdict == "broken"
    crashed = found["the gradient depends on the images"]
    assert (crashed.verdict, "while this was asked it did not: AssertionError: another batch" in crashed.sentence) == ("broken", True)
