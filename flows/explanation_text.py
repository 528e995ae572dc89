"""What is asked of a study on the command line, and what is said of its explanation: tables for people, a dictionary for machines."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import wrap
from typing import Any

from data_contracts import (
    Entry,
    ExplanationBundle,
    ExplanationRequest,
    Inspection,
    RecipeError,
    SanityCheck,
    Structures,
    StudyExplanation,
    load_record,
)
from medkd.explanation.defaults import first_findings
from medkd.explanation.wording import MASS_IN_WORDS, checks_text, measures_in_words, noun_of


def explanation_request(explainers: str, options: dict[str, Any], *, lesion: int | None, seconds: float | None) -> ExplanationRequest:
    """Return what the command line asks of a study: the first findings, or the one that is named.

    Args:
        explainers: names, with commas between; none are the default ones of the model's task.
        options: by ``EXPLAINER.OPTION``.
        lesion: number of the only lesion that is explained.
        seconds: time for all.

    Raises:
        RecipeError: ``RECIPE_OVERRIDE`` for an option of an explainer that is not asked.
    """
    names = tuple(dict.fromkeys(name.strip() for name in explainers.split(",") if name.strip()))
    if options and not names:
        raise RecipeError("RECIPE_OVERRIDE", f"expected --explainers with --set EXPLAINER.OPTION=VALUE, got {next(iter(options))!r} alone")
    own: dict[str, dict[str, Any]] = {name: {} for name in names}
    for key, value in options.items():
        name, dot, option = key.partition(".")
        if not dot or name not in own:
            raise RecipeError("RECIPE_OVERRIDE", f"expected --set EXPLAINER.OPTION=VALUE with one of {list(names)}, got {key!r}")
        own[name][option] = value
    entries = tuple(Entry(name=name, options=settings) for name, settings in own.items())
    return first_findings(*entries, lesion=lesion, seconds=seconds)


def explanation_summary(folder: Path) -> dict[str, Any]:
    """Return what `medkd explain-study …` --model … prints of an artefact."""
    record = load_record(folder / "explanation.json", StudyExplanation)
    maps = [
        {
            "id": one.digest(),
            "number": one.number,
            "explainer": one.method.explainer,
            "role": one.model_role,
            "measures": {measure.name: measure.value for measure in one.measures},
            "peaks": [peak.model_dump(mode="json") for peak in one.peaks],
        }
        for one in record.maps
    ]
    lesions = [
        {
            "number": one.number,
            "class": one.class_name,
            "volume_ml": one.volume_ml,
            "voxels": one.voxels,
            "explained": one.number in record.explained,
        }
        for one in record.lesions
    ]
    answers = [{**one.model_dump(mode="json"), "explained": one.number in record.explained} for one in record.answers]
    return {
        "ok": True,
        "explanation": record.digest(),
        "folder": str(folder),
        "model": f"{record.model.name}/{record.model.version}",
        "structures": record.structures,
        "trained_on": record.trained_on,
        "lesions": lesions,
        "answers": answers,
        "maps": maps,
        "sanity_reports": [sanity_report.model_dump(mode="json") for sanity_report in record.sanity_reports],
        "failed_explainers": list(record.failed_explainers),
        "mass": record.mass,
        "caveats": [caveat.model_dump(mode="json") for caveat in record.caveats],
        "previews": [str(path) for path in sorted((folder / "previews").glob("*.png"))],
        **json.loads((folder / "cost.json").read_text(encoding="utf-8")),
    }


#: Characters of a line of a study's tables.
NARROW = 100
#: Measures that the table of a study leaves out: they say nearly the same as their neighbours, and a line has a hundred characters.
_LEFT_OUT = ("pointing_game", "cosine_agreement")


def _shown(structures: Structures) -> dict[str, tuple[str, str]]:
    return {name: words for name, words in measures_in_words(structures).items() if name not in _LEFT_OUT}


def explanation_text(summary: dict[str, Any]) -> str:
    """Return the summary of an explained study as tables for people."""
    # What the model was not trained on stands before what it says.
    lines = [line for one in summary.get("caveats", ()) for line in wrap(f"{one['code']}: {one['text']}", NARROW, subsequent_indent="  ")]
    if not summary["lesions"] and not summary["answers"]:
        return "\n".join([*lines, f"nothing found by {summary['model']}: an answer, not a map", f"kept in {summary['folder']}"])
    for number, heading in _headings(summary):
        lines += ["\n" + heading, *_table([m for m in summary["maps"] if m["number"] == number and m["role"] == "student"])]
    lines += [
        "",
        *_legend(summary["maps"], summary["structures"]),
        f"  {MASS_IN_WORDS[summary['mass']]}",
        "",
        "tests of each explainer on this model",
    ]
    for sanity_report in summary["sanity_reports"]:
        made = sanity_report["samples"]
        text = checks_text([SanityCheck.model_validate(check) for check in sanity_report["checks"]], summary["structures"])
        text += f"; approximation: {made[1]} of {made[0]} samples in the time given" if made else ""
        lines += wrap(f"  {sanity_report['explainer'].ljust(24)}{text}", NARROW, subsequent_indent=" " * 26)
    lines.append(f"\nexplanation {summary['explanation'][:12]} ({summary['seconds']['all']:.0f} s), registered beside {summary['model']}")
    lines += [f"page           {summary['report']}"] if "report" in summary else []
    lines += [f"kept in        {summary['folder']}", f"pictures       {summary['folder']}/previews"]
    lines += [f"make it again  {summary['replay']}"] if "replay" in summary else []
    return "\n".join(lines)


def _headings(summary: dict[str, Any]) -> list[tuple[int, str]]:
    """Return number and heading of every lesion or answer."""
    found = []
    for lesion in (one for one in summary["lesions"] if one["explained"]):
        volume = "" if lesion["volume_ml"] is None else f", {lesion['volume_ml']:.2f} ml"
        found.append((lesion["number"], f"{noun_of(summary['structures'])} {lesion['number']}: {lesion['class']}{volume}"))
    for answer in (one for one in summary["answers"] if one["explained"]):
        first, last = answer["first_slice"] + 1, answer["last_slice"] + 1
        slices = f"slice {first}" if first == last else f"slices {first} to {last}, surest of {answer['key_slice'] + 1}"
        found.append(
            (answer["number"], f"answer {answer['number']}: {answer['class_name']} (probability {answer['probability']:.2f}), {slices}")
        )
    return found


def _table(maps: list[dict[str, Any]]) -> list[str]:
    """Return a row per map; measures that none of them has are left out."""
    columns = []
    for name, (heading, _) in _shown("lesion").items():
        values = [one["measures"].get(name) for one in maps]
        if any(name in one["measures"] for one in maps):
            cells = [heading, *("-" if value is None else f"{value:.2f}" for value in values)]
            columns.append([cell.rjust(1 + max(map(len, cells))) for cell in cells])
    peaks = [one["peaks"][0] if one["peaks"] else None for one in maps]
    in_space = all(peak is None or peak["position_lps_mm"] is not None for peak in peaks)
    highest = ["highest (LPS mm)" if in_space else "highest (row, column)", *map(_place, peaks)]
    names = ["explainer", *(one["explainer"] for one in maps)]
    return [f"  {name.ljust(23)}{''.join(cells)}  {place}" for name, place, *cells in zip(names, highest, *columns, strict=True)]


def _place(peak: dict[str, Any] | None) -> str:
    """Return where a map is highest: in the patient, of a picture the row and column."""
    if peak is None:
        return "nowhere"
    place = peak["position_lps_mm"]
    return f"{peak['voxel'][1]}, {peak['voxel'][2]}" if place is None else ", ".join(f"{mm:.0f}" for mm in place)


def _legend(maps: list[dict[str, Any]], structures: Structures) -> list[str]:
    """Return a line per column that the tables show."""
    shown = [text for name, text in _shown(structures).items() if any(name in one["measures"] for one in maps)]
    return [f"  {heading.ljust(9)}{meaning}" for heading, meaning in (*shown, ("highest", "where in the patient the map is highest"))]


#: Characters of a line of tables; more measures go below each other.
WIDEST = 150


def bundle_table(bundle: ExplanationBundle) -> str:
    """Return the measures of a cohort's maps with their intervals: a row per explainer, baselines last."""
    cells: dict[str, dict[str, str]] = {}
    for key, figure in bundle.figures.items():
        explainer, _, measure = key.partition("/")
        cells.setdefault(explainer, {})[measure] = f"{figure.mean:.3f} [{figure.low:.3f}, {figure.high:.3f}]"
    measures = list(dict.fromkeys(measure for row in cells.values() for measure in row))
    names = sorted(cells, key=lambda name: name.startswith("baseline_"))
    # An explainer whose maps gave no figure still has its verdict.
    first = max(map(len, (*cells, *(one.explainer for one in bundle.sanity_reports)))) + 2
    widths = {one: max(23, len(one) + 2, *(len(row.get(one, "")) + 2 for row in cells.values())) for one in measures}
    lines = [f"{bundle.subject}: maps of {len({e.case_key for e in bundle.explanations})} cases, 95 % intervals over patients"]
    while measures:
        fitting = [place for place in range(1, len(measures) + 1) if first + sum(widths[one] for one in measures[:place]) <= WIDEST]
        shown, measures = measures[: max(fitting, default=1)], measures[max(fitting, default=1) :]
        lines += ["", " " * first + "".join(one.rjust(widths[one]) for one in shown)]
        lines += [name.ljust(first) + "".join(cells[name].get(one, "-").rjust(widths[one]) for one in shown) for name in names]
    lines.append("")
    for sanity_report in bundle.sanity_reports:
        lines.append(f"{sanity_report.explainer.ljust(first)}{checks_text(sanity_report.checks)}")
    return "\n".join(lines)


