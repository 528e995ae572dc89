"""Networks and images that a loss is tried on: small enough for hundreds of passes a second, with a teacher that has learned something."""

from __future__ import annotations

import copy
import functools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from medkd.distillation.cross_entropy import cross_entropy
from medkd.trace import LayerMap, Sample, forked_rng, trace, with_layer_map

#: Cases of a batch (a multiple of the classes, so that the next case is of another class), and the image's extent along each axis by number of dimensions.
CASES = 6
EXTENT = {2: 16, 3: 12}
#: The lesion's extent: a tenth of a picture, a twenty-fifth of a volume. In one of a hundredth another patient's answers are nearly the same.
LESION = {2: 5, 3: 4}
_WIDTH, _TEACHER_STEPS, _STUDENT_STEPS = 6, 60, 10


class SmallNetwork(nn.Module):
    """An encoder that halves the grid, a body, and a linear head: behind the global average, or 1x1 at the image's grid.

    Activations are smooth: behind rectifiers the gradient of a gradient jumps, and no slope that is measured would be that of autograd.

    ``layer_map`` names the layers: ``encoder``, ``body`` (the last features), ``head``; of a segmentation ``deep_head`` too.
    """

    def __init__(self, task: str, spatial_dims: int, classes: int) -> None:
        super().__init__()
        self.segments = task == "segmentation"
        convolution, norm = (nn.Conv2d, nn.BatchNorm2d) if spatial_dims == 2 else (nn.Conv3d, nn.BatchNorm3d)
        self.encoder = nn.Sequential(
            *(convolution(1, _WIDTH, 3, padding=1), norm(_WIDTH), nn.SiLU()),
            *(convolution(_WIDTH, _WIDTH, 3, stride=2, padding=1), norm(_WIDTH), nn.SiLU()),
        )
        self.body = nn.Sequential(convolution(_WIDTH, _WIDTH, 3, padding=1), norm(_WIDTH), nn.SiLU())
        if self.segments:
            self.deep_head = convolution(_WIDTH, classes, 1)
        self.head = convolution(_WIDTH, classes, 1) if self.segments else nn.Linear(_WIDTH, classes, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits [batch, classes] or [batch, classes, *space] of an image [batch, 1, *space]."""
        features = self.encoder(image)
        if self.segments:
            self.deep_head(features)  # read by those who look at the layer
            features = functional.interpolate(features, size=image.shape[2:])
        features = self.body(features)
        logits: Tensor = self.head(features if self.segments else features.flatten(2).mean(2))
        return logits


@dataclass(frozen=True)
class Setting:
    """One kind of small networks: task, number of dimensions, number of classes."""

    task: str
    spatial_dims: int
    classes: int = 2

    def network(self, seed: int) -> SmallNetwork:
        """Return an untrained network in eval mode; each class of a segmentation is predicted somewhere."""
        with forked_rng(seed):
            network = SmallNetwork(self.task, self.spatial_dims, self.classes)
            for name, buffer in network.named_buffers():
                # Running statistics that a batch would not give: code that mixes the modes up is seen.
                if name.endswith("running_mean"):
                    buffer.normal_(0, 0.1)
        deep = ("deep_head",) if self.task == "segmentation" else ()
        with_layer_map(network, LayerMap(("encoder", "body"), "body", "head", deep_heads=deep, encoder=("encoder",)))
        return self._balanced(network.eval())

    def _balanced(self, network: SmallNetwork) -> SmallNetwork:
        if self.task == "segmentation":
            with torch.no_grad():
                mean = network(self.sample(99).image).transpose(0, 1).flatten(1).mean(1)
                bias = network.get_parameter("head.bias")
                bias.sub_(mean - mean.mean())
        return network

    def teacher(self) -> SmallNetwork:
        """Return a copy of a network that has learned the small task, in eval mode."""
        return copy.deepcopy(_trained(self, 7, _TEACHER_STEPS))

    def student(self, seed: int) -> SmallNetwork:
        """Return a copy of a network that has begun to learn it: where a term comes in during training."""
        return copy.deepcopy(_trained(self, seed, _STUDENT_STEPS))

    def sample(self, seed: int, cases: int = CASES) -> Sample:
        """Return a batch: noise with a square whose pattern goes with the class, labels, masks, and all else forbidden."""
        draw = torch.Generator().manual_seed(1000 + seed)
        extent = EXTENT[self.spatial_dims]
        space = (extent,) * self.spatial_dims
        image, masks = torch.randn(cases, 1, *space, generator=draw) * 0.3, torch.zeros(cases, *space, dtype=torch.uint8)
        wanted = torch.arange(cases) % self.classes if self.task == "classification" else 1 + torch.arange(cases) % (self.classes - 1)
        for row in range(cases):
            begin = torch.randint(1, extent // 2 + self.spatial_dims - 2, (self.spatial_dims,), generator=draw).tolist()
            place = tuple(slice(at, at + LESION[self.spatial_dims]) for at in begin)
            masks[row][place] = 1
        level = (2.0 - 1.5 * wanted if self.task == "classification" else 3.0 - 1.5 * wanted).view(-1, *(1,) * self.spatial_dims)
        image[:, 0] += masks * level
        labels = wanted if self.task == "classification" else masks.long() * wanted.view(-1, *(1,) * self.spatial_dims)
        return Sample(inputs={"image": image}, labels=labels, masks=masks, forbidden=(masks == 0).to(torch.uint8) * 100)


@functools.cache
def _trained(setting: Setting, seed: int, steps: int) -> SmallNetwork:
    """Return a network after some steps: the answers of one without any knowledge would hardly depend on the image."""
    network = setting.network(seed).train()
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
    for step in range(steps):
        sample = setting.sample(1000 * (seed + 10) + step, 12)
        optimiser.zero_grad()
        with torch.enable_grad():
            cross_entropy(trace(network, sample.inputs), None, sample).backward()
        optimiser.step()
    optimiser.zero_grad()
    return network.eval()


def with_other_patients(teacher: SmallNetwork) -> nn.Module:
    """Return a teacher that is asked about the next case of the batch in each case's place: its answers are real and belong to another patient."""
    other = copy.deepcopy(teacher)
    forward = type(teacher).forward
    # On the instance: hooks on its layers see the other patients too.
    vars(other)["forward"] = lambda image: forward(other, image.roll(1, 0))
    return other


def with_other_reasons(teacher: SmallNetwork, second: SmallNetwork, image: Tensor) -> nn.Module:
    """Return a network that answers about a batch as the teacher does, and is a second one in all else: layers, gradients, and answers about other images.

    Args:
        teacher: whose answers are given.
        second: an untrained network of the same kind; not changed.
        image: [batch, 1, *space], the batch.
    """
    other = copy.deepcopy(second)
    forward = type(second).forward
    with torch.no_grad():
        answers = teacher(image)

    def answer(asked: Tensor) -> Tensor:
        """Return what the second network answers, and of the batch's own images what the teacher does."""
        found = forward(other, asked)
        if asked.shape[1:] != image.shape[1:]:
            return found
        # Row by row: a loss may ask about a part of the batch. The teacher's value has the second's slope: what a gradient says is a reason too.
        same = (asked.detach().flatten(1)[:, None] == image.flatten(1)[None]).all(2)
        known = same.any(1).view(-1, *(1,) * (found.ndim - 1))
        return torch.where(known, answers[same.int().argmax(1)], found.detach()) + (found - found.detach())

    vars(other)["forward"] = answer
    return other
