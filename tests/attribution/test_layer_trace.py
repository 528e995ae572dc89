"""CKA against its definition by Gram matrices; the one channel that the head reads is found."""

import pytest
import torch

from medkd.attribution.layer_trace import layer_trace, linear_cka
from medkd.targets import class_margin
from medkd.trace import layer_map_of, trace


def by_gram(x, y):
    n = len(x)
    centre = torch.eye(n, dtype=torch.double) - 1 / n

    def hsic(a, b):
        return torch.trace(centre @ a @ centre @ b)

    k, m = x @ x.T, y @ y.T
    return hsic(k, m) / (hsic(k, k) * hsic(m, m)).sqrt()


def test_it_is_the_alignment_of_gram_matrices():
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(20, width, generator=generator, dtype=torch.double) for width in (4, 7))
    assert float(linear_cka(x, y)) == pytest.approx(float(by_gram(x, y)), rel=1e-9)
    turn = torch.linalg.qr(torch.randn(4, 4, generator=generator, dtype=torch.double))[0]
    assert float(linear_cka(x, 3 * x @ turn + 1)) == pytest.approx(1.0)
    assert bool(linear_cka(x, torch.ones(20, 3)).isnan())


def test_layers_of_student_and_teacher_stand_side_by_side(make_network, make_sample, task):
    if task != "classification":
        pytest.skip("one task is enough")
    student, teacher = make_network(0).eval(), make_network(1).eval()
    found = layer_trace(trace(student, make_sample(4).image), class_margin(1), teacher=teacher)
    assert found.layers == layer_map_of(student).feature_layers
    assert found.similarity.shape == (len(found.layers), len(found.teacher_layers))
    assert bool(((found.similarity >= 0) & (found.similarity <= 1 + 1e-9)).all())
    itself = layer_trace(trace(student, make_sample(4).image), class_margin(1))
    torch.testing.assert_close(itself.similarity.diagonal(), torch.ones(len(found.layers), dtype=torch.double))


def test_the_channel_that_the_head_reads_is_found(make_network, make_sample, task):
    if task != "classification":
        pytest.skip("one task is enough")
    network = make_network(0).eval()
    head = network.get_submodule(layer_map_of(network).head)
    images = make_sample(4).image
    with torch.no_grad():
        alive = int(
            trace(network, images, layers=(layer_map_of(network).cam_layer,))
            .feature(layer_map_of(network).cam_layer)
            .flatten(2)
            .sum((0, 2))
            .argmax()
        )
        head.weight.zero_()
        head.weight[:, alive] = torch.tensor([-1.0, 1.0])
    found = layer_trace(trace(network, images), class_margin(1), top=2)
    last = found.layers.index(layer_map_of(network).cam_layer)
    assert found.channels[last][0] == alive
    assert found.shares[last][0] == pytest.approx(1.0)
