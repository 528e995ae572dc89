from __future__ import annotations

from medkd.explanation.wording import failed_mark


def test_a_map_says_what_its_explainer_failed_and_nothing_when_it_passed():
    assert failed_mark(()) == ""
    assert failed_mark(("randomisation", "additivity")) == "failed: randomisation, additivity"
