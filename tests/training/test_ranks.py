"""What one of several processes does with its request; the real ones are in test_processes.py."""

from __future__ import annotations

import json

import pytest

from data_contracts import DataError, NetworkSpec
from medkd.progress import progress_bar
from medkd.training.processes import ERROR, PROGRESS, RESULT
from medkd.training.ranks import run_rank


def answer(spec: NetworkSpec, name: str | None) -> NetworkSpec:
    """Stand for a function that trains."""
    for _ in progress_bar(range(200), title="train", unit="step", enabled=True):
        pass
    if name is None:
        raise DataError("LOSS_NOT_FINITE", "expected a finite loss, got nan")
    return spec.model_copy(update={"builder": name})


@pytest.fixture
def request_file(tmp_path):
    def make(name):
        arguments = {"spec": NetworkSpec(builder="resnet").model_dump(mode="json"), "name": name}
        path = tmp_path / "request.json"
        path.write_text(json.dumps({"module": __name__, "name": "answer", "arguments": arguments}))
        return path

    yield make
    from medkd.progress import report_progress_to

    report_progress_to(None)


def test_the_first_process_writes_the_result_and_says_how_far_it_is(request_file, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RANK", "0")
    run_rank(request_file("unet"))
    assert NetworkSpec.model_validate_json((tmp_path / RESULT).read_bytes()).builder == "unet"
    said = [float(line.removeprefix(PROGRESS)) for line in capsys.readouterr().out.splitlines()]
    assert said == sorted(said)
    assert said[-1] == 1.0
    assert 90 <= len(said) <= 101


def test_others_say_and_write_nothing(request_file, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    run_rank(request_file("unet"))
    assert not (tmp_path / RESULT).exists()
    assert capsys.readouterr().out == ""


def test_an_error_of_ours_is_left_for_whoever_started_it(request_file, tmp_path):
    with pytest.raises(SystemExit):
        run_rank(request_file(None))
    met = json.loads((tmp_path / ERROR).read_text())
    assert met == {"kind": "DataError", "code": "LOSS_NOT_FINITE", "message": "expected a finite loss, got nan"}
