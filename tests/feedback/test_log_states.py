"""The log under any order of appends, torn ends, heads that were not written and other processes: what was acknowledged is there, in order."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from data_contracts import OwnRead, read_record
from medkd.feedback.log import HEAD, LINES, FeedbackLog

OWN = read_record((Path(__file__).parents[1] / "contracts" / "golden" / "own_read_1.json").read_bytes(), OwnRead)


class LogMachine(RuleBasedStateMachine):
    """Two writers that take turns, and accidents between them."""

    @initialize()
    def begin(self):
        self.folder = Path(tempfile.mkdtemp())
        self.writers = [FeedbackLog(self.folder), FeedbackLog(self.folder)]
        self.acknowledged = []
        self.torn = self.behind = 0

    @rule(who=st.integers(0, 1))
    def append(self, who):
        entry = self.writers[who].append(OWN.model_copy(update={"reviewer_key": f"r{len(self.acknowledged)}"}))
        self.acknowledged.append(entry.digest())
        self.torn = self.behind = 0

    @rule(length=st.integers(1, 200))
    def a_writer_is_killed_within_a_line(self, length):
        if self.acknowledged and not self.torn:
            with (self.folder / LINES).open("ab") as stream:
                stream.write(OWN.canonical_json()[:length])
            self.torn = length

    @rule(who=st.integers(0, 1))
    def a_writer_is_killed_before_the_head(self, who):
        if self.acknowledged and not self.torn:
            head = (self.folder / HEAD).read_bytes()
            self.append(who)
            (self.folder / HEAD).write_bytes(head)
            self.acknowledged[-1:] = [FeedbackLog(self.folder).entries()[-1].digest()]

    @rule(who=st.integers(0, 1))
    def a_process_begins_anew(self, who):
        self.writers[who] = FeedbackLog(self.folder)

    @invariant()
    def what_was_acknowledged_is_there(self):
        for log in (*self.writers, FeedbackLog(self.folder)):
            assert [entry.digest() for entry in log.since(0)] == self.acknowledged

    def teardown(self):
        shutil.rmtree(self.folder)


TestLog = LogMachine.TestCase
TestLog.settings = settings(max_examples=8, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.extended
class TestLogLonger(LogMachine.TestCase):
    """The same, longer."""

    settings = settings(max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))
