"""medkd: distil and explain medical imaging models. Research use only.

``import medkd`` is light; its functions (:mod:`medkd.api`, ``docs/python_api.md``) bring torch and the readers with them when they are
first asked for. Everything below this package makes sense without an orchestrator and never imports prefect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medkd.api import (
        Explanation,
        MedkdError,
        Model,
        Prediction,
        Recipe,
        check_recipe,
        deidentify,
        distill,
        entries,
        evaluate,
        ingest,
        install_models,
        load,
        promote,
        read_recipe,
        rollback,
        search_models,
        write_phantom,
    )

__version__ = "0.1.0"
__all__ = [
    "Explanation",
    "MedkdError",
    "Model",
    "Prediction",
    "Recipe",
    "__version__",
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


def __getattr__(name: str) -> Any:
    """Return a name of the API, which is imported when it is first asked for (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    from medkd import api

    found = getattr(api, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Return the names of the API."""
    return sorted({*globals(), *__all__})
