from __future__ import annotations

import pytest

from data_contracts import CatalogueError
from medkd.loss_check.in_process import check_file
from tests.loss_check.faults import ENDLESS, ENDS_THE_PROCESS, OF_THE_CATALOGUE


@pytest.mark.extended
def test_a_file_is_checked_in_a_process_of_its_own(tmp_path):
    (tmp_path / "margin.py").write_text("print('said by foreign code')\n" + OF_THE_CATALOGUE)
    assert not check_file(tmp_path / "margin.py", dims=(2,)).broken()


@pytest.mark.parametrize(
    ("source", "seconds", "code"),
    [(ENDLESS, 1.0, "LOSS_TIME"), pytest.param(ENDS_THE_PROCESS, 120.0, "LOSS_ENDED", marks=pytest.mark.extended)],
)
def test_code_that_does_not_come_back_is_ended(tmp_path, source, seconds, code):
    (tmp_path / "bad.py").write_text(source)
    with pytest.raises(CatalogueError, match="expected") as caught:
        check_file(tmp_path / "bad.py", seconds=seconds)
    assert caught.value.code == code


def test_what_is_no_file_is_said_before_a_process_begins(tmp_path):
    with pytest.raises(CatalogueError, match="expected a Python file"):
        check_file(tmp_path)
