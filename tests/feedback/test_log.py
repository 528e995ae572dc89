"""The log: what was acknowledged stays, and what was altered is named."""

from __future__ import annotations

import bisect
import contextlib
import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from data_contracts import FeedbackError, OutputError
from medkd.feedback.log import HEAD, LINES, FeedbackLog

ROOT = Path(__file__).parents[2]
#: Appends own reads of a reader, and says each digest once it is acknowledged.
WRITER = """
import sys
from pathlib import Path
from data_contracts import OwnRead, read_record
from medkd.feedback.log import FeedbackLog
own = read_record(Path("tests/contracts/golden/own_read_1.json").read_bytes(), OwnRead)
log = FeedbackLog(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    entry = log.append(own.model_copy(update={"reviewer_key": f"{sys.argv[2]}-{number}"}))
    print(entry.digest(), flush=True)
"""


@contextlib.contextmanager
def writer(log, name, count):
    command = [sys.executable, "-c", WRITER, str(log.folder), name, str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}) as running:
        yield running


@pytest.fixture
def written(log, own_read):
    """Return the log with four entries."""
    for number in range(4):
        log.append(own_read.model_copy(update={"reviewer_key": f"r{number}"}))
    return log


def lines_of(log):
    return (log.folder / LINES).read_bytes()


def test_what_was_appended_is_read_back_in_order_and_chained(written):
    entries = FeedbackLog(written.folder).entries()
    assert [entry.record.reviewer_key for entry in entries] == ["r0", "r1", "r2", "r3"]
    assert [entry.index for entry in entries] == [0, 1, 2, 3]
    assert [entry.previous for entry in entries] == [None, *(entry.digest() for entry in entries[:-1])]
    assert written.verify().last == entries[-1].digest() == written.last


def test_an_empty_log_holds_nothing_and_writes_nothing(log):
    assert (len(log), log.entries(), log.last) == (0, (), None)
    assert log.verify().entries == 0
    assert not log.folder.exists()


def test_one_byte_changed_anywhere_is_named_by_its_entry(written):
    raw = lines_of(written)
    starts = [0, *(place + 1 for place, byte in enumerate(raw) if byte == 0x0A)]
    for place in range(0, len(raw), 3):
        changed = bytearray(raw)
        changed[place] ^= 1
        (written.folder / LINES).write_bytes(changed)
        with pytest.raises(FeedbackError, match=f"entry {bisect.bisect_right(starts, place) - 1} ") as caught:
            FeedbackLog(written.folder).verify()
        assert caught.value.code == "FEEDBACK_LOG_ALTERED"


def test_one_byte_of_the_head_changed_is_noticed(written):
    raw = (written.folder / HEAD).read_bytes()
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1
        (written.folder / HEAD).write_bytes(changed)
        with pytest.raises(FeedbackError, match=r"head|entr"):
            FeedbackLog(written.folder).verify()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines[:-1], "4 entries in the feedback log, got 3: entry 3 is cut off"),
        (lambda lines: lines[:1], "got 1: entries 1 to 3 are cut off"),
        (lambda lines: lines[:0], "got 0: entries 0 to 3 are cut off"),
        (lambda lines: [lines[0], *lines[2:]], "entry 1 of the feedback log, got one that says it is entry 2"),
        (lambda lines: [lines[1], lines[0], *lines[2:]], "entry 0 of the feedback log, got one that says it is entry 1"),
        (lambda lines: [*lines, lines[-1]], "entry 4 of the feedback log, got one that says it is entry 3"),
    ],
)
def test_lines_taken_away_put_in_or_exchanged_are_named(written, change, said):
    lines = lines_of(written).splitlines(keepends=True)
    (written.folder / LINES).write_bytes(b"".join(change(lines)))
    with pytest.raises(FeedbackError, match=said):
        FeedbackLog(written.folder).entries()
    with pytest.raises(FeedbackError, match=said):
        written.entries()


def test_an_entry_rewritten_with_its_digests_put_right_is_named_by_the_next(written):
    """Who rewrites a line and the digest in the next one breaks the chain one line later."""
    lines = lines_of(written).splitlines()
    forged = lines[1].replace(b'"r1"', b'"r9"')
    follower = json.loads(lines[2])
    follower["previous"] = hashlib.sha256(forged).hexdigest()
    again = json.dumps(follower, sort_keys=True, separators=(",", ":")).encode()
    (written.folder / LINES).write_bytes(b"\n".join([lines[0], forged, again, lines[3], b""]))
    with pytest.raises(FeedbackError, match="entry 2 "):
        FeedbackLog(written.folder).verify()


def test_a_line_that_says_the_same_in_other_bytes_is_altered(log, own_read):
    """Also where its digest was put right everywhere: what is signed is one form of a record."""
    log.append(own_read)
    spaced = json.dumps(json.loads(lines_of(log)), sort_keys=True).encode()
    (log.folder / LINES).write_bytes(spaced + b"\n")
    (log.folder / HEAD).write_bytes(json.dumps({"entries": 1, "last": hashlib.sha256(spaced).hexdigest()}).encode())
    with pytest.raises(FeedbackError, match="entry 0 of the feedback log as canonical JSON"):
        FeedbackLog(log.folder).verify()


def test_a_log_without_its_head_is_altered(written):
    (written.folder / HEAD).unlink()
    with pytest.raises(FeedbackError, match=r"feedback\.head beside feedback\.jsonl, got none"):
        FeedbackLog(written.folder).verify()


