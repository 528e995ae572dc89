"""How tests begin Debian's chromium."""

from __future__ import annotations

#: Without a GPU, without WebGL, and without anything that asks the network by itself.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-3d-apis",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
