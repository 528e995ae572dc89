"""A version that was made by compression brings what was measured of it; without that, or beyond its bounds, it is not promoted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from data_contracts import CheckOutcome, CompressionReport, FormRefusal, PromotionPolicy, load_record
from medkd.promotion.check_compression import check_compression
from medkd.promotion.version_records import COMPRESSION, FORM, ORIGIN, read_version
from tests.flows.recording import GOLDEN
from tests.promotion.versions import setting_of

REPORT = load_record(GOLDEN / "compression_report_1.json", CompressionReport)
SOURCE = str(REPORT.source)


@pytest.fixture
def check(registry, make):
    """Return the one check of a version with these fields of its records."""
    setting = setting_of(registry, make())

    def checked(**changes):
        (found,) = check_compression(replace(setting, subject=replace(setting.subject, **changes)))
        return found

    return checked


def test_of_a_version_that_was_made_of_no_other_nothing_is_asked(check):
    assert check().outcome is CheckOutcome.NOT_APPLICABLE
    assert not check().refuses


def test_a_form_within_its_bounds_holds_and_its_speed_is_said(check):
    found = check(origin=SOURCE, form="int8", compression=REPORT)
    assert found.outcome is CheckOutcome.HOLDS
    assert "5.69 times as fast as r-kd_explanation/1 asked by torch on AMD EPYC" in found.reason


def test_a_refused_form_fails_with_the_reason(check):
    found = check(origin=SOURCE, form="int8_onnx", compression=REPORT)
    assert found.outcome is CheckOutcome.FAILS
    assert found.reason.startswith("FORM_SLOWER: 0.54 times")
    blind = REPORT.forms[1].model_copy(update={"refusals": (FormRefusal(code="FORM_BLINDER", why="elsewhere"),)})
    found = check(origin=SOURCE, form="int8", compression=REPORT.model_copy(update={"forms": (REPORT.forms[0], blind)}))
    assert (found.outcome, found.reason) == (CheckOutcome.FAILS, "FORM_BLINDER: elsewhere")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"compression": None}, "no record of its compression lies beside it"),
        ({"origin": f"other/2@{'b' * 64}"}, "is of the compression of r-kd_explanation/1"),
        ({"form": "gone"}, "its form 'gone' is not among"),
        ({"form": "torch"}, "lacks task_difference"),
    ],
)
def test_what_was_not_measured_refuses(check, changes, said):
    found = check(**{"origin": SOURCE, "form": "int8", "compression": REPORT, **changes})
    assert found.outcome is CheckOutcome.NOT_MEASURED
    assert found.refuses
    assert said in found.reason


def test_a_policy_may_accept_it_and_says_so_in_its_digest():
    accepting = PromotionPolicy(name="site", not_measured={"compression": "accept"})
    assert PromotionPolicy(name="site").digest() != accepting.digest()
    assert "compression" not in PromotionPolicy(name="site").model_dump(mode="json")["not_measured"]


def test_the_record_beside_a_version_is_read_and_an_altered_one_is_a_problem(registry, make, tmp_path):
    model = make()
    tags = {ORIGIN: SOURCE, FORM: "int8", COMPRESSION: REPORT.digest()}
    registry.attach(model, {"compression": REPORT.write(tmp_path / "compression.json")}, tags)
    found = read_version(registry, model.uri)
    assert (found.origin, found.form, found.compression, found.problems) == (SOURCE, "int8", REPORT, ())
    changed = REPORT.model_copy(update={"name": "another"})
    registry.attach(model, {"compression": changed.write(tmp_path / "compression.json")}, {})
    found = read_version(registry, model.uri)
    assert found.compression is None
    assert "record of its compression is" in found.problems[0]
