"""What a person should know of a version, as Markdown: the description that MLflow shows beside it."""

from __future__ import annotations

from collections.abc import Iterator

from data_contracts import ModelCard, Scorecard, Task, TaskKind, TrainingDomain

#: Figures of a scorecard that a description lists; the whole table lies beside the version.
_MOST_FIGURES = 24


def card_text(card: ModelCard, scorecard: Scorecard) -> str:
    """Return the model card as Markdown: use, task, figures with n and interval, what it was trained on, limits, how to load it."""
    return "\n".join(_lines(card, scorecard)) + "\n"


def _lines(card: ModelCard, scorecard: Scorecard) -> Iterator[str]:
    yield f"**{card.intended_use}**"
    yield ""
    yield f"{card.name}: a {card.role.value} of {card.parameters:,} parameters; {_task(card.task)}."
    if card.teacher is not None:
        yield f"It learned from {card.teacher.uri} (manifest {card.teacher.manifest_digest[:12]})."
    yield ""
    yield f"| figure | mean | 95 % interval | n |\n|---|---|---|---|\n{_figures(scorecard)}"
    yield ""
    yield f"Figures are of all seeds of the arm; intervals: {scorecard.interval}. Cohort {scorecard.cohort_digest[:12]}."
    if card.domain is not None:
        yield ""
        yield f"Trained on {_domain(card.domain)}."
    yield ""
    yield from (f"- {limit}" for limit in card.limits)
    yield ""
    yield "```python"
    yield f'model = mlflow.pyfunc.load_model("models:/{card.name}/VERSION")'
    yield 'model.predict(pd.DataFrame({"dicom": ["study.zip"]}))  # path, or base64 text: a table of findings, SEG and page'
    yield 'model.predict({"image": images})                      # float32 [n, 1, *space]: logits, labels, class_map'
    yield "```"


def _task(task: Task) -> str:
    what = "segments" if task.kind is TaskKind.SEGMENTATION else "classifies"
    size = " × ".join(map(str, task.image_size))
    seen = f"windows {task.window[0]:g} to {task.window[1]:g}" if task.intensity == "window" else "values standardised within the volume"
    spacing = "" if task.spacing_mm is None else f", resampled to {' × '.join(f'{step:g}' for step in task.spacing_mm)} mm"
    return f"it {what} into {', '.join(task.classes)}, {size} {'voxels' if task.spatial_dims == 3 else 'pixels'} at once, {seen}{spacing}"


def _figures(scorecard: Scorecard) -> str:
    rows = [
        f"| {name}{f' ({figure.unit})' if figure.unit else ''} | {figure.mean:.3f} | {figure.low:.3f} to {figure.high:.3f} | {figure.n} |"
        for name, figure in sorted(scorecard.figures.items())
    ]
    more = [f"| and {len(rows) - _MOST_FIGURES} more in scorecard.json | | | |"] if len(rows) > _MOST_FIGURES else []
    return "\n".join([*rows[:_MOST_FIGURES], *more])


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
