"""What a registered version is, at a glance: for people and for programs."""

from __future__ import annotations

from typing import Any

from data_contracts import ModelCard, PromotionEvent, Role, Scorecard, load_record
from medkd.promotion.promote import verdicts_of
from medkd.promotion.version_records import read_version
from medkd.registry.interface import Registry


def show_version(registry: Registry, uri: str) -> dict[str, Any]:
    """Return role, digests, aliases, teacher, figures, parity, calibration, explanations and verdicts of a version, every byte verified.

    Raises:
        RegistryError: ``MODEL_URI``, ``VERSION_UNKNOWN``, ``VERSION_ALTERED``.
    """
    model, folder = registry.fetch(uri)
    tags = registry.tags(model)
    shown: dict[str, Any] = {
        "model": model.uri,
        "role": model.role.value,
        "manifest_digest": model.manifest_digest,
        "weights_digest": model.weights_digest,
        "teacher": None if model.teacher is None else str(model.teacher),
        "aliases": sorted(alias for alias, version in registry.aliases(model.name).items() if version == model.version),
        "verdicts": verdicts_of(registry, model),
    }
    if model.role is Role.KNOWLEDGE:
        return shown
    records, failed = read_version(registry, model.uri), tags.get("medkd.failed_explainers", "none")
    calibration = records.calibration
    card = load_record(folder / "card.json", ModelCard) if (folder / "card.json").is_file() else None
    scorecard = load_record(folder / "scorecard.json", Scorecard) if (folder / "scorecard.json").is_file() else None
    return {
        **shown,
        "task": records.checkpoint.task.kind.value,
        "classes": list(records.checkpoint.task.classes),
        "parameters": records.checkpoint.parameters,
        "intended_use": None if card is None else card.intended_use,
        "structures": None if card is None else card.structures,
        "data": None if card is None or card.data is None else card.data.model_dump(),
        "patients": [] if card is None else sorted(card.patients),
        "figures": {} if scorecard is None else {name: figure.model_dump() for name, figure in sorted(scorecard.figures.items())},
        "serving_form": records.network is not None,
        "parity": {name: value for name, value in sorted(registry.metrics(model).items()) if name.startswith("parity_")},
        "calibration": None
        if calibration is None
        else {"method": calibration.method, "ece": _ece(calibration.ece_after), "reason": calibration.reason},
        "explanations": records.bundle_digest or None,
        "studies_explained": sum(tag.startswith("medkd.explanation.") for tag in tags),
        "failed_explainers": [] if failed == "none" else failed.split(","),
        "problems": list(records.problems),
    }


def _ece(figure: Any) -> float | None:
    return None if figure is None else float(figure.mean)


def _data_text(shown: dict[str, Any]) -> str:
    if shown["data"] is None:
        return "data that its recipe does not name"
    data, people = shown["data"], len(shown["patients"])
    return f"{data['name']} ({data['modality']}, {data['body_part']}), {data['licence']}" + (f"; {people} patients named" if people else "")


def version_text(shown: dict[str, Any]) -> str:
    """Return what :func:`show_version` found as text: a line each."""
    lines = {
        "aliases": ", ".join(shown["aliases"]) or "none",
        "role": shown["role"],
        "manifest": shown["manifest_digest"][:12],
        "teacher": shown["teacher"] or "none",
    }
    if "task" in shown:
        calibration, parity = shown["calibration"], shown["parity"]
        ece = "" if calibration is None or calibration["ece"] is None else f", expected calibration error {calibration['ece']:.3f}"
        lines |= {
            "task": f"{shown['task']} into {', '.join(shown['classes'])}; {shown['parameters']:,} parameters",
            "trained on": _data_text(shown),
            "form": ", ".join(f"{name} {value:.2g}" for name, value in parity.items()) or ("there" if shown["serving_form"] else "none"),
            "calibration": "none"
            if calibration is None
            else f"{calibration['method']}{ece}{calibration['reason'] and '; '}{calibration['reason']}",
            "explained": f"{(shown['explanations'] or 'no cohort')[:12]}, {shown['studies_explained']} studies",
            "failed": ", ".join(shown["failed_explainers"]) or "no explainer",
        }
        lines |= {"PROBLEM": "; ".join(shown["problems"])} if shown["problems"] else {}
    lines["verdicts"] = ", ".join(f"{short} {outcome}" for short, outcome in shown["verdicts"].items()) or "none"
    text = [shown["model"], *(f"  {name.ljust(12)}{value}" for name, value in lines.items())]
    for name, figure in shown.get("figures", {}).items():
        text.append(f"  {name.ljust(34)}{figure['mean']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]  n {figure['n']}")
    return "\n".join(text)


def event_text(event: PromotionEvent) -> str:
    """Return one line of the history of a name."""
    before = "no champion" if event.before is None else f"version {event.before}"
    by = f", verdict {event.verdict}" if event.verdict else ""
    return f"{event.number:4d}  {event.kind.ljust(10)} version {event.version} instead of {before}{by}{'' if event.done else ' (not finished)'}"
