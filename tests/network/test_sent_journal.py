import pytest

from data_contracts import OutputError
from medkd.network.sent_journal import SentJournal, SentObject


def test_what_was_sent_is_remembered_by_peer_and_bytes(tmp_path):
    (tmp_path / "set").mkdir()
    journal = SentJournal(tmp_path / "set", "A@h:1")
    journal.note("1.2", SentObject("aa"))
    journal.note("1.3", SentObject("bb", committed=True))
    again = SentJournal(tmp_path / "set", "A@h:1")
    assert [again.holds("1.2", "aa"), again.holds("1.2", "bb"), again.holds("1.4", "aa")] == [True, False, False]
    assert [again.is_committed("1.2"), again.is_committed("1.3")] == [False, True]
    assert not SentJournal(tmp_path / "set", "B@h:1").holds("1.2", "aa")
    assert list((tmp_path / "set").iterdir()) == []
    assert oct(again.path.stat().st_mode & 0o777) == "0o600"


@pytest.mark.parametrize("text", ["", "[", "[1]", '{"A@h:1": 3}', '{"A@h:1": {"1.2": 3}}', "\ud800"])
def test_a_journal_that_is_none_remembers_nothing(tmp_path, text):
    path = tmp_path / "set.sent.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    assert not SentJournal(tmp_path / "set", "A@h:1").holds("1.2", "aa")


def test_a_place_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        SentJournal(tmp_path / "file" / "set", "A@h:1").note("1.2", SentObject("aa"))
