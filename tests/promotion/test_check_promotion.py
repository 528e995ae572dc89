"""A verdict is made once of equal inputs and kept beside its version."""

from __future__ import annotations

from medkd.promotion.check_promotion import check_promotion
from medkd.promotion.promote import verdicts_of
from medkd.promotion.version_records import EXPLANATIONS
from tests.promotion.moves import NAME, to_champion
from tests.promotion.promoters import POLICY


def test_a_verdict_is_made_anew_when_explanations_or_champion_change(registry, make):
    first, second = make(mark="first"), make(mark="second")
    verdict = check_promotion(registry, second.uri, POLICY)
    assert check_promotion(registry, second.uri, POLICY) == verdict
    registry.attach(second, {}, {EXPLANATIONS: "0" * 64})
    other = check_promotion(registry, second.uri, POLICY)
    assert other.id != verdict.id
    to_champion(registry, first)
    assert check_promotion(registry, second.uri, POLICY).compared_with == first.lineage
    assert len(verdicts_of(registry, second)) == 3


def test_a_version_with_a_flipped_byte_is_refused_by_name_and_nothing_is_read_from_it(registry, make):
    model = make()
    (registry._versions[NAME][0][1] / "case_results.json").write_bytes(b"{}")
    verdict = check_promotion(registry, model.uri, POLICY)
    (check,) = verdict.checks
    assert (check.theme, verdict.passed) == ("integrity", False)
    assert "case_results.json" in check.reason
