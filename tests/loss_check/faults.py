"""Losses of other people, as files: a good one, and faults that were published."""

from __future__ import annotations

#: In a published notebook the map goes through numpy and back: no gradient of it reaches the student.
THROUGH_NUMPY = """
import numpy as np
import torch

def loss(student, teacher, images, labels):
    maps = [network.body(network.encoder(images)).mean(1) for network in (student, teacher)]
    student_map, teacher_map = (m.detach().cpu().numpy() for m in maps)
    return torch.tensor(np.square(student_map - teacher_map).mean())
"""

#: The same, and the number of numpy is returned as it is.
NUMBER_OF_NUMPY = """
import numpy as np

def loss(student, teacher, images, labels):
    maps = [network.body(network.encoder(images)).mean(1) for network in (student, teacher)]
    a, b = (m.detach().cpu().numpy() for m in maps)
    return np.square(a - b).mean()
"""

#: Written for pictures, and nothing says so; half of it reads as if it were general.
PICTURES_ALONE = """
import torch

def loss(student, teacher, images, labels):
    with torch.no_grad():
        wanted = teacher(images)
    rows, columns = images.shape[2:]
    return (wanted - student(images)).square().mean() * (rows / columns)
"""

#: Shrinks the weights, and bears no other batch than the first: what was broken before it crashes stays broken.
CRASHES_LATER = """
seen = []

def loss(student, teacher, images, labels):
    seen.append(images)
    assert bool((images == seen[0]).all()), "another batch"
    return sum(p.square().sum() for p in teacher.parameters()) + sum(p.sum() for p in student.parameters())
"""

#: A class map of the teacher's is matched: this is about its reasons.
MATCHES_MAPS = """
import torch

def loss(student, teacher, images, labels):
    with torch.no_grad():
        wanted = teacher.body(teacher.encoder(images)).mean(1)
    return (wanted - student.body(student.encoder(images)).mean(1)).square().mean()
"""

#: So is a saliency map, of the gradient of an answer.
MATCHES_GRADIENTS = """
import torch

def slope(network, images, graph):
    images = images.clone().requires_grad_()
    return torch.autograd.grad(network(images).square().sum(), images, create_graph=graph)[0]

def loss(student, teacher, images, labels):
    return (slope(student, images, True) - slope(teacher, images, False)).square().mean()
"""

#: The same beside a task term, which hides that the gradient is missing.
HIDDEN_BESIDE_A_TASK = THROUGH_NUMPY.replace("return torch", "return torch.nn.functional.cross_entropy(student(images), labels) + torch")

#: A term that is computed where no graph is kept.
UNDER_NO_GRAD = """
import torch

def loss(student, teacher, images, labels):
    with torch.no_grad():
        maps = [network.body(network.encoder(images)).mean(1) for network in (student, teacher)]
    gap = (maps[0] - maps[1]).square().mean()
    return gap.requires_grad_()
"""

#: Kullback-Leibler divergence, as everybody writes it.
GOOD = """
import torch

def loss(student, teacher, images, labels):
    with torch.no_grad():
        wanted = teacher(images).log_softmax(1)
    return (wanted.exp() * (wanted - student(images).log_softmax(1))).sum(1).mean()
"""

#: Shrinks the maps, whatever the teacher says.
REGULARISES = """
def loss(student, teacher, images, labels):
    return sum(p.square().sum() for p in student.parameters())
"""

#: The teacher is asked with its graph, and matched to the cases by their place in the batch.
LEAKS = """
def loss(student, teacher, images, labels):
    return (student(images)[0] - teacher(images)[1]).square().mean()
"""

#: In the catalogue's own form, with what its file declares.
OF_THE_CATALOGUE = """
TASKS = {"classification"}
NEEDS = {"teacher"}
MINIMUM_AT_TEACHER = True

def margin(student, teacher, sample, *, scale=1.0):
    return ((student.logits - teacher.logits()) * scale).square().mean()
"""

ENDLESS = "import time\n\ndef loss(student, teacher, images, labels):\n    time.sleep(3600)\n"
ENDS_THE_PROCESS = "import os\n\ndef loss(student, teacher, images, labels):\n    os._exit(7)\n"
