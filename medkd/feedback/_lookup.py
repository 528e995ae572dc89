"""What is in a feedback log, by what is asked for: digests of entries, so that masks are read when they are needed."""

from __future__ import annotations

from data_contracts import ControlCase, Feedback, FeedbackEntry, OwnRead


class Lookup:
    """Entries of a log that were read so far.

    Attributes:
        places: index of each entry, by its digest.
        forms: digest of the entry of each form, by the form's id.
        own_reads: digest of each own read, by reader, report and round.
        judgements: digests of what each reader said of each report in each round, oldest first.
        superseded: digests of entries that later ones correct.
        controls: digest of each control case, by reader, study and round.
    """

    def __init__(self) -> None:
        self.places: dict[str, int] = {}
        self.forms: dict[str, str] = {}
        self.own_reads: dict[tuple[str, str, int], str] = {}
        self.judgements: dict[tuple[str, str, int], list[str]] = {}
        self.superseded: set[str] = set()
        self.controls: dict[tuple[str, str, int], str] = {}
        self._studies: dict[tuple[str, str], list[tuple[int, str]]] = {}

    def add(self, entry: FeedbackEntry, digest: str) -> None:
        """Take up an entry."""
        self.places[digest] = entry.index
        match entry.record:
            case OwnRead() as read:
                self.own_reads.setdefault((read.reviewer_key, read.report, read.round), digest)
            case Feedback() as said:
                self.forms.setdefault(said.form, digest)
                self.judgements.setdefault((said.reviewer_key, said.report, said.round), []).append(digest)
                self._studies.setdefault((said.reviewer_key, said.study_key), []).append((said.round, digest))
                if said.supersedes is not None:
                    self.superseded.add(said.supersedes)
            case ControlCase() as control:
                self.controls.setdefault((control.reviewer_key, control.study_key, control.round), digest)
            case _:
                pass

    def latest(self, reviewer: str, study: str, round_: int | None = None) -> str | None:
        """Return the digest of what a reader last said of a study and did not supersede, in one round or in any."""
        said = self._studies.get((reviewer, study), [])
        standing = [digest for of, digest in said if round_ in (None, of) and digest not in self.superseded]
        return standing[-1] if standing else None

    def standing(self, reviewer: str, report: str, round_: int) -> str | None:
        """Return the digest of what a reader last said of a report in a round and did not supersede."""
        said = [digest for digest in self.judgements.get((reviewer, report, round_), []) if digest not in self.superseded]
        return said[-1] if said else None
