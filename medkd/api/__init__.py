"""medkd in few names, for notebooks and other programs: ``import medkd``, then ``medkd.ingest``, ``medkd.distill``, ``medkd.load``.

Everything here is what the commands do, one step after another and without an orchestrator; what is written is written in the same places,
for its owner only, and can be gone on with by either. Errors are those of :mod:`data_contracts.errors`: a stable code and one sentence.
``docs/python_api.md`` shows each of them at work.
"""

from __future__ import annotations

from data_contracts import MedkdError, Recipe
from medkd.api._data import deidentify, ingest, write_phantom
from medkd.api._learning import check_recipe, distill, entries, read_recipe
from medkd.api._model import Explanation, Model, Prediction, evaluate
from medkd.api._registered import install_models, load, promote, rollback, search_models

__all__ = [
    "Explanation",
    "MedkdError",
    "Model",
    "Prediction",
    "Recipe",
    "check_recipe",
    "deidentify",
    "distill",
    "entries",
    "evaluate",
    "ingest",
    "install_models",
    "load",
    "promote",
    "read_recipe",
    "rollback",
    "search_models",
    "write_phantom",
]
