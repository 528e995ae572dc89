from __future__ import annotations

import zipfile
from types import SimpleNamespace

import pytest
import torch

from data_contracts import (
    CardNotes,
    Case,
    Checkpoint,
    Cohort,
    CohortSet,
    CohortUse,
    ExplanationBundle,
    LeakageCertificate,
    LeakageError,
    ModelRef,
    NetworkSpec,
    Part,
    Ref,
    Role,
    Scorecard,
    Split,
    Task,
    TrainingManifest,
    load_record,
)
from medkd.registry.interface import KNOWLEDGE_TAG, TRAINING_MANIFEST
from medkd.registry.publish import attach_explanations, register_models
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import local_workspace
from tests.registry.knowledge_records import knowledge_in
from tests.registry.memory_registry import MemoryRegistry

MODEL = ModelRef(name="net", version=1, manifest_digest="a" * 64, role=Role.STUDENT, weights_digest="b" * 64)


def test_without_a_clean_certificate_nothing_is_registered(tmp_path):
    shared = LeakageCertificate(cohort_digest="a" * 64, patients={}, shared_patients=("p1",), shared_pixel_digests=())
    use = CohortUse(cohort=Ref(store="run", key="x", sha256="0" * 64), part=Part.TEST)
    registry = MemoryRegistry()
    with pytest.raises(LeakageError) as caught:
        register_models(local_workspace(tmp_path), RecipeResult(None, CohortSet(uses={"test": use}, certificates=(shared,))), registry)
    assert caught.value.code == "NO_CLEAN_CERTIFICATE"
    assert registry.version_tags == {}


def test_explanations_are_one_archive_whose_bytes_depend_on_its_contents_alone(tmp_path):
    workspace, registry = local_workspace(tmp_path), MemoryRegistry()
    bundle = ExplanationBundle(subject="r/kd-0", weights_digest="b" * 64, teacher_digest="c" * 64, explanations=(), figures={})
    payloads = []
    for _ in range(2):
        attach_explanations(workspace, registry, MODEL, bundle)
        payloads.append(registry.artefacts[MODEL.uri]["explanations"].read_bytes())
    assert payloads[0] == payloads[1]
    with zipfile.ZipFile(registry.artefacts[MODEL.uri]["explanations"]) as archive:
        assert archive.read("index.json") == bundle.canonical_json()
    assert registry.version_tags[MODEL.uri]["medkd.explanations"] == bundle.digest()


def leaky_run(tmp_path, tested):
    """Return workspace, cohorts, checkpoints and scorecards of a teacher trained on p0 and p1 and a student tested on ``tested``."""
    workspace = local_workspace(tmp_path)
    weights = workspace.store.write_tensors("weights.safetensors", {"w": torch.zeros(1)})
    uses = {}
    for subset, patients in (("teacher_train", ("p0", "p1")), ("student_train/1", ("p2",)), ("test", tested)):
        cases = tuple(Case(case_key=f"c-{subset[:7]}-{p}", patient_key=p, image=weights) for p in patients)
        split = Split(parts={Part.TRAIN: tuple(case.case_key for case in cases)})
        cohort = Cohort(name=subset[:7], origin="test", classes=("a", "b"), cases=cases, split=split)
        path = cohort.write(workspace.store.root / f"{subset[:7]}.json")
        uses[subset] = CohortUse(cohort=workspace.store.refer(path.name), part=Part.TRAIN)
    task = Task(kind="classification", classes=("a", "b"))
    common = {
        "network": NetworkSpec(builder="resnet"),
        "task": task,
        "weights": weights,
        "cohort_digest": "c" * 64,
        "recipe_digest": "d" * 64,
    }
    common |= {"parameters": 1, "epochs": 1}
    teacher = Checkpoint(role=Role.TEACHER, arm="teacher", seed=0, weights_digest="1" * 64, **common)
    student = Checkpoint(role=Role.STUDENT, arm="kd", seed=1, weights_digest="2" * 64, teacher_digest="1" * 64, **common)
    cards = tuple(
        Scorecard(subject=f"r/{arm}", role=arm, cohort_digest="c" * 64, weights_digests=("1" * 64,), seeds=(1,), figures={})
        for arm in ("teacher", "kd")
    )
    return workspace, CohortSet(uses=uses, certificates=()), (teacher, student), cards


def test_a_student_tested_on_its_teachers_patients_is_not_registered(tmp_path):
    workspace, cohorts, checkpoints, cards = leaky_run(tmp_path, ("p1", "p9"))
    registry = MemoryRegistry()
    with pytest.raises(LeakageError, match=r"never saw the test patients of r-kd, it was trained on p1$") as caught:
        register_models(
            workspace,
            RecipeResult(
                SimpleNamespace(name="r", card=CardNotes(), data=None, teacher=SimpleNamespace(registered=None)),
                cohorts,
                checkpoints[0],
                students=checkpoints[1:],
                scorecards=cards,
            ),
            registry,
        )
    assert caught.value.code == "TEACHER_SAW_TEST_PATIENTS"
    assert not any("r-kd" in uri for uri in registry.version_tags)


def test_every_version_says_whose_data_it_saw_and_a_student_what_its_teacher_saw(tmp_path):
    workspace, cohorts, checkpoints, cards = leaky_run(tmp_path, ("p8", "p9"))
    registry = MemoryRegistry()
    registered = register_models(
        workspace,
        RecipeResult(
            SimpleNamespace(name="r", card=CardNotes(), data=None, teacher=SimpleNamespace(registered=None)),
            cohorts,
            checkpoints[0],
            students=checkpoints[1:],
            scorecards=cards,
        ),
        registry,
    )
    seen = [load_record(registry.fetch(model.uri)[1] / TRAINING_MANIFEST, TrainingManifest).patients for model in registered.models]
    assert seen == [("p0", "p1"), ("p0", "p1", "p2")]


@pytest.mark.parametrize("source", ["store", "live"])
def test_a_student_of_a_store_names_the_registered_knowledge_that_it_learned_from(tmp_path, source):
    workspace, cohorts, checkpoints, cards = leaky_run(tmp_path, ("p8", "p9"))
    registry, recipe = (
        MemoryRegistry(),
        SimpleNamespace(
            name="r", card=CardNotes(), data=None, teacher=SimpleNamespace(registered=None), arms={"kd": SimpleNamespace(knowledge=source)}
        ),
    )
    knowledge = knowledge_in(workspace).model_copy(update={"teacher_digest": "1" * 64})
    result = RecipeResult(recipe, cohorts, checkpoints[0], knowledge=knowledge, students=checkpoints[1:], scorecards=cards)
    _, student = register_models(workspace, result, registry).models
    registered = registry.versions("r-knowledge")
    said = registry.tags(student)[KNOWLEDGE_TAG]
    assert said == (str(registered[0].lineage) if source == "store" else "none")
    assert len(registered) == (1 if source == "store" else 0)
    again = register_models(workspace, result, registry).models
    assert again[1] == student
    assert len(registry.versions("r-knowledge")) == len(registered)
