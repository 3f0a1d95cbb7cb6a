"""Quality counts every true pair, found or not."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.identity.evaluation import measure_quality

Labels = list[tuple[int, int]]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=25))
def test_pairs_are_those_that_a_plain_count_finds(labels: Labels) -> None:
    quality = measure_quality([found for found, _ in labels], [truth for _, truth in labels])
    pairs = list(combinations(labels, 2))
    assert quality.true_pairs == sum(a[1] == b[1] for a, b in pairs)
    assert quality.found_pairs == sum(a[0] == b[0] for a, b in pairs)
    assert quality.correct_pairs == sum(a == b for a, b in pairs)
    for share in (quality.precision, quality.recall, quality.f1, quality.b_cubed_f1):
        assert 0 <= share <= 1


def test_the_example_of_the_b_cubed_paper() -> None:
    """Bagga and Baldwin 1998: 1-5 | 6-12 in truth 1-5 | 6, 7 | 8-12."""
    truth = [1] * 5 + [2] * 2 + [3] * 5
    found = [1] * 5 + [2] * 7
    quality = measure_quality(found, truth)
    assert quality.b_cubed_precision == pytest.approx(16 / 21)
    assert quality.b_cubed_recall == 1
    assert "F1" in str(quality)


def test_everything_right_and_everything_missed() -> None:
    assert measure_quality(["a", "a", "b"], [1, 1, 2]).f1 == 1
    assert measure_quality(["a", "b", "c"], [1, 1, 1]).f1 == 0
    assert measure_quality([], []).f1 == 1
    with pytest.raises(ValueError, match="2 labels"):
        measure_quality(["a", "b"], [1])
