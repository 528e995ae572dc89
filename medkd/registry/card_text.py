"""What a person should know of a version, as Markdown: the description that MLflow shows beside it."""

from __future__ import annotations

from collections.abc import Iterator

from data_contracts import LossItem, LossStatement, ModelCard, Scorecard, Task, TaskKind, TrainingCost, TrainingDomain, has_served_form

#: Figures of a scorecard that a description lists; the whole table lies beside the version.
_MOST_FIGURES = 24
#: Losses that a description lists; the whole statement lies beside the version.
_MOST_LOSSES = 5


def card_text(card: ModelCard, scorecard: Scorecard, loss: LossStatement | None = None, cost: TrainingCost | None = None) -> str:
    """Return the model card as Markdown: use, task, figures with n and interval, what was lost, training data and cost, limits, how to load it."""
    return "\n".join(_lines(card, scorecard, loss, cost)) + "\n"


def loss_sentences(loss: LossStatement) -> tuple[str, ...]:
    """Return at most three sentences: what is surely lost, which cases changed sides, what was not measured."""
    sure = loss.sure_losses
    first = f"{sure[0].what}, {sure[0].teacher:.3f} to {sure[0].student:.3f}" if sure else ""
    found = [
        f"Of {loss.figures} figures that were compared with the teacher's, {len(sure)} are surely worse; first of them: {first}."
        if sure
        else f"Of {loss.figures} figures that were compared with the teacher's, none is surely worse.",
    ]
    if loss.answers is not None:
        a = loss.answers
        total = a.both + a.neither + a.lost + a.gained
        found.append(
            f"Of {total} cases the teacher alone answers {a.lost} right ({a.lost_patients} patients), the student alone {a.gained} "
            f"({a.gained_patients} patients)."
        )
    if loss.not_measured:
        missing = dict.fromkeys(one.axis.value.replace("_", " ") for one in loss.not_measured)
        found.append(f"Not measured, wholly or in part: {', '.join(missing)}.")
    return tuple(found)


def _lines(card: ModelCard, scorecard: Scorecard, loss: LossStatement | None, cost: TrainingCost | None) -> Iterator[str]:
    yield f"**{card.intended_use}**"
    yield ""
    yield f"{card.name}: a {card.role.value} of {card.parameters:,} parameters; {_task(card.task)}."
    if card.teacher is not None:
        named = [f"{one.uri} (manifest {one.manifest_digest[:12]})" for one in (card.teacher, *card.further_teachers)]
        yield f"It learned from {', '.join(named)}."
    yield ""
    yield f"| figure | mean | 95 % interval | n |\n|---|---|---|---|\n{_figures(scorecard)}"
    yield ""
    yield f"Figures are of all seeds of the arm; intervals: {scorecard.interval}. Cohort {scorecard.cohort_digest[:12]}."
    if loss is not None:
        yield ""
        yield " ".join(loss_sentences(loss))
        if loss.losses:
            yield ""
            yield f"| lost | teacher | student | worse by | 95 % interval | sure |\n|---|---|---|---|---|---|\n{_losses(loss.losses)}"
    if card.domain is not None:
        yield ""
        yield f"Trained on {_domain(card.domain)}."
    if cost is not None:
        yield ""
        yield cost.sentence()
    yield ""
    yield from _data(card)
    yield from (f"- {limit}" for limit in card.limits)
    yield ""
    yield "```python"
    if has_served_form(card.task):
        yield f'model = mlflow.pyfunc.load_model("models:/{card.name}/VERSION")'
        yield 'model.predict(pd.DataFrame({"dicom": ["study.zip"]}))  # path, or base64 text: a table of findings, SEG and page'
        seen = f" ({', '.join(card.task.image_names)})" if card.task.in_channels > 1 else ""
        shape = f"[n, {card.task.in_channels}, *space]{seen}"
        yield f'model.predict({{"image": images}})                      # float32 {shape}: logits, labels, class_map'
    else:
        yield f'network = medkd.load("models:/{card.name}/VERSION").network  # needs medkd and torch: no form of it is served'
        yield f"network(images)  # float32 [n, {card.task.in_channels}, *space]: {', '.join((*card.task.image_names, *card.task.clinical))}"
    yield "```"


