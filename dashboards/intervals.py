"""How sure a share is."""

from __future__ import annotations

from math import sqrt


def likely_range(part: int, whole: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share; from 0 to 1 of nothing."""
    if not whole:
        return 0.0, 1.0
    z = 1.96
    share = part / whole
    middle = (share + z * z / (2 * whole)) / (1 + z * z / whole)
    half = z * sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole)) / (1 + z * z / whole)
    return max(0.0, middle - half), min(1.0, middle + half)
