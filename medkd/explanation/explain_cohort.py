"""Explain a cohort: every explainer of the recipe, the student beside its teacher, each map measured and sanity-checked."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from data_contracts import (
    Checkpoint,
    CohortSet,
    Entry,
    Estimate,
    ExplainSpec,
    ExplanationBundle,
    ExplanationError,
    ExplanationRef,
    MethodRecord,
    Ref,
    SanityReport,
    TargetRecord,
    Task,
)
from medkd.attribution._attribute import attribute
from medkd.catalogue import EXPLAINERS, MEASURES
from medkd.cohorts.open_cohort import open_for_maps
from medkd.cohorts.tensor_cohort import TensorCohort
from medkd.evaluation.bootstrap import bootstrap_figure, mean_of
from medkd.evaluation.evaluate import map_subset
from medkd.explanation.baselines import BASELINES
from medkd.explanation.measures_of_maps import ExplanationQuery, Networks, ask, check_of, measure_value, measured, measured_baseline
from medkd.explanation.preview import MOST_PREVIEWS, render_preview
from medkd.inference.predict import predict_logits
from medkd.measures import additivity as _additivity
from medkd.measures import completeness as _completeness
from medkd.measures.model_parameter_randomisation import FAILS_ABOVE
from medkd.models._build import build_network
from medkd.models._heads import for_task
from medkd.models._load import load_network
from medkd.storage.stage import stage
from medkd.storage.store import write_bytes
from medkd.storage.workspace import Workspace
from medkd.targets import Target

#: Cases that the tests of an explainer take.
TESTED = 8
#: Other trainings that maps are compared with.
MOST_SIBLINGS = 4


@stage
def explain_cohort(
    workspace: Workspace,
    spec: ExplainSpec,
    cohorts: CohortSet,
    student: Checkpoint,
    teacher: Checkpoint,
    siblings: tuple[Checkpoint, ...] = (),
) -> ExplanationBundle:
    """Explain cases of the map cohort by the student and, for comparison, by the teacher: one of each patient before another of any.

    ``siblings`` are other trainings of the student: whether they would have shown the same map is its repeatability.
    """
    cohort, query, networks = question_of(workspace, spec, cohorts, student, teacher)
    model = networks.student
    networks = replace(networks, siblings=tuple(for_task(load_network(workspace, other), other, spec.task) for other in siblings))
    maps = _maps(spec, query, networks)
    values: dict[str, dict[str, Tensor]] = {}
    for choice in spec.explain.explainers:
        student_maps = maps[f"student/{choice.name}"]
        values[choice.name] = measured(spec, choice, student_maps, maps[f"teacher/{choice.name}"], networks, query)
        if spec.explain.randomisation:
            values[choice.name]["model_parameter_randomisation"] = _randomised(student, spec.task, (student_maps, query, choice))
    for name, make in BASELINES.items():
        values[name] = measured_baseline(spec, make, model, query)
    key = f"explanations/{spec.name}/{student.run_name}"
    packed = workspace.store.write_tensors(f"{key}.safetensors", maps)
    sanity_reports = tuple(
        _verdict(choice, query, model, maps[f"student/{choice.name}"], values[choice.name]) for choice in spec.explain.explainers
    )
    failing = tuple(sanity_report.explainer for sanity_report in sanity_reports if not sanity_report.trusted)
    # Without what was merely measured: the same maps have the same digest.
    parts = {"spec": spec, "cohorts": cohorts, "student": student.without_measured(), "teacher": teacher.without_measured()}
    request = json.dumps({name: json.loads(record.canonical_json()) for name, record in parts.items()}, sort_keys=True)
    write_bytes(workspace.store.root / f"{key}.request.json", request.encode())
    figures = {f"{explainer}/{name}": _figure(value, cohort) for explainer, named in values.items() for name, value in named.items()}
    records = [
        _record(cohort, row, choice, student, packed, values[choice.name], query)
        for choice in spec.explain.explainers
        for row in range(len(cohort))
    ]
    return ExplanationBundle(
        subject=f"{spec.name}/{student.arm}-{student.seed}",
        weights_digest=student.weights_digest,
        teacher_digest=teacher.weights_digest,
        explanations=tuple(records),
        figures={name: figure for name, figure in figures.items() if figure is not None},
        failed_explainers=failing,
        sanity_reports=sanity_reports,
        previews=_previews(workspace, key, spec, cohort, maps, sanity_reports),
        request=workspace.store.refer(f"{key}.request.json"),
        threads=torch.get_num_threads(),
    )


def replay_bundle(workspace: Workspace, bundle: ExplanationBundle) -> dict[str, float]:
    """Make the maps of a bundle again from its records and return how far they differ: per map that is not the same bits, relative.

    Args:
        workspace: whose store holds the cohorts, the weights and the maps.
        bundle: with a ``request``.

    Raises:
        ExplanationError: ``REPLAY_REQUEST`` for a bundle of a version that kept none.
        StoreError: when something that the maps were made from is gone or altered.
    """
    if bundle.request is None or not workspace.store.verify(bundle.request):
        raise ExplanationError(
            "REPLAY_REQUEST", f"expected the records that the maps of {bundle.subject} were made from, they are not there"
        )
    request = json.loads(workspace.store.path(bundle.request).read_text(encoding="utf-8"))
    spec, cohorts = _spec_in(request), CohortSet.model_validate(request["cohorts"])
    student, teacher = Checkpoint.model_validate(request["student"]), Checkpoint.model_validate(request["teacher"])
    threads = torch.get_num_threads()
    torch.set_num_threads(bundle.threads)
    try:
        _, query, networks = question_of(workspace, spec, cohorts, student, teacher)
        again = _maps(spec, query, networks)
    finally:
        torch.set_num_threads(threads)
    kept = workspace.store.read_tensors(bundle.explanations[0].array)
    return {
        name: float((own - again[name]).abs().max() / own.abs().max().clamp_min(1e-30))
        for name, own in kept.items()
        if not torch.equal(own, again[name])
    }


def _spec_in(request: dict[str, Any]) -> ExplainSpec:
    """Return what a bundle's request asks; earlier versions kept the whole recipe."""
    if "spec" in request:
        return ExplainSpec.model_validate(request["spec"])
    known = {name: request["recipe"][name] for name in ("name", "task", "explain")}
    return ExplainSpec.model_validate(known)