def _data(card: ModelCard) -> Iterator[str]:
    """Yield what was trained on, under which terms, and by whose data; nothing of a card that does not say."""
    if card.data is not None:
        data = card.data
        yield f"Data: {data.name} ({data.kind}), <{data.address}>. Licence: {data.licence}. {data.attribution}"
        yield ""
    if card.series:
        named = "; ".join(f"{name}: {rule.text()}" for name, rule in card.series.items())
        yield f"Images of a DICOM study, all in one frame of reference: {named}."
        yield ""
    if card.structures == "anatomy":
        yield "It outlines anatomy, which everybody has: an outline says nothing of whether that is healthy."
        yield ""
    if card.patients:
        cases = sum(map(len, card.patients.values()))
        yield f"It was trained on {len(card.patients)} patients with {cases} cases, which `card.json` names as the data call them."
        yield ""


def _task(task: Task) -> str:
    what = {TaskKind.SEGMENTATION: "segments", TaskKind.CLASSIFICATION: "classifies", TaskKind.DETECTION: "finds boxes of"}[task.kind]
    size = " × ".join(map(str, task.image_size))
    named = task.classes[1] if task.kind is TaskKind.DETECTION else f"into {', '.join(task.classes)}"
    if task.case_classes:
        named += f", and each image as a whole into {', '.join(task.case_classes)}"
    within = "values standardised within the volume" + (", not clipped" if task.intensity == "z_score" else "")
    seen = f"windows {task.window[0]:g} to {task.window[1]:g}" if task.intensity == "window" else within
    spacing = "" if task.spacing_mm is None else f", resampled to {' × '.join(f'{step:g}' for step in task.spacing_mm)} mm"
    return f"it {what} {named}, {size} {'voxels' if task.spatial_dims == 3 else 'pixels'} at once, {seen}{spacing}"


def _figures(scorecard: Scorecard) -> str:
    rows = [
        f"| {name}{f' ({figure.unit})' if figure.unit else ''} | {figure.mean:.3f} | {figure.low:.3f} to {figure.high:.3f} | {figure.n} |"
        for name, figure in sorted(scorecard.figures.items())
    ]
    more = [f"| and {len(rows) - _MOST_FIGURES} more in scorecard.json | | | |"] if len(rows) > _MOST_FIGURES else []
    return "\n".join([*rows[:_MOST_FIGURES], *more])


def _losses(items: tuple[LossItem, ...]) -> str:
    rows = [
        f"| {item.what} | {item.teacher:.3f} | {item.student:.3f} | {item.loss.mean:.3f} | {item.loss.low:.3f} to {item.loss.high:.3f} "
        f"| {'yes' if item.sure else 'no'} |"
        for item in items[:_MOST_LOSSES]
    ]
    more = [f"| and {len(items) - _MOST_LOSSES} more in loss_statement.json | | | | | |"] if len(items) > _MOST_LOSSES else []
    return "\n".join([*rows, *more])


def _domain(domain: TrainingDomain) -> str:
    parts = [f"{', '.join(domain.modalities) or 'a modality that its source does not say'} in {', '.join(domain.units) or 'unknown units'}"]
    if domain.spacing_low_mm is not None and domain.spacing_high_mm is not None:
        parts.append(f"voxels of {_sizes(domain.spacing_low_mm)} to {_sizes(domain.spacing_high_mm)} mm")
    if domain.extent_low_mm is not None and domain.extent_high_mm is not None:
        parts.append(f"volumes of {_sizes(domain.extent_low_mm)} to {_sizes(domain.extent_high_mm)} mm")
    other = "refused" if domain.outside == "refuse" else "answered with a caveat"
    return f"{'; '.join(parts)}; studies of another modality or unit are {other}"


def _sizes(sizes: tuple[float, ...]) -> str:
    return " × ".join(f"{size:.3g}" for size in sizes)
