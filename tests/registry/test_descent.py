"""What a version descends from, by manifest digests: numbers differ from registry to registry."""

from __future__ import annotations

import pytest

from data_contracts import Lineage, ModelRef, RegistryError, Role
from medkd.registry.descent import descent, knowledge_behind, knowledge_of, resolve_teacher, teacher_chain


class Listed:
    """Versions that a registry has."""

    def __init__(self, *models):
        self.models = models

    def names(self):
        return tuple(sorted({model.name for model in self.models}))

    def versions(self, name):
        return tuple(model for model in self.models if model.name == name)


def version(name, digit, *, role=Role.STUDENT, teacher=None, number=1):
    return ModelRef(
        name=name, version=number, manifest_digest=digit * 64, role=role, weights_digest="f" * 64, teacher=teacher and teacher.lineage
    )


GRAND = version("grand", "1", role=Role.TEACHER)
TEACHER = version("teacher", "2", role=Role.TEACHER, teacher=GRAND)
OTHER = version("teacher", "3", role=Role.TEACHER, number=2)
KNOWLEDGE = version("knowledge", "4", role=Role.KNOWLEDGE, teacher=TEACHER)
OF_ANOTHER = version("knowledge", "5", role=Role.KNOWLEDGE, teacher=OTHER, number=2)
STUDENT = version("student", "6", teacher=TEACHER)
REGISTRY = Listed(GRAND, TEACHER, OTHER, KNOWLEDGE, OF_ANOTHER, STUDENT)


def test_teachers_stand_nearest_first_and_the_descent_the_other_way_round():
    assert teacher_chain(REGISTRY, STUDENT) == (TEACHER, GRAND)
    assert descent(REGISTRY, STUDENT) == (GRAND, TEACHER, KNOWLEDGE, STUDENT)
    assert descent(REGISTRY, KNOWLEDGE) == (GRAND, TEACHER, KNOWLEDGE)
    assert descent(REGISTRY, GRAND) == (GRAND,)


def test_a_teacher_is_known_by_its_manifest_whatever_its_number_is():
    moved = TEACHER.model_copy(update={"version": 9})
    assert resolve_teacher(Listed(OTHER, moved), STUDENT) == moved
    assert resolve_teacher(Listed(OTHER), STUDENT) is None
    assert teacher_chain(Listed(OTHER, STUDENT), STUDENT) == ()


def test_knowledge_is_that_of_one_teacher_and_no_student_of_it():
    assert knowledge_of(REGISTRY, TEACHER) == (KNOWLEDGE,)
    assert knowledge_of(REGISTRY, GRAND) == ()


def test_a_student_that_says_what_it_learned_from_descends_from_that_alone():
    second = version("knowledge", "7", role=Role.KNOWLEDGE, teacher=TEACHER, number=3)
    registry = Listed(*REGISTRY.models, second)
    assert descent(registry, STUDENT) == (GRAND, TEACHER, KNOWLEDGE, second, STUDENT)
    assert descent(registry, STUDENT, str(second.lineage)) == (GRAND, TEACHER, second, STUDENT)
    assert descent(registry, STUDENT, "none") == (GRAND, TEACHER, STUDENT)
    assert knowledge_behind(registry, TEACHER, f"there/9@{'7' * 64}") == (second,)
    assert knowledge_behind(registry, TEACHER, f"there/9@{'8' * 64}") == ()


def test_a_circle_is_refused():
    above = Lineage(name="student", version=1, manifest_digest="6" * 64)
    circle = Listed(TEACHER.model_copy(update={"teacher": above}), STUDENT)
    with pytest.raises(RegistryError, match="stands above itself") as caught:
        teacher_chain(circle, STUDENT)
    assert caught.value.code == "LINEAGE_CIRCULAR"