def asks_siblings(spec: ExplainSpec) -> bool:
    """Return whether a recipe asks what other trainings of a student would have shown."""
    return any(MEASURES.entry(one.name).fact("KIND") == "repeated" for one in spec.explain.measures)


def siblings_of(spec: ExplainSpec, student: Checkpoint, models: Sequence[Checkpoint]) -> tuple[Checkpoint, ...]:
    """Return other trainings of a student among ``models``, from other seeds, where a recipe asks whether they would show the same map."""
    if not asks_siblings(spec):
        return ()
    by_seed = {
        other.seed: other
        for other in models
        if (other.arm, other.recipe_digest, other.teacher_digest) == (student.arm, student.recipe_digest, student.teacher_digest)
    }
    return tuple(other for seed, other in sorted(by_seed.items()) if seed != student.seed)[:MOST_SIBLINGS]


def question_of(
    workspace: Workspace, spec: ExplainSpec, cohorts: CohortSet, student: Checkpoint, teacher: Checkpoint
) -> tuple[TensorCohort, ExplanationQuery, Networks]:
    """Return the cases of the map cohort (one of each patient before another of any), what is asked of them, and both networks."""
    cohort = open_for_maps(cohorts, map_subset(cohorts), workspace.store, spec.task)
    cohort = cohort.select(over_patients(cohort.patients(), spec.explain.cases))
    own, other = (for_task(load_network(workspace, one), one, spec.task) for one in (student, teacher))
    networks = Networks(own, other)
    return cohort, ask(networks.teacher, cohort.images, cohort.masks, spec.task.kind, cohort.valid), networks


def over_patients(patients: Sequence[str], wanted: int) -> Tensor:
    """Return the rows of at most ``wanted`` cases, int64 in rising order: the first of every patient, then the second of every patient, …"""
    seen: Counter[str] = Counter()
    turns = []
    for row, patient in enumerate(patients):
        turns.append((seen[patient], row))
        seen[patient] += 1
    return torch.tensor(sorted(row for _, row in sorted(turns)[:wanted]))


def _maps(spec: ExplainSpec, query: ExplanationQuery, networks: Networks) -> dict[str, Tensor]:
    """Return the maps by ``ROLE/EXPLAINER``, [n, *space]."""
    found = {}
    for choice in spec.explain.explainers:
        for role, network in (("student", networks.student), ("teacher", networks.teacher)):
            found[f"{role}/{choice.name}"] = attribute(network, query.images, query.target, explainer=choice.name, options=choice.options)
    return found


def _previews(
    workspace: Workspace,
    key: str,
    spec: ExplainSpec,
    cohort: TensorCohort,
    maps: Mapping[str, Tensor],
    sanity_reports: tuple[SanityReport, ...],
) -> tuple[Ref, ...]:
    """Write pictures of the first cases, every explainer of a case before the next case."""
    shown = [(row, choice.name) for row in range(len(cohort)) for choice in spec.explain.explainers][:MOST_PREVIEWS]
    failed = {one.explainer: [check.name for check in one.checks if check.passed is False] for one in sanity_reports}
    refs = []
    for row, explainer in shown:
        # A picture is a volume of one slice.
        image, mask = (one if one.ndim == 3 else one[None] for one in (cohort.images[row, 0], cohort.masks[row]))
        both = {role: maps[f"{role}/{explainer}"][row] for role in ("student", "teacher")}
        payload = render_preview(
            image.numpy(),
            mask.numpy(),
            {role: (one if one.ndim == 3 else one[None]).numpy() for role, one in both.items()},
            int(mask.flatten(1).sum(1).argmax()),
            title=f"{cohort.cases[row].case_key}, {explainer}",
            failed=failed[explainer],
        )
        name = f"{key}-previews/{row:02d}-{explainer}.png"
        write_bytes(workspace.store.root / name, payload)
        refs.append(workspace.store.refer(name))
    return tuple(refs)


