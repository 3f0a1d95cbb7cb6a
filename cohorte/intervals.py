"""How sure a share is."""

from __future__ import annotations

from math import sqrt

Z = 1.959964
"""How many standard errors lie on each side of 95 in 100."""


def likely_range(part: int, whole: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share; from 0 to 1 of nothing."""
    if not whole:
        return 0.0, 1.0
    share = part / whole
    middle = share + Z * Z / (2 * whole)
    half = Z * sqrt(share * (1 - share) / whole + Z * Z / (4 * whole * whole))
    scale = 1 + Z * Z / whole
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)
