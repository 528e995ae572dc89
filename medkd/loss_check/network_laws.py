"""Laws of the networks: the teacher stays as it was, and both are given back as they came."""

from __future__ import annotations

import torch
from torch import nn

from medkd.loss_check.asking import Case
from medkd.loss_check.verdict import LawVerdict, held, verdict

TEACHER, GIVEN_BACK = "the teacher is never changed", "both networks are given back as they came"


def teacher_unchanged(case: Case) -> LawVerdict:
    """Its weights and statistics stay, and no gradient reaches it."""
    student = case.setting.network(0).train()
    before = {name: value.clone() for name, value in case.teacher.state_dict().items()}
    for parameter in case.teacher.parameters():
        parameter.grad = None
    value = case.value(student)
    if value.requires_grad:
        value.backward()
    changed = [name for name, old in before.items() if not torch.equal(old, case.teacher.state_dict()[name])]
    reached = [name for name, parameter in case.teacher.named_parameters() if parameter.grad is not None and bool(parameter.grad.any())]
    case.teacher.load_state_dict(before)
    _restore(case.teacher)
    if changed:
        return verdict(
            TEACHER,
            "broken",
            f"{changed[0]} of the teacher changed while the loss was computed: ask it in eval mode and do not write to it",
        )
    return held(
        TEACHER,
        not reached,
        "weights and statistics stay, no gradient reaches it",
        f"a gradient reaches {len(reached)} of its tensors ({reached[0] if reached else ''} first): ask the teacher under torch.no_grad(), or detach its answers",
    )


def given_back(case: Case) -> LawVerdict:
    """Modes, flags and hooks of both networks are as before."""
    student = case.setting.network(0).train()
    before = {who: _state(network) for who, network in (("student", student), ("teacher", case.teacher))}
    case.raw(student)
    after = {who: _state(network) for who, network in (("student", student), ("teacher", case.teacher))}
    found = [f"{what} of the {who}" for who in before for what in before[who] if before[who][what] != after[who][what]]
    _restore(case.teacher)
    return held(
        GIVEN_BACK,
        not found,
        "modes, gradient flags and hooks are as before",
        f"changed and not put back: {', '.join(found)}; every further step of training runs with that",
    )


def _state(network: nn.Module) -> dict[str, object]:
    return {
        "the mode (train, eval)": [module.training for module in network.modules()],
        "gradient flags": [parameter.requires_grad for parameter in network.parameters()],
        "hooks": [
            len(module._forward_hooks) + len(module._forward_pre_hooks) + len(module._backward_hooks) for module in network.modules()
        ],
    }


def _restore(teacher: nn.Module) -> None:
    """Leave the next law a teacher as it should be."""
    teacher.eval().requires_grad_(True)
    teacher.zero_grad()
    for module in teacher.modules():
        for hooks in (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks):
            hooks.clear()
