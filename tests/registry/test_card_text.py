from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import Estimate, Lineage, ModelCard, Scorecard, SeriesRule, Task, TaskKind, TrainingCost, TrainingDomain, read_record
from medkd.registry.card_text import card_text
from medkd.wording import require_neutral

GOLDEN = Path(__file__).parents[1] / "contracts" / "golden"
DOMAIN = TrainingDomain(
    modalities=("CT",),
    units=("HU",),
    spacing_low_mm=(1.0, 0.5, 0.5),
    spacing_high_mm=(5.0, 0.9766, 0.9766),
    extent_low_mm=(100.0, 250.0, 250.0),
    extent_high_mm=(400.0, 500.0, 500.0),
    outside="refuse",
)


@pytest.fixture
def card():
    return read_record((GOLDEN / "model_card_3.json").read_bytes(), ModelCard)


@pytest.fixture
def scorecard():
    return read_record((GOLDEN / "scorecard_1.json").read_bytes(), Scorecard)


def rows(text):
    """Return the cells of the table below its heading."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert lines[:2] == ["| figure | mean | 95 % interval | n |", "|---|---|---|---|"]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_it_begins_with_what_it_may_be_used_for_and_says_task_limits_and_cohort(card, scorecard):
    text = card_text(card, scorecard)
    assert text.startswith("**Research use only. Not a medical device.**\n")
    assert "phantom-kd: a student of 10 parameters" in text
    assert "it classifies into benign, malignant, 64 × 64 pixels at once, windows -160 to 240." in text
    assert "\n- Phantom only.\n" in text
    assert f"Cohort {scorecard.cohort_digest[:12]}." in text
    assert f"intervals: {scorecard.interval}." in text
    assert require_neutral(text) == text


def test_each_figure_has_its_unit_its_interval_and_how_many_it_is_of(card, scorecard):
    figures = {
        "surface_distance": Estimate(mean=1.23456, low=1.0, high=1.5, n=31, unit="mm"),
        "auc": Estimate(mean=0.8, low=0.7, high=0.9, n=100),
    }
    assert rows(card_text(card, scorecard.model_copy(update={"figures": figures}))) == [
        ["auc", "0.800", "0.700 to 0.900", "100"],
        ["surface_distance (mm)", "1.235", "1.000 to 1.500", "31"],
    ]


@pytest.mark.parametrize(("count", "last"), [(24, "f23"), (25, "and 1 more in scorecard.json"), (40, "and 16 more in scorecard.json")])
def test_of_many_figures_the_first_are_listed_and_the_others_counted(card, scorecard, count, last):
    figure = scorecard.figures["auc"]
    listed = rows(card_text(card, scorecard.model_copy(update={"figures": {f"f{place:02}": figure for place in range(count)}})))
    assert listed[-1][0] == last
    assert [row[0] for row in listed[:24]] == [f"f{place:02}" for place in range(24)]


def test_without_a_figure_the_table_is_its_heading(card, scorecard):
    assert rows(card_text(card, scorecard.model_copy(update={"figures": {}}))) == []


def test_a_student_says_its_teacher_and_a_model_without_one_nothing(card, scorecard):
    taught = card.model_copy(update={"teacher": Lineage(name="t", version=3, manifest_digest="0123456789abcdef" * 4)})
    assert "It learned from models:/t/3 (manifest 0123456789ab)." in card_text(taught, scorecard)
    assert "learned from" not in card_text(card, scorecard)


def test_a_network_of_volumes_says_voxels_spacing_and_how_values_are_scaled(card, scorecard):
    task = Task(
        kind="segmentation", classes=("background", "a"), image_size=(8, 16, 32), spacing_mm=(2.5, 1.0, 1.0), intensity="standardised"
    )
    said = "it segments into background, a, 8 × 16 × 32 voxels at once, values standardised within the volume, resampled to 2.5 × 1 × 1 mm."
    assert said in card_text(card.model_copy(update={"task": task}), scorecard)


@pytest.mark.parametrize(
    ("domain", "said"),
    [
        (
            DOMAIN,
            "Trained on CT in HU; voxels of 1 × 0.5 × 0.5 to 5 × 0.977 × 0.977 mm; volumes of 100 × 250 × 250 to 400 × 500 × 500 mm; "
            "studies of another modality or unit are refused.",
        ),
        (
            TrainingDomain(),
            "Trained on a modality that its source does not say in unknown units; studies of another modality or unit are answered with a caveat.",
        ),
    ],
)
def test_what_it_was_trained_on_is_said_where_it_is_known(card, scorecard, domain, said):
    assert said in card_text(card.model_copy(update={"domain": domain}), scorecard)
    assert "Trained on" not in card_text(card, scorecard)


def test_how_it_is_loaded_stands_in_a_block_of_code_that_is_python(card, scorecard):
    text = card_text(card, scorecard)
    assert text.endswith("```\n")
    code = text.split("```python\n")[1].removesuffix("```\n")
    compile(code, "card", "exec")
    assert 'load_model("models:/phantom-kd/VERSION")' in code


def test_a_network_of_several_images_says_which_and_what_its_form_takes(card, scorecard):
    rules = {
        "t1": SeriesRule(modality="MR", words=("T1",), without=("with contrast",)),
        "b": SeriesRule(coordinates={"DiffusionBValue": 800}),
    }
    text = card_text(card.model_copy(update={"task": card.task.model_copy(update={"channels": ("t1", "b")}), "series": rules}), scorecard)
    assert "Images of a DICOM study, all in one frame of reference: t1: MR, T1, not with contrast; b: DiffusionBValue 800.0." in text
    code = text.split("```python\n")[1].removesuffix("```\n")
    compile(code, "card", "exec")
    assert "pyfunc" in code
    assert "float32 [n, 2, *space] (t1, b): logits" in code
    assert "Images of a DICOM study" not in card_text(card, scorecard)
    assert "float32 [n, 1, *space]: logits" in card_text(card, scorecard)


def test_a_network_that_sees_a_clinical_row_says_how_it_is_loaded_without_a_form(card, scorecard):
    task = card.task.model_copy(update={"kind": TaskKind.CLASSIFICATION, "clinical": ("age",)})
    code = card_text(card.model_copy(update={"task": task}), scorecard).split("```python\n")[1].removesuffix("```\n")
    compile(code, "card", "exec")
    assert 'medkd.load("models:/phantom-kd/VERSION").network' in code
    assert "float32 [n, 3, *space]: image, age" in code
    assert "pyfunc" not in code


def test_the_terms_of_the_data_and_the_training_patients_are_said(card, scorecard):
    text = card_text(card, scorecard)
    said = "Data: Example data set (Somebody et al. 2020) (MR, hippocampus), <https://example.org/data>. Licence: CC-BY-SA-4.0. "
    assert f"{said}Data by Somebody et al., CC BY-SA 4.0.\n" in text
    assert "outlines anatomy, which everybody has" in text
    assert "It was trained on 2 patients with 3 cases, which `card.json` names as the data call them.\n" in text
    silent = card_text(card.model_copy(update={"data": None, "patients": {}, "structures": "lesion"}), scorecard)
    assert not [word for word in ("Data:", "anatomy", "It was trained on") if word in silent]


def test_it_says_in_one_line_what_the_training_cost(card, scorecard):
    cost = TrainingCost(
        cpu_seconds=1200, wall_seconds=700, peak_memory_bytes=900 * 2**20, energy_wh=3.4, energy_assumption="assuming 10 W per busy core"
    )
    lines = card_text(card, scorecard, None, cost).splitlines()
    assert cost.sentence() in lines
    assert "1,200 s of processor cores, at most 900 MiB of memory, and an estimated 3.4 Wh (assuming 10 W per busy core)" in cost.sentence()
    assert "Its training took" not in card_text(card, scorecard)
