"""A time for all explainers of a study: the closed-form map first, the cheapest next, and what does not fit left out with its reason."""

from __future__ import annotations

from collections.abc import Sequence

from data_contracts import Caveat, Entry
from medkd.explanation.defaults import LEFT_OUT as LEFT_OUT
from medkd.wording import require_neutral

#: The explainer in closed form, which one forward pass gives.
CLOSED_FORM = Entry(name="cam")
#: Passes that a map costs, about; of those with an option of that name the option says it, of all others ``_UNKNOWN``.
_PASSES = {
    "cam": 1,
    "layer_trace": 2,
    "grad_cam": 3,
    "hires_cam": 3,
    "seg_xres_cam": 3,
    "saliency": 3,
    "input_times_gradient": 3,
    "guided_backpropagation": 3,
    "attention_rollout": 3,
    "gap_attribution": 3,
}
_OPTIONS, _UNKNOWN = ("steps", "samples"), 64


def passes_of(entry: Entry) -> int:
    """Return how many passes through the network a map by an explainer costs, about."""
    if entry.name in _PASSES:
        return _PASSES[entry.name]
    given = next((entry.options[name] for name in _OPTIONS if name in entry.options), None)
    return 3 * int(given) if isinstance(given, int | float) else _UNKNOWN


class Budget:
    """What explainers were measured to cost, and whether the next one fits into the time that is left."""

    def __init__(self) -> None:
        self._seconds_a_pass = 0.0

    def order(self, entries: Sequence[Entry], *, closed_form: bool = True) -> tuple[Entry, ...]:
        """Return the explainers in the order of what they cost, the closed form first, whether it was asked for or not.

        Args:
            entries: that were asked for; none gives none.
            closed_form: whether the network has one.
        """
        others = [entry for entry in entries if entry.name != CLOSED_FORM.name or not closed_form]
        return (*([CLOSED_FORM] if entries and closed_form else []), *sorted(others, key=passes_of))

    def refuses(self, entry: Entry, left: float) -> str | None:
        """Return what an explainer that is left out needs and what is left, ``NAME NEEDED/LEFT`` in seconds; None where it is asked. The first one always is."""
        if not self._seconds_a_pass:
            return None
        needed = self._seconds_a_pass * passes_of(entry)
        if needed <= left:
            return None
        return f"{entry.name} {needed:.1f}/{max(left, 0.0):.1f}"

    def spent(self, entry: Entry, seconds: float) -> None:
        """Learn from what an explainer took, its tests included."""
        self._seconds_a_pass = seconds / passes_of(entry)


def left_out_caveats(left_out: Sequence[str], seconds: float | None) -> tuple[Caveat, ...]:
    """Return what a reader is told of explainers that were left out; nothing where none was."""
    if not left_out or seconds is None:
        return ()
    text = f"explainers left out of {seconds:g} s, with the seconds that each needs and those that were left: {', '.join(left_out)}."
    return (Caveat(code=LEFT_OUT, text=require_neutral(text), severity=1),)
