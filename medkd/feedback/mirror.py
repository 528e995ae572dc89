"""Judgements beside the registered models that they are about: a copy of the log for whoever looks at a model, and never the record.

Whoever may write to a registry may take a judgement away there. The log cannot be made from the mirror; the mirror is made from the log, as often as wanted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from data_contracts import ControlCase, Feedback, FeedbackEntry, ModelRef, RegistryError, ReviewReport
from medkd.registry.interface import Registry
from medkd.storage.store import sha256_file, write_bytes

#: Tag of a version: the digest of the judgement with that index.
TAG = "medkd.feedback.{}"
FOLDER = "feedback"


@dataclass(frozen=True)
class MirroredFeedback:
    """What became of judgements.

    Attributes:
        attached: how many were attached now, counted once for each model.
        there: how many stood there already, as they are in the log.
        controls: judgements of reports that were wrong on purpose: they say nothing of a model.
        unknown_reports: first digits of the digests of reports that are not at hand.
        unknown_models: versions that are not registered here, or are others under the same name.
        assessments: how many were shown now that were not there before.
    """

    attached: int
    there: int
    controls: int
    unknown_reports: tuple[str, ...]
    unknown_models: tuple[str, ...]
    assessments: int = 0


@dataclass(frozen=True)
class SaidOfReport:
    """What one judgement says of a report, thing by thing.

    Attributes:
        report: digest of the report.
        at: when it was kept.
        reviewer: pseudonym of the reader.
        entry: digest of the entry.
        said: value by name: ``decision``, ``lesion-1 prediction``, ``lesion-1 explanation``, each Likert item.
    """

    report: str
    at: str
    reviewer: str
    entry: str
    said: dict[str, str | int]


def mirror_feedback(
    entries: Iterable[FeedbackEntry],
    reports: Mapping[str, ReviewReport],
    registry: Registry,
    show: Callable[[ModelRef, SaidOfReport], int] | None = None,
) -> MirroredFeedback:
    """Attach each judgement to the models of its report as ``feedback/ENTRY.json``, byte for byte as in the log, with a tag.

    Args:
        entries: of the log; what is not a judgement is left out.
        reports: by their digests.
        registry: that holds the models.
        show: shows what a judgement says beside a version, and returns how much of it is new there; None shows files and tags alone.

    Raises:
        RegistryError: as the registry, but for versions that it does not hold.
    """
    kept = list(entries)
    wrong = {(one.record.report, one.record.reviewer_key) for one in kept if isinstance(one.record, ControlCase)}
    attached, there, controls, shown = 0, 0, 0, 0
    unknown_reports: dict[str, None] = {}
    unknown_models: dict[str, None] = {}
    for entry in kept:
        said = entry.record
        if not isinstance(said, Feedback):
            continue
        if (said.report, said.reviewer_key) in wrong:
            controls += 1
            continue
        if said.report not in reports:
            unknown_reports[said.report[:12]] = None
            continue
        for model in dict.fromkeys(one.model for one in reports[said.report].explanations):
            stands = _stands(registry, model, entry)
            if stands is None:
                unknown_models[f"{model.name}/{model.version}"] = None
                continue
            if not stands:
                _attach(registry, model, entry)
            attached, there = attached + (not stands), there + stands
            shown += 0 if show is None else show(model, said_in(entry, said))
    return MirroredFeedback(attached, there, controls, tuple(unknown_reports), tuple(unknown_models), shown)


def said_in(entry: FeedbackEntry, said: Feedback) -> SaidOfReport:
    """Return what the judgement of an entry says, thing by thing. Comments are in the attached file alone."""
    values: dict[str, str | int] = {"decision": said.decision}
    for verdict in said.verdicts:
        values |= {f"{verdict.finding} prediction": verdict.prediction, f"{verdict.finding} explanation": verdict.explanation}
    return SaidOfReport(said.report, entry.at, said.reviewer_key, entry.digest(), values | dict(said.likert.items()))


def _stands(registry: Registry, model: ModelRef, entry: FeedbackEntry) -> bool | None:
    """Return whether a judgement stands beside a version as it is in the log; None where the version is not there."""
    try:
        contents = registry.contents(model.uri)
    except RegistryError as error:
        if error.code != "VERSION_UNKNOWN":
            raise
        return None
    if contents.model.manifest_digest != model.manifest_digest:
        return None
    digest = entry.digest()
    if contents.tags.get(TAG.format(entry.index)) != digest or contents.attached.get(_place(entry)) != digest:
        return False
    path = registry.fetch_attached(model.uri, _place(entry))
    return path is not None and sha256_file(path) == digest


def _attach(registry: Registry, model: ModelRef, entry: FeedbackEntry) -> None:
    with tempfile.TemporaryDirectory(prefix="medkd-feedback-") as folder:
        path = write_bytes(Path(folder) / Path(_place(entry)).name, entry.canonical_json())
        registry.attach(model, {FOLDER: path}, {TAG.format(entry.index): entry.digest()})


def _place(entry: FeedbackEntry) -> str:
    # Short: MLflow keeps the digests of all files of a folder in one tag, which has a limit.
    return f"{FOLDER}/{entry.digest()[:16]}.json"
