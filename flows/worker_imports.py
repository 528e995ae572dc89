"""What every stage needs, imported before workers are forked from a process; nothing here may compute, start a thread or look at a GPU."""

from __future__ import annotations

import lightning_fabric  # noqa: F401
import monai.networks.nets  # noqa: F401

import medkd.training.train  # noqa: F401