def _verdict(choice: Entry, query: ExplanationQuery, model: nn.Module, student_maps: Tensor, values: Mapping[str, Tensor]) -> SanityReport:
    """Test an explainer on the first cases: the median over them counts, the largest where rounding alone may differ."""
    entry, few = EXPLAINERS.entry(choice.name), min(TESTED, len(student_maps))
    some = replace(query, images=query.images[:few], answer=query.answer[:few])

    def explained(target: Target) -> Tensor:
        return attribute(model, some.images, target, explainer=choice.name, options=choice.options)

    whole, parts = some.whole_and_parts()
    median = values["model_parameter_randomisation"].nanmedian() if "model_parameter_randomisation" in values else None
    checks = [check_of("randomisation", median, FAILS_ABOVE, "not asked, or a constant map")]
    if entry.fact("COMPLETE"):
        plain = torch.full_like(some.images, float(choice.options.get("baseline", entry.options()["baseline"].default)))
        gap = whole(predict_logits(model, some.images)) - whole(predict_logits(model, plain))
        error = MEASURES.load("completeness")(student_maps[:few], gap).nanmedian()
        checks.append(check_of("completeness", error, _completeness.FAILS_ABOVE, "the baseline scores as the image does"))
    if entry.fact("ADDITIVE"):
        summed = torch.stack([sign * explained(part) for sign, part in parts]).sum(0)
        error = MEASURES.load("additivity")(student_maps[:few], summed)
        worst = error[~error.isnan()].amax() if bool((~error.isnan()).any()) else None
        checks.append(check_of("additivity", worst, _additivity.FAILS_ABOVE, "maps of zeros"))
    return SanityReport(explainer=choice.name, checks=tuple(checks), trusted=all(check.passed is not False for check in checks))


def fails_randomisation(values: Mapping[str, Tensor]) -> bool:
    """Return whether an explainer's maps stay alike after its network's weights were drawn anew (median over cases)."""
    similarity = values.get("model_parameter_randomisation")
    return similarity is not None and bool(similarity.nanmedian() > FAILS_ABOVE)


def _randomised(student: Checkpoint, task: Task, asked: tuple[Tensor, ExplanationQuery, Entry]) -> Tensor:
    """Compare the student's maps of a question by an explainer with those of the same architecture under weights that were never trained."""
    student_maps, query, choice = asked
    network = for_task(build_network(student.network, seed=2**31 + student.seed), student, task).eval()
    other = attribute(network, query.images, query.target, explainer=choice.name, options=choice.options)
    value: Tensor = MEASURES.load("model_parameter_randomisation")(student_maps, other)
    return value


def _figure(values: Tensor, cohort: TensorCohort) -> Estimate | None:
    """Return the figure of a measure, or None where it is undefined for every case."""
    array = values.double().numpy()[None]
    if np.all(np.isnan(array)):
        return None
    return bootstrap_figure(mean_of(array), cohort.patients(), missing=int(np.isnan(array).sum()))


def _record(
    cohort: TensorCohort, row: int, choice: Entry, student: Checkpoint, packed: Ref, values: Mapping[str, Tensor], query: ExplanationQuery
) -> ExplanationRef:
    entry, target = EXPLAINERS.entry(choice.name), query.target.record()
    return ExplanationRef(
        case_key=cohort.cases[row].case_key,
        source_digest=cohort.cases[row].pixel_sha256 or hashlib.sha256(cohort.images[row].numpy().tobytes()).hexdigest(),
        model=f"{student.arm}-{student.seed}",
        model_role="student",
        weights_digest=student.weights_digest,
        method=MethodRecord(
            explainer=choice.name,
            options=choice.options,
            signed=entry.fact("SIGNED", True),
            passes_randomisation=not fails_randomisation(values),
        ),
        target=TargetRecord(
            kind=target.kind,
            options={**target.options, **({"index": int(query.answer[row])} if query.answer.ndim == 1 else {})},
            mask_sha256=target.mask_sha256,
        ),
        array=packed,
        tensor=f"student/{choice.name}",
        shape=tuple(cohort.images.shape[2:]),
        measures=tuple(measure_value(name, value[row]) for name, value in values.items()),
    )
