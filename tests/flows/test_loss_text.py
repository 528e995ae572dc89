"""A loss statement as a person reads it in a terminal."""

from __future__ import annotations

from flows.loss_text import loss_text
from medkd.evaluation.loss_statement import compare_with_teacher
from medkd.registry.card_text import loss_sentences
from tests.evaluation.paired_results import simulated


def test_text_names_the_first_loss_in_three_sentences():
    statement = compare_with_teacher(*simulated(3, n=160, forgotten="c"))
    sentences = loss_sentences(statement)
    assert len(sentences) <= 3
    assert "first of them: right answers where device is c" in sentences[0]
    text = loss_text(statement)
    assert text.index("right answers where device is c") < text.index("cases lost, by how far")
    assert "none is surely worse" in loss_sentences(compare_with_teacher(*simulated(0, n=40)))[0]
