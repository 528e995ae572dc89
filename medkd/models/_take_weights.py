"""Weights of another training put into a network that begins with them: by name, all or the encoder's, and said which."""

from __future__ import annotations

import re
from collections.abc import Mapping

import safetensors.torch
from torch import Tensor, nn

from data_contracts import KnowledgeError, StartingWeights, TakenWeights
from medkd.catalogue import NETWORKS
from medkd.storage.workspace import Workspace
from medkd.trace import layer_map_of


def encoder_names(network: nn.Module, builder: str) -> list[str]:
    """Return the names of a network's tensors that read the image: as the builder's file declares (``ENCODER``), else all but the head."""
    patterns = NETWORKS.entry(builder).fact("ENCODER")
    head = f"{layer_map_of(network).head}."
    names = list(network.state_dict())
    if patterns is None:
        return [name for name in names if not name.startswith(head)]
    return [name for name in names if any(re.match(pattern, name) for pattern in patterns)]


def take_weights(network: nn.Module, builder: str, start: StartingWeights, workspace: Workspace) -> TakenWeights:
    """Put starting weights into a network, in place, and return which were taken.

    Args:
        network: with a layer map.
        builder: its name in the catalogue.
        start: the weights, and which of them are asked for.
        workspace: whose store holds them.

    Raises:
        KnowledgeError: ``STARTING_WEIGHTS_MISMATCH`` naming the first layers that are missing or of another shape, where those are not skipped,
            and where nothing would be taken.
    """
    given = safetensors.torch.load_file(workspace.store.path(start.weights))
    known = network.state_dict()
    asked = encoder_names(network, builder) if start.layers == "encoder" else list(known)
    head = f"{layer_map_of(network).head}."
    if start.skip_head:
        asked = [name for name in asked if not name.startswith(head)]
    fitting = [name for name in asked if name in given and given[name].shape == known[name].shape]
    # A head of another number of classes begins at random, whatever is asked: it could not answer.
    wrong = [name for name in asked if name not in fitting and not name.startswith(head) and not name.endswith("num_batches_tracked")]
    if (wrong and start.mismatched == "refuse") or not fitting:
        first = ", ".join(_difference(name, given, known) for name in wrong[:3])
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise KnowledgeError(
            "STARTING_WEIGHTS_MISMATCH",
            f"expected the layers of {builder} in {start.source}, {len(fitting)} of {len(asked)} fit: {first}{more}; name weights of the same network, or set "
            "student.pretrained.mismatched: skip",
        )
    network.load_state_dict({**known, **{name: given[name].to(known[name].dtype) for name in fitting}})
    random = tuple(name for name in known if name not in fitting)
    return TakenWeights(source=start.source, sha256=start.weights.sha256, taken=tuple(fitting), random=random)


def _difference(name: str, given: Mapping[str, Tensor], known: Mapping[str, Tensor]) -> str:
    if name not in given:
        return f"{name} is missing"
    return f"{name} is {list(given[name].shape)} for {list(known[name].shape)}"
