"""Who reads reports needs no torch: the review server runs without it."""

from __future__ import annotations

import subprocess
import sys

_BLOCKED = """
import sys
for name in ("torch", "mlflow", "monai"):
    sys.modules[name] = None
import medkd.review.compose_report, medkd.review.picture, medkd.review.render_html, medkd.review.reduce_pictures, medkd.review.render_index
print("rendered")
"""


def test_pages_are_rendered_without_torch():
    ended = subprocess.run([sys.executable, "-c", _BLOCKED], capture_output=True, text=True, timeout=120, check=False)
    assert ended.stdout == "rendered\n", ended.stderr
