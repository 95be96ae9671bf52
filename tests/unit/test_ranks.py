"""The measure of how well two samples can be told apart."""

import random
from itertools import product

import pytest

from benchmarks.ranks import auc


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [([1.0], [2.0], 0.0), ([2.0], [1.0], 1.0), ([1.0], [1.0], 0.5), ([1.0, 3.0], [2.0, 2.0], 0.5)],
)
def test_small_samples(one: list[float], other: list[float], expected: float) -> None:
    assert auc(one, other) == expected


def test_it_is_the_share_of_pairs_in_which_the_one_is_greater() -> None:
    chance = random.Random(1)
    one, other = ([float(chance.randrange(20)) for _ in range(size)] for size in (37, 23))

    greater = sum((a > b) + (a == b) / 2 for a, b in product(one, other))

    assert auc(one, other) == pytest.approx(greater / (37 * 23))
