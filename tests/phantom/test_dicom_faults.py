from __future__ import annotations

import pytest

from data_contracts import Action, DataError
from medkd.phantom.dicom_faults import CASES, COMBINED, write_case
from medkd.phantom.faulty_scan import VARIANTS
from tests.benchmarks.acid_test import is_named, is_usable, judge

BY_NAME = {variant.name: variant for variant in VARIANTS}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("variant", ["oblique", pytest.param("coronal", marks=pytest.mark.extended)])
def test_a_nasty_case_is_named_by_default_and_right_after_repair(name, variant, tmp_path):
    write_case(tmp_path / "case", name, BY_NAME[variant])
    by_default = judge(tmp_path / "case", tmp_path / "default", name, None)
    repaired = judge(tmp_path / "case", tmp_path / "repaired", name, Action.REPAIR)
    assert is_named(name, BY_NAME[variant], by_default), by_default
    assert not by_default.silently_wrong
    assert is_usable(name, BY_NAME[variant], repaired), repaired


def test_ten_cases_hold_two_faults():
    assert len(COMBINED) == 10
    assert all("_and_" in name for name in COMBINED)


def test_the_same_seed_writes_the_same_bytes(tmp_path):
    first, second = (write_case(tmp_path / name, "enhanced", seed=4) for name in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert write_case(tmp_path / "c", "enhanced", seed=5)[0].read_bytes() != first[0].read_bytes()


def test_an_unknown_case_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"expected one of regular, .*, got 'nonsense'") as caught:
        write_case(tmp_path, "nonsense")
    assert caught.value.code == "CASE_UNKNOWN"
