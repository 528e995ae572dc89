from __future__ import annotations

from flows.label import Label


def test_a_label_without_words_to_find_it_by_is_a_name():
    assert Label("r kd-0").tags == ()
    assert Label("r kd-0", ("r",)) != Label("r kd-0")
