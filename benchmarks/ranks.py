"""Say how well two samples can be told apart."""

from collections.abc import Sequence
from itertools import groupby


def auc(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the chance that a value of `one` is the greater of a pair: the Mann-Whitney U over its maximum.

    0.5: nobody who sees a value can tell which sample it came from; 0.0 or 1.0: everybody can.
    """
    values = sorted([(value, 1) for value in one] + [(value, 0) for value in other])
    rank_sum, position = 0.0, 0
    for _, group in groupby(values, key=lambda pair: pair[0]):
        tied = [mine for _, mine in group]
        # Equal values share the mean of their ranks.
        rank_sum += sum(tied) * (position + (len(tied) + 1) / 2)
        position += len(tied)
    return (rank_sum - len(one) * (len(one) + 1) / 2) / (len(one) * len(other))