def test_an_altered_log_takes_no_more(written, own_read):
    (written.folder / LINES).write_bytes(lines_of(written).replace(b'"r2"', b'"r7"'))
    before = lines_of(written)
    with pytest.raises(FeedbackError, match="entry 2 "):
        FeedbackLog(written.folder).append(own_read)
    assert lines_of(written) == before


def test_a_torn_last_line_is_set_aside_and_the_log_goes_on(written, own_read):
    whole = lines_of(written)
    (written.folder / LINES).write_bytes(whole + whole[:40])
    log = FeedbackLog(written.folder)
    assert len(log.entries()) == 4  # who only reads leaves it
    entry = log.append(own_read.model_copy(update={"reviewer_key": "later"}))
    assert entry.index == 4
    assert lines_of(written).startswith(whole)
    (torn,) = written.folder.glob("feedback.torn-*")
    assert torn.read_bytes() == whole[:40]
    assert len(FeedbackLog(written.folder).entries()) == 5


def test_a_line_whose_writer_ended_before_the_head_is_kept(written, own_read):
    head = (written.folder / HEAD).read_bytes()
    written.append(own_read.model_copy(update={"reviewer_key": "unacknowledged"}))
    (written.folder / HEAD).write_bytes(head)
    log = FeedbackLog(written.folder)
    assert [entry.record.reviewer_key for entry in log.entries()][-1] == "unacknowledged"
    log.append(own_read.model_copy(update={"reviewer_key": "next"}))
    assert FeedbackLog(written.folder).verify().entries == 6


def test_a_restored_earlier_copy_is_noticed_by_who_read_more(written, own_read):
    kept = {name: (written.folder / name).read_bytes() for name in (LINES, HEAD)}
    written.append(own_read.model_copy(update={"reviewer_key": "gone"}))
    for name, payload in kept.items():
        (written.folder / name).write_bytes(payload)
    for _ in range(2):
        with pytest.raises(FeedbackError, match="entry 4 of the feedback log, which was read before"):
            len(written)
    assert len(FeedbackLog(written.folder)) == 4  # who never saw more cannot know: the digest of the last entry is to be noted elsewhere


def test_what_others_append_is_seen_and_only_that_is_read(written, own_read):
    reading = FeedbackLog(written.folder)
    assert len(reading) == 4
    added = written.append(own_read.model_copy(update={"reviewer_key": "later"}))
    read_before = reading._starts[-1]
    assert [entry.digest() for entry in reading.since(4)] == [added.digest()]
    assert reading._starts[-1] > read_before
    assert reading.own_read("later", own_read.report, own_read.round) == added
    assert reading.entry(added.digest()) == added
    assert reading.entry("0" * 64) is None


def test_an_older_entry_altered_while_a_server_runs_is_noticed_when_it_is_read(written, own_read):
    assert written.own_read("r1", own_read.report, own_read.round) is not None
    (written.folder / LINES).write_bytes(lines_of(written).replace(b'"r1"', b'"r6"'))
    with pytest.raises(FeedbackError, match="entry 1 "):
        written.own_read("r1", own_read.report, own_read.round)


def test_writers_in_several_processes_make_one_chain(log):
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(writer(log, name, 15)) for name in "abc"]
        said = [one.communicate(timeout=60)[0].split() for one in running]
        assert [one.returncode for one in running] == [0, 0, 0]
    digests = [entry.digest() for entry in log.entries()]
    assert len(digests) == 45
    assert sorted(digests) == sorted(digest for own in said for digest in own)


def test_a_killed_writer_loses_nothing_that_it_acknowledged(log, own_read):
    acknowledged = []
    for name in "ab":
        with writer(log, name, 10_000) as running:
            acknowledged += [running.stdout.readline().strip() for _ in range(20)]
            running.send_signal(signal.SIGKILL)
            acknowledged += running.stdout.read().split()
        kept = [entry.digest() for entry in FeedbackLog(log.folder).entries()]
        assert not set(acknowledged) - set(kept)
    log.append(own_read)
    assert FeedbackLog(log.folder).verify().entries == len(log)


def test_a_full_disk_leaves_the_log_as_it_was(written):
    size = len(lines_of(written))
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size + 30}, {size + 30}))\n"
        "import sys; sys.argv = ['', sys.argv[1], 'full', '1']\n" + WRITER
    )
    done = subprocess.run([sys.executable, "-c", code, str(written.folder)], capture_output=True, text=True, cwd=ROOT, check=False)
    assert "OutputError" in done.stderr
    assert "nothing was kept" in done.stderr
    assert len(lines_of(written)) == size
    assert FeedbackLog(written.folder).verify().entries == 4


def test_files_are_the_owners_only(written):
    for path in (written.folder, *written.folder.iterdir()):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path.name


def test_a_folder_that_cannot_be_is_said(tmp_path, own_read):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="expected a folder for the feedback log") as caught:
        FeedbackLog(tmp_path / "file").append(own_read)
    assert caught.value.code == "OUT_UNWRITABLE"


def test_who_keeps_needs_neither_torch_nor_mlflow():
    code = (
        "import sys, medkd.feedback.log, medkd.feedback.keep, medkd.feedback.scan, medkd.feedback.acceptance, medkd.feedback.agreement\n"
        "print(sorted({'torch', 'mlflow', 'monai', 'sklearn', 'highdicom'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
