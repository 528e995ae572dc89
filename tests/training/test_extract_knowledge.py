from __future__ import annotations

import pytest
import torch

from data_contracts import Arm, CohortSet, CohortUse, ExtractionConfig, ExtractionSpec, LossTerm, MapSpec, Network, Part, Ref, Task
from medkd.knowledge.extract import ExtractionQuery
from medkd.models._build import build_network, specify_network
from medkd.training.extract_knowledge import _raw_bytes, completed_config, subsets_of

CLASSES = Task(kind="classification", classes=("a", "b"), image_size=(32, 32))
NETWORK = Network(builder="resnet", options={"channels": (4, 4, 6, 8)})


def spec(*terms, config=None, unlabelled=False, task=CLASSES):
    arm = Arm(terms=tuple(terms) or (LossTerm(loss="logit_kd"),))
    return ExtractionSpec(
        recipe="r", task=task, student=NETWORK, views=None, readers=(arm,), unlabelled=unlabelled, config=config or ExtractionConfig()
    )


def cohorts(*subsets):
    use = CohortUse(cohort=Ref(store="run", key="x", sha256="0" * 64), part=Part.TRAIN)
    return CohortSet(uses=dict.fromkeys(subsets, use), certificates=())


@pytest.fixture
def teacher():
    return build_network(specify_network(NETWORK, CLASSES), seed=1).eval()


@pytest.mark.parametrize(
    ("unlabelled", "asked"),
    [(False, ["student_train/0", "student_train/1"]), (True, ["student_train/0", "student_train/1", "unlabelled/0"])],
)
def test_a_teacher_is_asked_about_what_students_learn_from_and_nothing_else(unlabelled, asked):
    there = cohorts("test", "student_train/1", "unlabelled/0", "teacher_train", "student_train/0", "student_validation")
    assert subsets_of(spec(unlabelled=unlabelled), there) == asked


def test_what_the_arms_read_is_added_to_what_the_recipe_names(teacher):
    maps = (MapSpec(explainer="saliency", grid=4),)
    config = completed_config(
        spec(
            LossTerm(loss="attribution_transfer", options={"explainer": "saliency", "grid": 8}),
            LossTerm(loss="hint", options={"grid": 4}),
            config=ExtractionConfig(maps=maps, doubt=1.0),
        ),
        teacher,
    )
    assert [(one.explainer, one.grid) for one in config.maps] == [("saliency", 8)]
    assert list(config.features.values()) == [4]
    assert config.doubt == 1.0


def test_arms_over_soft_labels_add_nothing(teacher):
    assert completed_config(spec(), teacher) == ExtractionConfig()


@pytest.mark.parametrize(
    ("kind", "views", "each"), [("classification", 0, 4 * 2), ("classification", 3, 3 * 4 * 2), ("segmentation", 0, 4 * 2 * 32 * 32)]
)
def test_logits_as_float32_are_counted_once_per_image_and_view(kind, views, each):
    task = CLASSES.model_copy(update={"kind": type(CLASSES.kind)(kind)})
    query = ExtractionQuery("a" * 64, task, ExtractionConfig(views=views))
    assert _raw_bytes(torch.zeros(3), ["x", "y", "x"], query) == 2 * each
