"""Figures against published examples and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

from medkd.feedback.rates import cohens_kappa, difference, fleiss_kappa, kappa_interval, share


def test_fleiss_kappa_of_the_published_example():
    """Ten subjects, fourteen raters, five categories: κ = .210 (the worked example of Fleiss' κ in textbooks)."""
    table = [
        (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
        (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
    ]  # fmt: skip
    assert fleiss_kappa([{str(place): n for place, n in enumerate(row)} for row in table]) == pytest.approx(0.210, abs=5e-4)


def test_fleiss_kappa_of_two_readers_is_scotts_pi():
    """Of two readers it is Scott's π: chance is that of the answers of both together."""
    first, second = list("aabbab"), list("aabbba")
    pooled = [(first + second).count(answer) / 12 for answer in "ab"]
    chance = sum(p * p for p in pooled)
    found = fleiss_kappa([{one: 1 + (one == two), two: 1 + (one == two)} for one, two in zip(first, second, strict=True)])
    assert found == pytest.approx((4 / 6 - chance) / (1 - chance))


def test_cohens_kappa_of_a_table_counted_by_hand():
    """20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: observed .7, chance .5."""
    pairs = [("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15
    assert cohens_kappa(*zip(*pairs, strict=True)) == pytest.approx(0.4)


def test_what_is_undefined_is_none():
    assert cohens_kappa(["a", "a"], ["a", "a"]) is None
    assert cohens_kappa([], []) is None
    assert fleiss_kappa([]) is None
    assert fleiss_kappa([{"a": 3}, {"a": 3}]) is None
    assert share(0, 0) is None
    assert difference(None, share(1, 2)) is None


@pytest.mark.parametrize("counts", [[{"a": 2}, {"a": 3}], [{"a": 1}, {"a": 1}]])
def test_every_item_has_the_same_readers(counts):
    with pytest.raises(ValueError, match="the same number of readers"):
        fleiss_kappa(counts)


def test_wilsons_and_newcombes_intervals_of_the_published_example():
    """Newcombe 1998, example (a): 56 of 70 and 48 of 80, method 10: difference .2 with [.0524, .3339]."""
    first, second = share(56, 70), share(48, 80)
    assert (first.low, first.high) == pytest.approx((0.6918, 0.8774), abs=2e-3)
    found = difference(first, second)
    assert (found.mean, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_a_share_of_all_is_not_certain():
    assert share(5, 5).low == pytest.approx(0.5655, abs=1e-4)
    assert share(0, 5).high == pytest.approx(1 - 0.5655, abs=1e-4)


def test_wilsons_interval_holds_what_it_says():
    """Over repeated draws it covers the truth about 95 times of a hundred."""
    drawn = np.random.default_rng(0).binomial(40, 0.3, size=4000)
    covered = np.mean([share(int(k), 40).low <= 0.3 <= share(int(k), 40).high for k in drawn])
    assert 0.93 < covered < 0.975


@pytest.mark.parametrize("readers", [2, 3])
def test_the_interval_of_kappa_holds_the_truth_as_often_as_it_says(readers):
    """Readers who copy a hidden answer with probability .8, else guess: over many samples the interval covers κ of a huge one."""
    generator = np.random.default_rng(1)

    def sample(items):
        hidden = generator.integers(0, 2, size=(items, 1))
        guesses = generator.integers(0, 2, size=(items, readers))
        return np.where(generator.random((items, readers)) < 0.8, hidden, guesses).astype(str).tolist()

    def kappa(answers):
        if readers == 2:
            return cohens_kappa(*zip(*answers, strict=True))
        return fleiss_kappa([{name: row.count(name) for name in set(row)} for row in answers])

    truth = kappa(sample(60_000))
    covered = [low <= truth <= high for low, high in (kappa_interval(sample(60)) for _ in range(200))]
    assert 0.88 <= np.mean(covered) <= 0.99


def test_of_few_items_or_one_answer_there_is_no_interval():
    assert kappa_interval([["a", "b"]] * 9) is None
    assert kappa_interval([["a", "a"]] * 40) is None
    assert kappa_interval([["a", "a"], ["b", "b"]] * 10) == (1.0, 1.0)
