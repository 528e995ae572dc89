from __future__ import annotations

from medkd.storage.metrics_log import TIME, MetricsLog


def test_lines_of_a_journal_that_are_none_are_left_out(tmp_path):
    (tmp_path / "m").write_bytes(b'{"epoch": 1, "loss": 2.0}\n{"epoch": 2, "lo}\n\xff}\n{"loss": 1}\n[1]\n{"epoch": 3, "loss": 1.0}\n')
    assert [line["epoch"] for line in MetricsLog(tmp_path / "m").read()] == [1, 3]


def test_an_epoch_that_is_repeated_replaces_its_line_and_later_ones(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    assert log.read() == []
    for epoch, loss in ((1, 3.0), (2, 2.0), (3, 1.0), (2, 2.5)):
        log.write_epoch(epoch, {"loss": loss})
    lines = log.read()
    assert [(line["epoch"], line["loss"]) for line in lines] == [(1, 3.0), (2, 2.5)]
    assert lines[0][TIME] <= lines[1][TIME]  # each has its own


def test_a_line_of_something_else_is_no_line(tmp_path):
    (tmp_path / "m").write_text('{"epoch": 1, "loss": "low"}\n' + "[" * 100_000 + '\n{"epoch": 2, "loss": 1}\n')
    assert MetricsLog(tmp_path / "m").read() == [{"epoch": 2, "loss": 1}]
