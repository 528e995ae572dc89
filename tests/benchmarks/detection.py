"""What a detector learns from a teacher: ``python -m tests.benchmarks.detection --json``, some minutes on one core.

The recipe ``detection.yaml`` (phantom, none to three lesions a case): ``cpm_ARM`` is the mean sensitivity at 1/8 to 8 false positives per image,
``ap10_ARM`` the average precision of boxes that overlap by a tenth, ``ap50_ARM`` by half; ``kd_minus_alone`` and the like are paired differences of
the CPM with 95 % intervals over seeds and patients.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from medkd.storage.workspace import local_workspace
from tests.benchmarks.recipe_figures import figures_of, show, trained

WANTED = {"cpm": "cpm", "ap10": "ap_10", "ap50": "ap_50", "agreement": "agreement", "mass": "relevance_mass_accuracy"}
PAIRS = (("kd", "alone"), ("kd_explanation", "alone"), ("kd_explanation", "kd"))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = local_workspace(Path(folder))
        figures = figures_of(trained("detection.yaml", workspace), workspace, WANTED, PAIRS)
    for arm, baseline in PAIRS:
        for end in ("", "_low", "_high"):
            figures[f"{arm}_minus_{baseline}{end}"] = figures.pop(f"cpm_{arm}_minus_{baseline}{end}")
    show(figures, given.json)


if __name__ == "__main__":
    main()
