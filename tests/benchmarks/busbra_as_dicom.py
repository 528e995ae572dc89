"""BUS-BRA learnt from twice: as the PNG that it comes as, and as DICOM ultrasound with segmentations that this benchmark writes of it.

``MEDKD_DATA=... python -m tests.benchmarks.busbra_as_dicom --json``: every patient, one split of a fifth of them, a small teacher and a small
student for a few epochs (`tests/cohorts/as_dicom.py`). The last line is one JSON object: ``figures`` with ``pictures``, ``patients``, ``same_weights``
and ``same_figures`` (1 where digests and figures are equal), and the areas under the curve of teacher and student from either.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.command import asks_for_json
from tests.cohorts.as_dicom import busbra, same_training, write_twice

EVERYONE = 10**6


def main() -> None:
    quiet = asks_for_json(__doc__)
    folder = Path(os.environ.get("MEDKD_DATA", "data")) / "breast_us_busbra"
    if not folder.is_dir():
        sys.exit(f"expected the data set at {folder}, found none; set MEDKD_DATA to the folder that holds it")
    pictures = busbra(folder, EVERYONE)
    with tempfile.TemporaryDirectory(prefix="medkd-busbra-") as name:
        write_twice(Path(name), pictures)
        (png_weights, png), (dicom_weights, dicom) = same_training(Path(name))
    figures: dict[str, float] = {
        "pictures": len(pictures),
        "patients": len({one.person for one in pictures}),
        "same_weights": int(png_weights == dicom_weights),
        "same_figures": int(png == dicom),
    }
    for way, cards in (("png", png), ("dicom", dicom)):
        figures |= {f"auc_{subject.rpartition('/')[2]}_{way}": found["auc"].mean for subject, found in cards}
    if not quiet:
        for place, (one, other) in enumerate(zip(png_weights, dicom_weights, strict=True)):
            print(f"weights {place}: {one[:12]} from PNG, {other[:12]} from DICOM")
    print(json.dumps({"figures": figures, "n": len(pictures)}))


if __name__ == "__main__":
    main()
