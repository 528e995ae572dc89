"""The reading protocol: who is shown what of a study, in which order, and what of it is kept. Every state follows from the feedback log.

A reader's own read is locked in the log before anything of a model leaves the server. Which studies are control cases is drawn from a
secret, the reader, the study and the round: the same every time, and nothing that a reader sees says which. What was locked fixes what is
shown from then on, whatever share is set later.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from data_contracts import FeedbackForm, OwnReadAnswer
from data_contracts.feedback import ControlCase, Feedback, FeedbackEntry, OwnRead, ScaleAnswers
from medkd.feedback.keep import Reviewer, keep_form, keep_own_read
from medkd.feedback.log import FeedbackLog
from medkd.review_server.accounts import Account
from medkd.review_server.database import Database
from medkd.review_server.settings import ServerSettings
from medkd.review_server.studies import ServedStudy, StudyIndex, read_study

Kind = Literal["other_finding", "other_study", "mirrored"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Status = Literal["unread", "own_read", "signed", "superseded"]
#: What stands for a reader, a report and a round.
ReadKey = tuple[str, str, int]


@dataclass(frozen=True)
class Entered:
    """An entry of the log with its digest."""

    digest: str
    entry: FeedbackEntry


@dataclass(frozen=True)
class ReadState:
    """How far a reader is with a study.

    Attributes:
        status: as the worklist shows it.
        shown: the report that the reader is, or will be, shown.
        kind: what is wrong with it on purpose; None of a genuine one.
        own_read: that was locked.
        judgement: that stands.
    """

    status: Status
    shown: ServedStudy
    kind: Kind | None
    own_read: Entered | None = None
    judgement: Entered | None = None


class Readings:
    """What readers did, and what they may see.

    Args:
        settings: of the server.
        database: its round and its secret.
        index: its studies.
        log: of feedback.
    """

    def __init__(self, settings: ServerSettings, database: Database, index: StudyIndex, log: FeedbackLog) -> None:
        self._settings, self._database, self._index, self.log = settings, database, index, log
        self._secret = database.secret("controls")
        self._lock = threading.RLock()
        self._controls: dict[tuple[str, Kind], ServedStudy | None] = {}
        self._forget()

    def _forget(self) -> None:
        self._taken = 0
        self._reads: dict[ReadKey, Entered] = {}
        self._judged: dict[ReadKey, Entered] = {}
        self._signed: dict[tuple[str, str], set[str]] = {}
        self._scales: dict[tuple[str, int], Entered] = {}
        self._wrong: dict[str, ControlCase] = {}

    @property
    def round(self) -> int:
        """Return the round that is open."""
        return self._database.round

    def controls_ready(self, study: ServedStudy) -> Iterator[tuple[Kind, ServedStudy]]:
        """Yield the control reports that were made of a study."""
        for kind in KINDS:
            known = self._controls.get((study.digest, kind))
            if known is None:
                folder = self._settings.controls / study.digest / kind
                known = read_study(folder) if folder.is_dir() else None
                if known is not None and known.problem:
                    known = None
                if known is not None:
                    self._controls[study.digest, kind] = known
            if known is not None:
                yield kind, known

    def state(self, account: Account, study: ServedStudy) -> ReadState:
        """Return how far a reader is with a study in the open round."""
        with self._lock:
            self._refresh()
            return self._state(account, study, self.round)

    def statuses(self, account: Account, studies: Iterable[ServedStudy]) -> list[Status]:
        """Return how far a reader is with each study in the open round."""
        with self._lock:
            self._refresh()
            round_ = self.round
            return [self._state(account, study, round_).status for study in studies]

    def _state(self, account: Account, study: ServedStudy, round_: int) -> ReadState:
        ready = dict(self.controls_ready(study))
        candidates: list[tuple[Kind | None, ServedStudy]] = [(None, study), *ready.items()]
        for kind, shown in candidates:
            key = (account.reviewer_key, shown.digest, round_)
            own = self._reads.get(key)
            if own is not None:
                judged = self._judged.get(key)
                return ReadState("own_read" if judged is None else "signed", shown, kind, own, judged)
        kind = self._draw(account, study, round_, tuple(ready))
        # Signed, and the report was made anew since: a report of another series of the study does not count.
        earlier = self._signed.get((account.reviewer_key, study.report.volume.study_key), set())
        replaced = bool(earlier) and bool(earlier - {one.digest for one in self._index.all().values()} - set(self._wrong))
        return ReadState("superseded" if replaced else "unread", study if kind is None else ready[kind], kind)

    def _draw(self, account: Account, study: ServedStudy, round_: int, ready: tuple[Kind, ...]) -> Kind | None:
        """Return what is wrong on purpose with what a reader will be shown; None of most."""
        if not ready or not self._settings.control_share:
            return None
        drawn = hmac.new(self._secret, f"{account.reviewer_key}|{study.digest}|{round_}".encode(), hashlib.sha256).digest()
        if int.from_bytes(drawn[:8], "big") >= self._settings.control_share * 2**64:
            return None
        return ready[drawn[8] % len(ready)]

    def lock(self, account: Account, study: ServedStudy, read: OwnReadAnswer, language: str) -> FeedbackEntry:
        """Keep a reader's own read; what it is of, genuine or not, is shown from then on.

        Raises:
            FeedbackError: as :func:`~medkd.feedback.keep.keep_own_read`.
        """
        state = self.state(account, study)
        if state.kind is not None and state.own_read is None:
            # First: feedback on a control case is never without the record that says it was one.
            self.log.append(
                ControlCase(
                    report=state.shown.digest,
                    genuine=study.digest,
                    study_key=study.report.volume.study_key,
                    kind=state.kind,
                    reviewer_key=account.reviewer_key,
                    round=self.round,
                )
            )
        return keep_own_read(self.log, state.shown.report, read, self._reviewer(account), language=language)

    def sign(self, account: Account, study: ServedStudy, form: FeedbackForm) -> FeedbackEntry:
        """Keep a reader's judgement of what was shown; the same form twice is kept once.

        Raises:
            FeedbackError: as :func:`~medkd.feedback.keep.keep_form`.
        """
        return keep_form(self.log, self.state(account, study).shown.report, form, self._reviewer(account))

    def _reviewer(self, account: Account) -> Reviewer:
        return Reviewer(key=account.reviewer_key, role=account.title, round=self.round)

    def answer_scale(self, account: Account, answers: tuple[int, ...], language: Literal["en", "zh"]) -> FeedbackEntry:
        """Keep a reader's answers to the questionnaire of this round; a second time the first ones stand."""
        with self._lock:
            known = self.scale_of(account, self.round)
            if known is not None:
                return known.entry
            return self.log.append(
                ScaleAnswers(
                    reviewer_key=account.reviewer_key, round=self.round, answers=answers, language=language, validated=language == "en"
                )
            )

    def scale_of(self, account: Account, round_: int) -> Entered | None:
        """Return a reader's answers to the questionnaire of a round."""
        with self._lock:
            self._refresh()
            return self._scales.get((account.reviewer_key, round_))

    def entries(self) -> tuple[list[Entered], list[Entered], dict[str, ControlCase], dict[tuple[str, int], Entered]]:
        """Return own reads, judgements that stand, control cases by the report that was shown, and questionnaires: for the administrator."""
        with self._lock:
            self._refresh()
            return list(self._reads.values()), list(self._judged.values()), dict(self._wrong), dict(self._scales)

    def _refresh(self) -> None:
        """Take up what was written since the last look."""
        if len(self.log) < self._taken:
            self._forget()
        for entry in self.log.since(self._taken):
            self._take(Entered(entry.digest(), entry))
            self._taken = entry.index + 1

    def _take(self, entered: Entered) -> None:
        match entered.entry.record:
            case OwnRead() as read:
                self._reads.setdefault((read.reviewer_key, read.report, read.round), entered)
            case Feedback() as said:
                # A later one supersedes, or it would not have been kept.
                self._judged[said.reviewer_key, said.report, said.round] = entered
                self._signed.setdefault((said.reviewer_key, said.study_key), set()).add(said.report)
            case ControlCase() as control:
                self._wrong[control.report] = control
            case ScaleAnswers() as scale:
                self._scales.setdefault((scale.reviewer_key, scale.round), entered)
