from __future__ import annotations

import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from data_contracts import StoreError
from medkd.knowledge.codec import LogitCodec, _doubled, decode_channels, decode_plain, encode_channels, encode_plain


def smooth(*shape, seed=0, scale=8.0):
    """Return logits as networks make them: smooth fields that cross at borders."""
    coarse = torch.randn(1, shape[0], *(max(2, e // 6) for e in shape[1:]), generator=torch.Generator().manual_seed(seed))
    mode = "bilinear" if len(shape) == 3 else "trilinear"
    return scale * functional.interpolate(coarse, size=shape[1:], mode=mode, align_corners=False)[0]


@pytest.mark.parametrize("shape", [(2, 64, 64), (3, 20, 28, 24), (3, 35, 51, 33), (4, 17, 9)])
def test_what_comes_back_is_close_and_small(shape):
    logits, codec = smooth(*shape), LogitCodec()
    payload = codec.encode(logits)
    back = codec.decode(payload)
    log_p, log_q = logits.log_softmax(0), back.log_softmax(0)
    assert float((log_p.exp() * (log_p - log_q)).sum(0).mean()) < 1e-3
    assert float((logits.argmax(0) == back.argmax(0)).float().mean()) > 0.985
    assert float(back.sum(0).abs().max()) < 1e-4
    if np.prod(shape) > 10_000:
        assert len(payload) < logits.numel() * 4 / 8


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 5),
    st.lists(st.integers(1, 9), min_size=2, max_size=3),
    st.integers(0, 10_000),
    st.sampled_from([0.1, 1.0, 30.0, 1e4]),
)
def test_any_logits_come_back_finite_and_within_the_step_where_the_teacher_is_in_doubt(classes, space, seed, scale):
    logits = scale * torch.randn(classes, *space, generator=torch.Generator().manual_seed(seed))
    codec = LogitCodec(doubt=1e9)  # in doubt everywhere: the residual then reaches every voxel
    back = codec.decode(codec.encode(logits))
    assert back.shape == logits.shape
    assert bool(back.isfinite().all())
    level = logits - logits.mean(0, keepdim=True)
    reach = 127 * codec.residual_step / 2
    within = level.abs() < reach / 2
    if bool(within.all()):
        assert float((back - level)[:-1].abs().max()) <= codec.residual_step / 2 + 1e-4


def test_interpolation_in_integers_is_the_linear_one():
    for space in ((6, 7), (4, 5, 6)):
        grid = tuple(-(-e // 2) for e in space)
        base = torch.randint(-127, 128, (2, *grid), generator=torch.Generator().manual_seed(0), dtype=torch.int32)
        mode = "bilinear" if len(space) == 2 else "trilinear"
        size = tuple(2 * e for e in grid)
        expected = functional.interpolate(base[None].double(), size=size, mode=mode, align_corners=False)[0]
        places = (slice(None), *(slice(0, e) for e in space))
        torch.testing.assert_close(_doubled(base, space).double() / 4 ** len(space), expected[places])


def test_a_constant_per_voxel_is_not_kept_and_costs_nothing():
    logits, level = smooth(3, 16, 16), 50 * torch.randn(1, 16, 16, generator=torch.Generator().manual_seed(1))
    codec = LogitCodec()
    assert codec.encode(logits) == codec.encode(logits.double() + level.double())


def test_the_residual_is_what_makes_it_close():
    logits = smooth(3, 32, 32)
    figures = []
    for doubt in (0.0, 6.0):
        codec = LogitCodec(doubt=doubt)
        back, log_p = codec.decode(codec.encode(logits)), logits.log_softmax(0)
        figures.append(float((log_p.exp() * (log_p - back.log_softmax(0))).sum(0).mean()))
    assert figures[1] < figures[0] / 3


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e6])
def test_channels_come_back_within_half_a_level_of_their_range(scale):
    values = scale * torch.randn(5, 6, 7, generator=torch.Generator().manual_seed(0))
    values[2] = 3 * scale  # a constant channel
    back = decode_channels(encode_channels(values))
    span = values.flatten(1).amax(1) - values.flatten(1).amin(1)
    assert bool(((back - values).abs().flatten(1).amax(1) <= span / 255 / 2 * 1.01 + 1e-30).all())


def test_a_vector_comes_back_bit_for_bit():
    values = torch.randn(7)
    assert torch.equal(decode_plain(encode_plain(values)), values)


def test_what_is_not_packed_knowledge_is_refused():
    payload = bytearray(LogitCodec().encode(smooth(2, 8, 8)))
    payload[-6:] = b"\0" * 6
    with pytest.raises(StoreError) as caught:
        LogitCodec().decode(bytes(payload))
    assert caught.value.code == "KNOWLEDGE_UNREADABLE"
    assert isinstance(caught.value.__cause__, zlib.error)


def test_the_base_is_fitted_to_what_its_interpolation_gives(monkeypatch):
    """Plain means of blocks, interpolated, blur every border; the fitted base is closer everywhere."""
    from medkd.knowledge import codec as module

    logits, figures = smooth(3, 32, 32), []
    for rounds in (0, 4):
        monkeypatch.setattr(module, "ROUNDS", rounds)
        codec = LogitCodec(step=0.01, doubt=0.0)
        gap = codec.decode(codec.encode(logits.clamp(-1, 1))) - (logits.clamp(-1, 1) - logits.clamp(-1, 1).mean(0, keepdim=True))
        figures.append(float(gap.square().mean()))
    assert figures[1] < 0.8 * figures[0]
