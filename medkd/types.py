"""Shape vocabulary. ``*space`` is (row, column) in 2D and (slice, row, column) in 3D; batch comes first, then channel."""

from __future__ import annotations

from typing import TypeAlias

from jaxtyping import Bool, Float, Int
from torch import Tensor

Images: TypeAlias = Float[Tensor, "batch channel *space"]
Logits: TypeAlias = Float[Tensor, "batch classes *space"]
FeatureMap: TypeAlias = Float[Tensor, "batch features *grid"]
#: [batch, *space]; of several targets at once [batch, targets, *space].
AttributionMap: TypeAlias = Float[Tensor, "batch *targets_and_space"]
#: [batch]; of several targets at once [batch, targets].
Scores: TypeAlias = Float[Tensor, "batch *targets"]
Scalar: TypeAlias = Float[Tensor, ""]
Labels: TypeAlias = Int[Tensor, "batch"]
Masks: TypeAlias = Int[Tensor, "batch *space"]
Weights: TypeAlias = Float[Tensor, "batch *space"]
Inside: TypeAlias = Bool[Tensor, "batch *space"]
#: An option that may be a number or, where it is learnt, a scalar tensor.
Number: TypeAlias = float | Tensor
