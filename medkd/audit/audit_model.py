"""A registered model audited on a labelled folder: every artefact put in, marks that were found taken out, metadata asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor

from data_contracts import AuditReport, DataError, ReportModel, TaskKind, require_kind, require_one_image
from medkd.audit.answers import Answers, AuditedModel
from medkd.audit.changes import PutToTest, Truth
from medkd.audit.effects import effects_of
from medkd.audit.marks import MARKS
from medkd.audit.metadata import metadata_shortcuts
from medkd.audit.names import REMOVAL, chosen_artefacts
from medkd.audit.open_folder import AuditFolder, open_folder
from medkd.audit.put_in import put_in
from medkd.audit.take_out import take_out
from medkd.cohorts.external_dataset import FolderHints, describe_folder
from medkd.progress import progress_bar
from medkd.registry.load_version import load_version
from medkd.registry.publish import open_registry
from medkd.storage.store import Store
from medkd.storage.workspace import Workspace

#: Marks found in fewer cases are taken out of them, but say nothing.
_FEWEST_MARKED = 8


@dataclass(frozen=True)
class AuditOptions:
    """What is asked for.

    Attributes:
        bound: largest mean change of the answer that counts as none.
        artefacts: names of :data:`ARTEFACTS`; empty takes all.
    """

    bound: float = 0.05
    artefacts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Example:
    """One case with an artefact, for the picture of the report: images and map [*space]; the map is None where none is made."""

    name: str
    before: Tensor
    after: Tensor
    control: Tensor
    heat: Tensor | None
    value_range: tuple[float, float]


@dataclass(frozen=True)
class Audit:
    """The record, and what its picture is made of."""

    report: AuditReport
    examples: tuple[Example, ...] = field(default_factory=tuple)


def audit_registered(workspace: Workspace, root: Path, hints: FolderHints, model_uri: str, options: AuditOptions, scratch: Path) -> Audit:
    """Audit a registered version on a folder.

    Args:
        workspace: its tracking URI is the registry.
        root: folder with ``cases.csv`` or ``dataset.json``, or of DICOM.
        hints: what the user says of the folder.
        model_uri: ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``.
        options: bound and artefacts.
        scratch: folder for imported arrays; may be deleted afterwards.

    Raises:
        RegistryError: a version that does not exist or was altered.
        SourceError, DataError: as ``describe_folder`` and the importers; ``ARTEFACT_UNKNOWN``.
    """
    names = chosen_artefacts(options.artefacts)
    model, checkpoint, network, calibration, card = load_version(open_registry(workspace), model_uri)
    require_kind(checkpoint.task, "an audit")
    require_one_image(checkpoint.task, "an audit")
    asked = AuditedModel(checkpoint.task, network, calibration)
    data = describe_folder(root, checkpoint.task, hints if card is None else replace(hints, series=card.needed_series(checkpoint.task)))
    folder = open_folder(root, data, checkpoint.task, Store(scratch, "scratch"), progress=workspace.progress)
    subject = ReportModel(
        role=checkpoint.role.value,
        name=model.name,
        version=model.version,
        manifest_digest=model.manifest_digest,
        parameters=checkpoint.parameters,
    )
    return audit_folder(
        asked, folder, names, AuditSubject(subject, checkpoint.weights_digest, root.name, options.bound), progress=workspace.progress
    )


@dataclass(frozen=True)
class AuditSubject:
    """Who is audited on what: the version, its weights, the folder's name, and the bound of its changes."""

    model: ReportModel
    weights_digest: str
    folder: str
    bound: float


def audit_folder(model: AuditedModel, folder: AuditFolder, names: Sequence[str], subject: AuditSubject, *, progress: bool = False) -> Audit:
    """Put each artefact to the test on the cases of a folder.

    Raises:
        DataError: ``AUDIT_NOTHING`` where none of the artefacts can be put to the test: nothing was found that could be taken out.
    """
    before = model.ask([case.image for case in folder.cases], maps=model.has_maps)
    tests: list[tuple[PutToTest, Truth]] = []
    examples: list[Example] = []
    for name in progress_bar(names, title="audit", unit="artefact", enabled=progress):
        found = _removal(model, folder, before) if name == REMOVAL else _insertion(model, folder, before, name)
        if found is not None:
            tests.append((found[0], _truth(model, folder, found[0].rows)))
            examples.append(found[1])
    if not tests:
        found_in = (
            f"found them in {_marked(folder)}"
            if folder.looked
            else "they are looked for in pictures of 8 bits alone, of which there are none"
        )
        raise DataError("AUDIT_NOTHING", f"expected marks in at least {_FEWEST_MARKED} cases to take out, {found_in}")
    report = AuditReport(
        model=subject.model,
        weights_digest=subject.weights_digest,
        task=model.task.kind,
        folder=subject.folder,
        cohort_digest=folder.cohort,
        n=len(set(folder.patients)),
        cases=len(folder.cases),
        marked=_marked(folder) if folder.looked else None,
        bound=subject.bound,
        artefacts=effects_of(tests, subject.bound),
        metadata=metadata_shortcuts(folder.metadata, folder.labels, folder.patients),
        limits=_limits(model, folder, names),
    )
    return Audit(report, tuple(examples))


