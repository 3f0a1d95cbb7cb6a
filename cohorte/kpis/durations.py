"""Durations of which some are not over: what can be said of their median without leaving any out.

Leaving out what still waits makes a service look faster the further it falls behind. The curve of
Kaplan and Meier counts each wait for as long as it is known to have lasted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def survival(ended: Mapping[float, int], waiting: Mapping[float, int]) -> list[tuple[float, float]]:
    """The share still waiting after each duration at which something ended, in order.

    `ended` and `waiting` count what ended, and what still ran when last seen, by duration.
    """
    at_risk = sum(ended.values()) + sum(waiting.values())
    share, curve = 1.0, []
    for duration in sorted({*ended, *waiting}):
        over = ended.get(duration, 0)
        if over:
            share *= 1 - over / at_risk
            curve.append((duration, share))
        at_risk -= over + waiting.get(duration, 0)
    return curve


def quantile(curve: Sequence[tuple[float, float]], portion: float) -> float | None:
    """The duration by which a portion has ended; None while too little has."""
    return next(
        (duration for duration, share in curve if 1 - share >= portion - 1e-9),
        None,
    )
