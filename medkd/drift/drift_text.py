"""What a drift report says, as sentences and tables: counts, features and directions, and nobody's name."""

from __future__ import annotations

from data_contracts import DriftReport, FamilyDrift, FeatureFamily, MovedFeature, WindowDrift

#: What the families are called in sentences.
NOUNS = {
    FeatureFamily.IMAGES: "the images",
    FeatureFamily.PREDICTIONS: "the predictions",
    FeatureFamily.ATTRIBUTION: "the reasons (attribution)",
}


def waiting_text(waiting: int, wanted: int) -> str:
    """Return that a window is not complete."""
    return f"too few studies: {waiting} of {wanted}"


def report_sentence(report: DriftReport) -> str:
    """Return the last window in a sentence; how many studies are missing where there is no window."""
    if not report.windows:
        return waiting_text(report.waiting, report.window_studies)
    return window_sentence(report.windows[-1], report.alarm_rate)


def window_sentence(window: WindowDrift, alarm_rate: float) -> str:
    """Return one window in a sentence: which family moved first, by which features, and which did not move."""
    begin = f"window {window.number} ({window.studies} studies of {window.patients} patients)"
    families = {one.family: one for one in window.families}
    if window.first_family is None:
        return f"{begin}: no drift at {rate_text(alarm_rate)}; {_still(list(families.values()))}{_performance(window)}"
    first = families[window.first_family]
    others = [one for family, one in families.items() if family is not window.first_family]
    moved, still = [one for one in others if one.moved], [one for one in others if not one.moved]
    parts = [f"{NOUNS[first.family]} moved first: {_features(first)}"]
    parts += [f"{NOUNS[one.family]} moved too: {_features(one)}" for one in moved]
    parts += [_still(still)] if still else []
    return f"{begin}: drift at {rate_text(alarm_rate)}; {'; '.join(parts)}{_performance(window)}"


def rate_text(alarm_rate: float) -> str:
    """Return a rate as 1 in so many windows."""
    return f"an alarm rate of 1 in {1 / alarm_rate:.4g} windows"


def _still(families: list[FamilyDrift]) -> str:
    return "; ".join(f"{NOUNS[one.family]} did not move (p {p_text(one.p)})" for one in families)


def _features(one: FamilyDrift) -> str:
    return f"{', '.join(feature_text(row) for row in one.moved[:3])} (p {p_text(one.p)})"


def feature_text(row: MovedFeature) -> str:
    """Return a feature with its direction and both medians."""
    medians = "" if row.reference is None or row.window is None else f" from {row.reference:.3g} to {row.window:.3g}"
    return f"{row.name} {row.direction}{medians}"


def p_text(p: float) -> str:
    """Return a p-value with as many figures as it has."""
    return f"{p:.2f}" if p >= 0.1 else f"{p:.2g}"


def _performance(window: WindowDrift) -> str:
    if window.performance is None:
        return ""
    found = window.performance
    return f"; estimated {found.measure} {found.window:.2f} ({found.reference:.2f} in the reference, by {found.method.upper()})"


def drift_rows(report: DriftReport) -> list[dict[str, str | int]]:
    """Return a row per window: studies, p of each family, what moved first, by what."""
    rows: list[dict[str, str | int]] = []
    for window in report.windows:
        families = {one.family: one for one in window.families}
        first = None if window.first_family is None else families[window.first_family]
        rows.append(
            {
                "window": window.number,
                "studies": window.studies,
                "patients": window.patients,
                **{f"p {family.value}": p_text(one.p) for family, one in families.items()},
                "first": "" if first is None else first.family.value,
                "moved": "" if first is None or not first.moved else feature_text(first.moved[0]),
            }
        )
    return rows


def drift_markdown(report: DriftReport) -> str:
    """Return a report as Markdown: the sentence of the last window, the table of all, how thresholds were set."""
    rows = drift_rows(report)
    lines = [f"# Drift of {report.model}", "", report_sentence(report), ""]
    if rows:
        lines += ["| " + " | ".join(rows[0]) + " |", "|" + " --- |" * len(rows[0])]
        lines += ["| " + " | ".join(str(value) for value in row.values()) + " |" for row in rows]
        lines += [""]
    lines.append(
        f"Clean windows raise an alarm in at most 1 of {1 / report.alarm_rate:.4g}, over all families: half of that rate for the window alone "
        f"(permutation by patients, {report.permutations} times), half for the evidence gathered over windows. "
        f"{report.waiting} of {report.window_studies} studies wait for the next window. Labels were not used."
    )
    return "\n".join(lines) + "\n"
