"""What holds for every deployed flow, without a server (with one: test_deployments.py)."""

from __future__ import annotations

import pytest

from data_contracts import SourceError
from flows.confidential_call import WorkFailed
from flows.deployed import deployed, folder_of_studies, require_local
from flows.site import Site
from tests.ground_truth import CANARY


def _look_after(count: int, out: str = "runs/site") -> str:
    """Look after something."""
    if count < 0:
        raise SourceError("SOURCE_MISSING", f"expected something at {CANARY}, there is nothing")
    return f"{count} things"


def test_a_deployed_flow_is_called_after_its_function_and_says_in_its_state_what_it_did():
    made = deployed(_look_after)
    assert (made.name, made.description) == ("look-after", "Look after something.")
    assert made.fn(3).message == "3 things"
    assert made.serialize_parameters({"count": 3}) == {"count": "not recorded"}
    assert made.validate_parameters({"count": "3"}) == {"count": 3, "out": "runs/site"}


def test_the_sentence_of_an_error_lies_in_the_folder_that_it_works_in(tmp_path):
    with pytest.raises(WorkFailed, match="SourceError SOURCE_MISSING") as caught:
        deployed(_look_after).fn(-1, str(tmp_path / "out"))
    assert CANARY not in str(caught.value)
    assert CANARY in (tmp_path / "out" / "quarantine" / "error.txt").read_text()


def test_a_folder_that_a_failure_began_is_ours_and_one_of_somebody_else_stays_as_it_is(tmp_path):
    with pytest.raises(WorkFailed):
        deployed(_look_after).fn(-1, str(tmp_path / "out"))
    assert Site.claimed(tmp_path / "out").worklist().entries == ()
    (tmp_path / "of_user").mkdir()
    (tmp_path / "of_user" / "a.txt").write_text("x")
    with pytest.raises(WorkFailed, match=r"^SourceError SOURCE_MISSING$"):
        deployed(_look_after).fn(-1, str(tmp_path / "of_user"))
    assert [path.name for path in (tmp_path / "of_user").iterdir()] == ["a.txt"]


def test_the_folder_of_studies_is_that_of_the_worker(monkeypatch, tmp_path):
    monkeypatch.delenv("MEDKD_STUDIES", raising=False)
    with pytest.raises(SourceError) as caught:
        folder_of_studies()
    assert caught.value.code == "STUDIES_UNNAMED"
    monkeypatch.setenv("MEDKD_STUDIES", str(tmp_path / "nowhere"))
    with pytest.raises(SourceError) as caught:
        folder_of_studies()
    assert caught.value.code == "SOURCE_MISSING"
    monkeypatch.setenv("MEDKD_STUDIES", str(tmp_path))
    assert folder_of_studies() == tmp_path


def test_studies_among_the_parameters_are_refused_of_a_deployment_only(monkeypatch):
    require_local({"studies": "/in"})  # a call from Python keeps its arguments to itself
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "0f0e0d0c-0b0a-4908-8706-050403020100")
    with pytest.raises(SourceError) as caught:
        require_local({"studies": "/in"})
    assert caught.value.code == "STUDIES_IN_PARAMETERS"