#: Figures of an inspection that the table shows.
_FLIPS = {
    "minimal_perturbation_rms": "smallest change found that flips the answer",
    "boundary_rms": "change along the gradient that flips it",
    "flipped": "share of cases that could be flipped",
}


def inspection_text(inspection: Inspection) -> str:
    """Return an inspection as tables for people."""
    lines = [f"{inspection.subject} beside its teacher, {inspection.cases} cases, 95 % intervals over patients", ""]
    lines.append("layer".ljust(28) + "most like the teacher's".ljust(40) + "channels that carry most of the score")
    for layer, row in zip(inspection.layers, inspection.similarity, strict=True):
        known = [(value, name) for value, name in zip(row, inspection.teacher_layers, strict=True) if value is not None]
        value, name = max(known, default=(0.0, "none"))
        carried = ", ".join(f"{channel} ({share:.0%})" for channel, share in zip(layer.channels[:3], layer.shares[:3], strict=True))
        lines.append(layer.name.ljust(28) + f"{name} (CKA {value:.2f})".ljust(40) + carried)
    lines += ["", "root mean square change of a voxel (the window of the input is 2 wide)"]
    lines.append(" " * 46 + "student".ljust(26) + "teacher".ljust(26) + "student less teacher")
    for name, text in _FLIPS.items():
        cells = [inspection.figures.get(f"{role}/{name}") for role in ("student", "teacher", "difference")]
        lines.append(
            text.ljust(46) + "".join(("-" if f is None else f"{f.mean:.4f} [{f.low:.4f}, {f.high:.4f}]").ljust(26) for f in cells).rstrip()
        )
    return "\n".join(lines)
