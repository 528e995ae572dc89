from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from data_contracts import Arm, LossTerm
from flows.distill_from_store import distill_from_store
from medkd.storage.workspace import Workspace
from tests.flows.recording import golden_recipe, recorded

COHORTS = SimpleNamespace(uses={})


class Card(SimpleNamespace):
    def without(self, *names):
        return f"card of {self.arm} without {', '.join(names)}"


def test_students_learn_from_registered_knowledge_and_nobody_stands_for_the_teacher():
    recipe = golden_recipe(
        arms={"alone": Arm(terms=(LossTerm(loss="cross_entropy"),)), "kd": Arm(terms=(LossTerm(loss="logit_kd"),))}, seeds=(0,)
    )
    workspace = Workspace(root=Path("run"), tracking_uri="")

    def student(_, spec, cohorts, teacher, knowledge):
        return SimpleNamespace(arm=spec.arm, seed=spec.seed, role="student", learned_from=(teacher, knowledge))

    with recorded(
        fetch_knowledge=("knowledge", "r-knowledge/1"), fetch_teacher=None, cohorts=COHORTS, students=student, evaluate=lambda *call: call[3],
        scorecards=lambda *call: Card(arm=call[3][0].arm), register=("versions",), results=lambda *call: tuple(Card(arm=one.arm) for one in call[4]),
    ) as engine:  # fmt: skip
        registered, cards = distill_from_store(workspace, recipe, ["models:/r-knowledge/1"])
    assert registered == "versions"
    assert cards == ("card of alone without agreement, dice_to_teacher", "card of kd without agreement, dice_to_teacher")
    assert engine.titles() == [
        "fetch knowledge",
        "fetch teacher",
        "cohorts",
        "students",
        "evaluate",
        "results",
        "scorecards",
        "compare",
        "calibrate",
        "training cases",
        "losses",
        "register",
    ]
    ((_, (done,)),) = engine.calls("register")
    wanted, students = done.recipe, done.students
    assert {name: arm.knowledge for name, arm in wanted.arms.items()} == {"alone": "live", "kd": "store"}
    assert [one.learned_from for one in students] == [(None, None), (None, "knowledge")]
    assert (done.cohorts, done.scorecards, done.teacher, done.knowledge) == (COHORTS, cards, None, "knowledge")
    assert (done.knowledge_version, done.reference, done.case_results) == ("r-knowledge/1", None, cards)


def test_where_the_teacher_is_registered_students_are_measured_by_it_and_learn_nothing_from_it():
    recipe = golden_recipe(arms={"kd": Arm(terms=(LossTerm(loss="logit_kd"),))}, seeds=(0,))
    reference = SimpleNamespace(arm="teacher", seed=0, role="teacher", weights_digest="t", subject="golden/teacher")

    def student(_, spec, cohorts, teacher, knowledge):
        return SimpleNamespace(
            arm=spec.arm,
            seed=spec.seed,
            role="student",
            weights_digest="s",
            teacher_digest="t",
            subject="golden/kd",
            learned_from=(teacher, knowledge),
        )

    with recorded(
        fetch_knowledge=("knowledge", "r-knowledge/1"), fetch_teacher=reference, cohorts=COHORTS, students=student,
        evaluate=lambda *call: call[3], scorecards=lambda *call: f"card of {call[3][0].arm}", register=("versions",),
        results=lambda *call: call[4], losses=lambda *call: f"{call[2].weights_digest} against {call[1].weights_digest}",
    ) as engine:  # fmt: skip
        _, cards = distill_from_store(Workspace(root=Path("run"), tracking_uri=""), recipe, ["models:/r-knowledge/1"])
    assert cards == ("card of teacher", "card of kd")
    assert {call[4] is reference for call in engine.calls("evaluate")} == {True}
    ((_, (done,)),) = engine.calls("register")
    assert done.loss_statements == ("s against t",)
    assert done.models == done.students
    assert [one.learned_from for one in done.students] == [(None, "knowledge")]
