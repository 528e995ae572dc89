"""What the page says of findings, tests and caveats: the same as the records do, in every language."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest

from data_contracts import Caveat, ClassAnswer, SanityCheck, Task, TrainingDomain
from medkd.evaluation import fit_calibration
from medkd.evaluation.choose_calibration import NOT_BETTER
from medkd.evaluation.conformal import bound_missed
from medkd.explanation.wording import checks_text
from medkd.inference.calibration_text import calibration_caveats
from medkd.inference.further_images import FurtherImages, images_caveats
from medkd.inference.training_caveats import cases_caveats, training_caveats
from medkd.review.caveats import compute_caveats
from medkd.review.page_words import caveat_said, checks_said, label_of, noun_word, size_of, slices_of, teacher_cell
from medkd.review.shown import shown_in
from medkd.review.texts import Said, in_each, recognise, text_of
from medkd.review.write_report import training_features_altered
from medkd.volumes.orientation import canonical_axes, grid_of
from tests.inference.test_calibration_text import GOLDEN
from tests.review.training import compared


def english(value):
    return text_of(value, "en")


def chinese(value):
    return text_of(value, "zh")


def test_findings_are_called_by_what_the_model_outlines(of_a_panel):
    shown = shown_in(of_a_panel[0])
    assert [in_each(label_of(one)) for one in shown] == [{"en": "lesion 1", "zh": "病灶 1"}, {"en": "answer 1", "zh": "回答 1"}]
    assert [label_of(one).text("en") for one in shown] == [one.label for one in shown]
    assert english(noun_word("anatomy", many=True)) == "structures"


@pytest.mark.parametrize(
    ("volume", "diameter", "said"),
    [(7.254, 31.04, "7.25 ml, longest diameter 31.0 mm"), (7.254, None, "7.25 ml"), (None, None, "size in mm not known")],
)
def test_sizes_are_said_as_far_as_they_are_known(report, volume, diameter, said):
    lesion = report.explanations[0].lesions[0].model_copy(update={"volume_ml": volume, "diameter_mm": diameter})
    assert english(size_of(lesion)) == said
    axes = lesion.model_copy(update={"axes_mm": (28.0, 17.55)})
    assert english(size_of(axes)) == (f"{said}, within one slice 28.0 × 17.6 mm" if diameter else said)
    assert slices_of(lesion) == {"first": 4, "last": 7, "key": 5}


@pytest.mark.parametrize(
    ("share", "said"), [(0.8, ("teacher agrees", False)), (0.02, ("only the student", True)), (None, ("no teacher", False))]
)
def test_the_teacher_is_said_of_a_lesion(report, share, said):
    text, alone = teacher_cell(report.explanations[0].lesions[0].model_copy(update={"share_in_teacher": share}))
    assert (english(text), alone) == said


def test_the_teacher_is_said_of_an_answer(of_a_panel):
    answer = of_a_panel[0].explanations[1].answers[0]
    assert (english(teacher_cell(answer)[0]), teacher_cell(answer)[1]) == ("teacher: benign", True)
    alike = answer.model_copy(update={"teacher_probabilities": answer.probabilities})
    assert (english(teacher_cell(alike)[0]), teacher_cell(alike)[1]) == ("teacher agrees", False)


def check(name, passed, value=0.25):
    reason = "not claimed" if passed is None else ""
    return SanityCheck(name=name, value=None if passed is None else value, limit=0.5, passed=passed, reason=reason)


@pytest.mark.parametrize(
    "checks",
    [
        (check("randomisation", False), check("random_lesion", False), check("additivity", True)),
        (check("randomisation", True), check("completeness", None)),
        (check("randomisation", False),),
        (check("completeness", None), check("additivity", None)),
    ],
)
@pytest.mark.parametrize("structures", ["lesion", "anatomy"])
def test_tests_of_an_explainer_are_said_in_the_words_of_tables(checks, structures):
    said = checks_said(checks, structures)
    assert english(said) == checks_text(checks, structures)
    assert not [word for word in ("failed", "passed", "tested", "random", "claimed") if word in chinese(said)]


def of_every_kind(report, change, of_a_panel):
    """Return caveats of every sentence that the code writes, of the explanations, the study, its training and its calibration."""
    one = report.explanations[0]
    lesion = one.lesions[0]
    volume = report.volume.model_copy(update={"flags": (), "synthetic_slices": (1, 2, 11), "tilt_degrees": 12.5})
    odd = change(
        report,
        volume=volume,
        lesions=(
            lesion.model_copy(update={"share_in_teacher": 0.02, "dice_to_teacher": 0.1}),
            lesion.model_copy(update={"tracking_id": "lesion-7"}),
            lesion.model_copy(update={"tracking_id": "lesion-8"}),
        ),
        teacher_only=(lesion, lesion.model_copy(update={"side": "unknown", "centroid_lps_mm": None})),
        failed=("randomisation", "random_lesion"),
        tested_on_cohort=(),
    )
    wide = change(report, lesion={"volume_ml": 2.0}, volume=volume.model_copy(update={"synthetic_slices": (), "synthetic_voxels": 5}))
    gone = change(report, lesions=(lesion, lesion.model_copy(update={"tracking_id": "lesion-2"})), teacher_only=(lesion,))
    answer = ClassAnswer(
        number=1, class_name="malignant", probability=0.5, first_slice=0, last_slice=3, key_slice=2,
        probabilities={"benign": 0.5, "malignant": 0.5}, teacher_probabilities={"benign": 0.6, "malignant": 0.4},
    )  # fmt: skip
    answers = change(report, lesions=(), answers=(answer, *(answer.model_copy(update={"number": number}) for number in (7, 8))))
    found = [caveat for made in (report, odd, wide, gone, answers, of_a_panel[0]) for caveat in compute_caveats(made.explanations)]
    grid = canonical_axes(grid_of(volume.geometry))[1]
    known = {"modalities": ("MR",), "units": ("raw",), "spacing_low_mm": (0.1,) * 3, "spacing_high_mm": (0.2,) * 3}
    panel, arrays = of_a_panel
    found += compared(panel, arrays, (40.0,) * 4, same_patient=1).caveats
    found.append(training_features_altered(report.explanations[0].model))
    for domain in (None, TrainingDomain(**known, extent_low_mm=(900.0,) * 3), TrainingDomain(modalities=("CT",), units=("raw",))):
        found += training_caveats(volume, domain, grid)
    task = Task(kind="segmentation", classes=("a", "b"), channels=("t1", "t2"))
    found += images_caveats(task, volume, FurtherImages((volume,), (), 0.25))
    text = "the model is for MR, T1 as t1, it was asked about another series (MR, axial, T2); what it says of it was never measured."
    found.append(Caveat(code="SERIES_OTHER", text=text, severity=3))
    return [*found, *cases_caveats(SimpleNamespace(cases="synthesised", hidden_classes=("cyst",)))]


def test_every_caveat_that_is_computed_is_said_in_chinese_with_the_same_figures(report, change, of_a_panel):
    found = of_every_kind(report, change, of_a_panel)
    codes = {caveat.code for caveat in found}
    assert len(codes) >= 24, sorted(codes)
    assert {"FAR_FROM_TRAINING", "PATIENT_IN_TRAINING", "TRAINING_FEATURES_ALTERED"} <= codes
    for caveat in found:
        name, text = caveat_said(caveat)
        assert isinstance(name, Said), caveat.code
        assert english(name) == caveat.code.replace("_", " ").lower()
        assert isinstance(text, Said), caveat.text
        assert english(text) == caveat.text


@pytest.mark.parametrize("noun", ["lesion", "structure"])
@pytest.mark.parametrize(
    "changes", [{}, {"method": "vector"}, {"method": "none"}, {"reason": "a bound"}, {"ece_before": None, "reason": "x"}]
)
@pytest.mark.parametrize(
    "bound", [{}, {"unit": "lesion"}, {"threshold": None, "reason": "too few"}, {"unit": "lesion", "false_positives": None}]
)
def test_what_is_said_of_a_calibration_is_said_in_chinese(noun, changes, bound):
    own = GOLDEN.model_copy(update={**changes, "bound": GOLDEN.bound.model_copy(update=bound)})
    for caveat in calibration_caveats(own, "net", noun):
        _, text = caveat_said(caveat)
        assert isinstance(text, Said), caveat.text
        assert english(text) == caveat.text


def test_a_caveat_of_another_version_is_shown_as_it_is():
    assert caveat_said(Caveat(code="SOMETHING_NEW", text="a new sentence.", severity=1)) == ("something new", "a new sentence.")


def test_reasons_of_calibrations_are_in_both_languages():
    """The reasons that the code gives, as the page repeats them in a sentence on a model."""
    fit = fit_calibration
    few = bound_missed([np.array([0.5])] * 3, np.zeros(3), alpha=0.1, unit="lesion").reason
    for reason in (
        fit.SEPARATED,
        fit.UNRELATED,
        fit.CONSTANT,
        NOT_BETTER,
        few,
        few.replace("lesion", "positive"),
        few.replace("lesion", "structure"),
    ):
        for text in (
            reason,
            f"net: probabilities are softmax outputs; {reason}.",
            f"net: no threshold bounds the share of missed lesions: {reason}.",
        ):
            said = recognise(text)
            assert text_of(said, "en") == text
            words = set(re.findall(r"[A-Za-z]{3,}", text_of(said, "zh")))
            assert words <= {"net", "logit", "softmax"}, (text, text_of(said, "zh"))
