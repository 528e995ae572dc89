from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from data_contracts import FeedbackDirectives, ModelRef, Redistillation, Registered, Role, load_record
from medkd.feedback.register_student import FOLDER, attach_feedback, followed_logs, write_feedback
from medkd.lineage.graph import NodeKind
from medkd.lineage.walk import _group_of

GOLDEN = Path(__file__).parents[1] / "contracts" / "golden"
DIRECTIVES = load_record(GOLDEN / "feedback_directives_1.json", FeedbackDirectives)
OUTCOME = load_record(GOLDEN / "redistillation_1.json", Redistillation)


class Registry:
    """Notes what is put beside versions."""

    def __init__(self):
        self.files, self.tags = [], {}

    def attach(self, model, files, tags):
        self.files += [(model.name, f"{folder}/{path.name}", path.read_bytes()) for folder, paths in files.items() for path in paths]
        self.tags |= tags


def version(name, role, weights):
    return ModelRef(name=name, version=1, manifest_digest="a" * 64, role=role, weights_digest=weights)


def test_what_was_followed_and_how_it_was_judged_stands_beside_the_student_and_no_other_version(tmp_path):
    workspace, registry = SimpleNamespace(root=tmp_path), Registry()
    taught, other = OUTCOME.students["after"].weights_digests[0], "d" * 64
    models = (version("t", Role.TEACHER, taught), version("a", Role.STUDENT, other), version("k", Role.STUDENT, taught))
    assert attach_feedback(workspace, Registered(models=models), DIRECTIVES, OUTCOME, registry) == (models[2],)
    assert {name for name, _, _ in registry.files} == {"k"}
    assert [payload for _, _, payload in registry.files] == [DIRECTIVES.canonical_json(), OUTCOME.canonical_json()]
    assert registry.tags["medkd.feedback"] == DIRECTIVES.digest()
    assert {_group_of(place)[0] for _, place, _ in registry.files} == {NodeKind.FEEDBACK}


def test_a_log_that_was_followed_once_is_known_also_where_the_gate_refused(tmp_path):
    workspace = SimpleNamespace(root=tmp_path)
    assert followed_logs(workspace) == frozenset()
    write_feedback(workspace, DIRECTIVES, OUTCOME)
    write_feedback(workspace, DIRECTIVES, OUTCOME)
    assert followed_logs(workspace) == {DIRECTIVES.log_head}
    assert (tmp_path / FOLDER).stat().st_mode & 0o077 == 0
