"""Registered models: found, promoted, rolled back, installed, loaded."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from data_contracts import (
    ModelRef,
)
from data_contracts.private import privately
from medkd.api._model import Model
from medkd.api._paths import PathLike
from medkd.promotion.policy import read_policy
from medkd.promotion.promote import Promotion, Signatory, promote_signed
from medkd.promotion.rollback import Rollback
from medkd.promotion.rollback import rollback as _rollback
from medkd.registry.interface import ListedVersion, Registry
from medkd.registry.load_version import load_version
from medkd.registry.publish import open_registry
from medkd.registry.search_models import search_models as _search_models
from medkd.registry.server import require_registry
from medkd.released.install import install_released
from medkd.released.released_models import released_models
from medkd.storage.output import RUN, claim
from medkd.storage.workspace import Workspace, local_workspace


def search_models(query: str = "", *, run: PathLike | None = None, tracking_uri: str | None = None) -> tuple[ListedVersion, ...]:
    """Return the registered versions that fulfil a query, with their tags, figures and aliases; from the registry alone.

    Args:
        query: ``FIELD OP VALUE`` joined by ``and``, as ``medkd registry search`` takes it (:mod:`medkd.registry.search_query`); empty for all.
        run: folder of the run whose registry is searched.
        tracking_uri: MLflow tracking URI of the registry, instead of a run's own.

    Raises:
        RegistryError: there is no such registry; ``SEARCH_QUERY``, ``SEARCH_FIELD``, ``SEARCH_OPERATOR`` or ``SEARCH_VALUE`` of a query.

    Example:
        >>> [found.model.uri for found in medkd.search_models("teacher=first-teacher and arm=kd", run="runs/first")]
        ['models:/first-kd/1']
    """
    with _registry_of(run, tracking_uri) as registry:
        return _search_models(registry, query).versions


def promote(
    uri: str,
    *,
    to: Literal["candidate", "champion"] = "candidate",
    policy: PathLike | None = None,
    signatory: Signatory | None = None,
    run: PathLike | None = None,
    tracking_uri: str | None = None,
) -> Promotion:
    """Put a registered model to a promotion policy, keep the verdict beside it and move an alias to it.

    Args:
        uri: ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``.
        to: the alias; the champion needs a verdict that passed and a signatory.
        policy: YAML file; by default the policy that is shipped.
        signatory: who answers for the champion: ``medkd.promotion.promote.Signatory(name, role, statement)``.
        run: folder of the run whose registry holds it.
        tracking_uri: MLflow tracking URI of the registry, instead of a run's own.

    Returns:
        The version, its verdict (``promotion.verdict.checks``) and whether the alias moved.

    Raises:
        RegistryError: ``PROMOTION_REFUSED`` with the checks that fail and their figures; ``PROMOTION_UNSIGNED``; ``POLICY_INVALID``.

    Example:
        >>> promotion = medkd.promote("models:/first-kd/1", run="runs/first")
        >>> promotion.alias, promotion.model.version
        ('candidate', 1)
    """
    with _registry_of(run, tracking_uri) as registry:
        return promote_signed(registry, uri, read_policy(None if policy is None else Path(policy)), to=to, signatory=signatory)


def rollback(name: str, *, run: PathLike | None = None, tracking_uri: str | None = None) -> Rollback:
    """Make the previous champion of a name the champion again, once every byte of it and its lineage are verified.

    Args:
        name: of the registered model.
        run: folder of the run whose registry holds it.
        tracking_uri: MLflow tracking URI of the registry, instead of a run's own.

    Raises:
        RegistryError: ``NOTHING_TO_ROLL_BACK``, ``VERSION_ALTERED``, ``ROLLBACK_REFUSED``; nothing is moved then.

    Example:
        >>> medkd.rollback("first-kd", run="runs/first")
        Traceback (most recent call last):
            ...
        data_contracts.errors.RegistryError: expected first-kd to have a champion and a previous, …
    """
    with _registry_of(run, tracking_uri) as registry:
        return _rollback(registry, name)


@contextmanager
def _registry_of(run: PathLike | None, tracking_uri: str | None) -> Iterator[Registry]:
    """Open the registry of a run's folder, or of an URI."""
    where = _tracking_uri(run, tracking_uri)
    with tempfile.TemporaryDirectory(prefix="medkd-") as scratch:
        yield open_registry(Workspace(Path(scratch), where))


def _tracking_uri(run: PathLike | None, tracking_uri: str | None) -> str:
    """Return where a registry is, known to be there."""
    where = tracking_uri or f"sqlite:///{Path(run if run is not None else 'runs/demo').resolve() / 'mlflow.db'}"
    require_registry(where)
    return where


def install_models(*names: str, run: PathLike | None = None, tracking_uri: str | None = None) -> tuple[ModelRef, ...]:
    """Register trained models that come with the software, every byte verified; what is there already stays as it is.

    Args:
        names: of ``medkd models list``; all without.
        run: folder of the run whose registry takes them in, made where there is none; by default ``runs/demo``.
        tracking_uri: MLflow tracking URI of the registry, instead of a run's own.

    Returns:
        The students' versions. **Research use only.**

    Raises:
        RegistryError: ``RELEASED_UNKNOWN``, or ``RELEASED_ALTERED`` and ``EXPORT_ALTERED`` naming a file that is not as it was released.

    Example:
        >>> [model.name for model in medkd.install_models("hippocampus", run="runs/first")]
        ['hippocampus-kd_explanation']
    """
    wanted = released_models(names)
    with privately(), tempfile.TemporaryDirectory(prefix="medkd-") as scratch:
        if tracking_uri is None:
            workspace = local_workspace(claim(Path(run if run is not None else "runs/demo").resolve(), RUN))
        else:
            require_registry(tracking_uri)
            workspace = Workspace(Path(scratch), tracking_uri)
        return tuple(one.versions[-1].model for one in install_released(open_registry(workspace), wanted))


def load(uri: str, *, run: PathLike | None = None, tracking_uri: str | None = None) -> Model:
    """Return a registered model, every byte verified.

    Args:
        uri: ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``.
        run: folder of the run whose registry holds it.
        tracking_uri: MLflow tracking URI of the registry, instead of a run's own.

    Raises:
        RegistryError: there is no such registry or version, or it was altered.

    Example:
        >>> model = medkd.load("models:/first-kd/1", run="runs/first")
        >>> model.task.classes
        ('benign', 'malignant')
    """
    where = _tracking_uri(run, tracking_uri)
    with _registry_of(run, tracking_uri) as registry:
        reference, checkpoint, network, calibration, card = load_version(registry, uri)
    # By its version: an alias may move before the model is asked again.
    return Model(reference.uri, where, reference, checkpoint, network, calibration, card)
