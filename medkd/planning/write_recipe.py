"""A planned recipe as YAML, every choice with its reason beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from medkd.planning.decide import Decision, RecipePlan
from medkd.planning.fingerprint import Fingerprint
from medkd.yaml_text import parse_yaml


def recipe_yaml(name: str, found: Fingerprint, plan: RecipePlan) -> str:
    """Return the text of a recipe that runs as it is: teacher, students, arms, gate and explanations."""
    text = "\n".join((*_head(name, found), *_task(found, plan), *_data(found), *_networks(found, plan), *_arms(plan))) + "\n"
    parse_yaml(text, "the planned recipe")
    return text


def fingerprint_lines(found: Fingerprint) -> list[str]:
    """Return what was measured, a line each."""
    axes = "slice x row x column" if found.shapes.shape[1] == 3 else "row x column"
    lines = [
        f"{found.cases} cases" + (f" of {found.patients} patients" if found.patients else ""),
        f"size {' x '.join(map(str, found.median_shape))} ({axes}, median), {_span(found.shapes)}",
    ]
    if len(found.spacings):
        lines.append(
            f"spacing {' x '.join(f'{value:.3g}' for value in found.median_spacing)} mm (median), largest to smallest {found.anisotropy:.2f}"
        )
    lines.append("classes " + ", ".join(f"{name} ({count} cases)" for name, count in found.classes.items()))
    if found.frequencies:
        lines.append("share of the voxels " + ", ".join(f"{name} {100 * share:.2g} %" for name, share in found.frequencies.items()))
    if found.lesions:
        counts = sorted(found.lesions)
        lines.append(f"components per case {counts[len(counts) // 2]} (median), {counts[0]} to {counts[-1]}")
    if found.whole != (0.0, 0.0):
        low, middle, high = found.percentiles
        lines.append(
            f"intensities of the foreground {low:.4g}, {middle:.4g}, {high:.4g} (percentiles .5, 50, 99.5), mean {found.mean:.4g}, deviation {found.deviation:.4g}"
        )
    return [*lines, *([f"modality {found.modality}"] if found.modality else [])]


def _span(shapes: Any) -> str:
    return f"{' x '.join(map(str, shapes.min(axis=0)))} to {' x '.join(map(str, shapes.max(axis=0)))}"


def recipe_name(folder: str) -> str:
    """Return a name that a recipe may have, of a folder's."""
    name = re.sub(r"[^a-z0-9-]+", "-", folder.lower()).strip("-")[:40]
    return name if re.fullmatch(r"[a-z][a-z0-9-]{1,40}", name) else f"recipe-{name}"[:40].rstrip("-")


def _head(name: str, found: Fingerprint) -> Iterator[str]:
    yield "# Planned by `medkd plan-recipe` from what was measured of the folder; every choice can be changed."
    for line in fingerprint_lines(found):
        yield f"#   {line}"
    for question in found.unknown:
        yield f"# To be answered: {question}"
    yield f"name: {name}"
    yield f"description: {_scalar('Planned from the fingerprint of ' + str(found.fields['path']) + '.')}"


def _task(found: Fingerprint, plan: RecipePlan) -> Iterator[str]:
    yield "task:"
    yield f"  kind: {plan.kind}"
    yield "  # The first class is the background, or the negative one."
    yield f"  classes: {_flow(list(found.classes))}"
    if found.channels:
        yield "  # All images of a case; `inputs` of teacher and student say who sees which where they do not see the same."
        yield f"  channels: {_flow(list(found.channels))}"
    yield from _chosen("image_size", plan.image_size)
    yield from _chosen("intensity", plan.intensity)
    if plan.window is not None:
        yield from _chosen("window", plan.window)
    yield from _chosen("test_time_flips", plan.flips)
    if plan.spacing is not None:
        yield from _chosen("spacing_mm", plan.spacing)
        yield "  overlap: 0.5"


def _data(found: Fingerprint) -> Iterator[str]:
    yield "data:"
    yield "  # Below the folder that MEDKD_DATA names; `--set data.path=/whole/path` names any other."
    for name, value in found.fields.items():
        if value is not None:
            yield f"  {name}: {_flow(value)}"
    yield "  # Share of the training patients by which the teacher is judged before it is copied."
    yield "  inner_validation: 0.1"
    yield "# Students are trained once under each seed: intervals are over seeds and patients."
    yield "seeds: [0, 1]"


def _networks(found: Fingerprint, plan: RecipePlan) -> Iterator[str]:
    del found
    for role, network, rate in (("teacher", plan.teacher, 0.004), ("student", plan.student, 0.006)):
        if plan.kind == "classification":
            rate /= 2
        yield f"{role}:"
        yield f"  # {network.why}."
        yield f"  network: {{builder: {plan.builder}, options: {_flow(network.value)}}}"
        yield "  fit:"
        yield from _chosen("epochs", plan.epochs, 4)
        yield from _chosen("batch_size", plan.batch, 4)
        if plan.foreground is not None:
            yield from _chosen("foreground_share", plan.foreground, 4)
        yield f"    learning_rate: {rate:g}"
        yield from _chosen("augment", plan.augment, 4)
        if role == "teacher":
            yield "  terms:\n    - {loss: cross_entropy}"
            yield from _chosen("gate", plan.gate)


def _arms(plan: RecipePlan) -> Iterator[str]:
    if plan.kind == "segmentation":
        distilled = "      - {loss: cross_entropy}\n      - {loss: logit_kd, weight: 1.0, options: {temperature: 2.0, background: 0.1, dilation: 2}}"
        grid = max(4, min(16, min(plan.image_size.value) // 2))
        explained = f"      - {{loss: attribution_transfer, weight: 0.2, options: {{explainer: cam, grid: {grid}}}}}"
    else:
        distilled = "      - {loss: cross_entropy, weight: 0.5}\n      - {loss: logit_kd, weight: 1.0, options: {temperature: 4.0}}"
        explained = "      - {loss: attribution_transfer, weight: 1.0, options: {explainer: cam, grid: 8}}"
    yield "# The student alone is the control of both others."
    yield "arms:\n  alone:\n    terms:\n      - {loss: cross_entropy}"
    yield f"  kd:\n    terms:\n{distilled}"
    yield f"  kd_explanation:\n    terms:\n{distilled}\n{explained}"
    measures = "{name: relevance_mass_accuracy}, {name: pointing_game}, {name: cosine_agreement}, {name: model_parameter_randomisation}"
    yield f"explain:\n  explainers: [{{name: cam}}, {{name: grad_cam}}]\n  measures: [{measures}]\n  cases: 6"


def _chosen(field: str, decision: Decision, indent: int = 2) -> Iterator[str]:
    yield f"{' ' * indent}# {decision.why}."
    yield f"{' ' * indent}{field}: {_flow(decision.value)}"


def _flow(value: Any) -> str:
    """Return a value on one line, as YAML reads it: words that it would take for something else are quoted."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_flow(one) for one in value) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9_./-]*", value) and value.lower() not in (
        "true",
        "false",
        "null",
        "yes",
        "no",
        "on",
        "off",
        "y",
        "n",
    )
    return value if plain else json.dumps(value, ensure_ascii=False)
