from __future__ import annotations

from types import SimpleNamespace

from flows.task_text import ingest_text, training_text


def test_a_training_is_said_by_its_figures():
    text = training_text(SimpleNamespace(epochs=12, parameters=41234, train_seconds=3.21))
    assert text == "12 epochs, 41,234 parameters, 3.2 s of training"


def test_an_ingestion_is_said_by_its_counts():
    counts = {"found": 5, "accepted": 3, "quarantined": 1, "ignored": 1}
    assert ingest_text(SimpleNamespace(summary=lambda: {"ingest": counts})) == "5 found, 3 accepted, 1 quarantined, 1 ignored"