def _marked(folder: AuditFolder) -> int:
    return sum(painted is not None for painted in folder.painted)


def _truth(model: AuditedModel, folder: AuditFolder, rows: Sequence[int]) -> Truth:
    return Truth(
        patients=[folder.patients[row] for row in rows],
        labels=np.array([folder.labels[row] for row in rows]),
        reference=tuple(folder.reference[row] for row in rows),
        classes=model.task.classes,
    )


def _insertion(model: AuditedModel, folder: AuditFolder, before: Answers, name: str) -> tuple[PutToTest, Example]:
    changed = [put_in(case, name) for case in folder.cases]
    kind: Literal["mark", "acquisition"] = "mark" if name in MARKS else "acquisition"
    after = model.ask([one.image for one in changed], maps=model.has_maps)
    test = PutToTest(
        name=name,
        kind=kind,
        rows=tuple(range(len(changed))),
        before=before,
        after=after,
        control=model.ask([one.control for one in changed]),
        energy=float(np.mean([one.energy for one in changed])),
        places=tuple(one.place for one in changed if one.place is not None),
    )
    row = _typical(folder)
    heat = after.maps[row] if after.maps else None
    return test, Example(name, folder.cases[row].image, changed[row].image, changed[row].control, heat, folder.cases[row].value_range())


def _removal(model: AuditedModel, folder: AuditFolder, before: Answers) -> tuple[PutToTest, Example] | None:
    """Return the test of taking out what was found; None where it was found in too few cases."""
    rows = [row for row, painted in enumerate(folder.painted) if painted is not None]
    if len(rows) < _FEWEST_MARKED:
        return None
    taken = [take_out(folder.cases[row], painted) for row in rows if (painted := folder.painted[row]) is not None]
    after = model.ask([one.image for one in taken], maps=model.has_maps)
    test = PutToTest(
        name=REMOVAL,
        kind="removal",
        rows=tuple(rows),
        before=before.of(rows),
        after=after,
        control=model.ask([one.control for one in taken]),
        energy=float(np.mean([one.energy for one in taken])),
        places=tuple(one.place for one in taken),
    )
    most = int(np.argmax([int(one.place.sum()) for one in taken]))
    heat = after.maps[most] if after.maps else None
    case = folder.cases[rows[most]]
    return test, Example(REMOVAL, case.image, taken[most].image, taken[most].control, heat, case.value_range())


def _typical(folder: AuditFolder) -> int:
    """Return the case whose lesion is of middle size: the one that is shown."""
    return int(np.argsort([int(case.lesion.sum()) for case in folder.cases])[len(folder.cases) // 2])


def _limits(model: AuditedModel, folder: AuditFolder, names: Sequence[str]) -> tuple[str, ...]:
    """Return what the audit cannot say."""
    said = ["Marks are drawn by this software: others may look otherwise, and a model may follow what is not drawn here."]
    if REMOVAL in names and model.task.spatial_dims == 3:
        said.append("Of volumes nothing is taken out: burnt-in marks are looked for in pictures.")
    elif REMOVAL in names:
        said += _limits_of_removal(folder)
    if not any(bool(case.lesion.any()) for case in folder.cases):
        said.append("No lesion is drawn in these cases: a mark may lie on one.")
    if not model.has_maps:
        said.append("Of volumes that are segmented by windows no class map is made, so none is measured on the artefacts.")
    if model.task.kind is TaskKind.SEGMENTATION:
        said.append("Dice is measured on the network's grid, the mean of the classes that answer or reference hold.")
    said.append(
        "Settings of a scanner change the lesion with everything else: an effect of one is a lack of robustness before it is a shortcut."
    )
    return tuple(said)


def _limits_of_removal(folder: AuditFolder) -> list[str]:
    """Return what was found in pictures, and why nothing is taken out where nothing is."""
    unseen = len(folder.cases) - folder.looked
    said = []
    if unseen:
        said.append(f"In {unseen} of {len(folder.cases)} pictures burnt-in marks were not looked for: they have more than 8 bits.")
    if folder.looked:
        said.append(
            f"Marks were found in {_marked(folder)} of {folder.looked} pictures: lines of letters and crosses only; single letters, frames and "
            "bars are not found, and some bright tissue is taken for letters."
        )
    if _marked(folder) < _FEWEST_MARKED:
        said.append(f"Nothing was taken out: fewer than {_FEWEST_MARKED} pictures with marks say nothing.")
    return said
