# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether events have become more frequent, or whether chance alone explains it: an exact test of two Poisson rates."""

from __future__ import annotations

import math

__all__ = ["binomial_tail", "chance_of_rise"]

_NEGLIGIBLE = 1e-17


def binomial_tail(least: int, trials: int, share: float) -> float:
    """Return the probability of ``least`` or more successes in ``trials`` trials that succeed with ``share``.

    Up to the mean the answer is 1.0, which is too much: it is never used there.
    """
    if least <= trials * share or least <= 0:
        return 1.0
    if least > trials or share <= 0:
        return 0.0
    logarithm = (
        math.lgamma(trials + 1)
        - math.lgamma(least + 1)
        - math.lgamma(trials - least + 1)
        + least * math.log(share)
        + (trials - least) * math.log1p(-share)
    )
    # Beyond the mean each term is smaller than the one before: the sum ends where nothing is added any more.
    odds = share / (1 - share)
    total = term = 1.0
    for successes in range(least, trials):
        term *= (trials - successes) / (successes + 1) * odds
        total += term
        if term < total * _NEGLIGIBLE:
            break
    return min(1.0, math.exp(logarithm + math.log(total)))


def chance_of_rise(before: int, after: int, exposure_before: float, exposure_after: float, *, clump: int = 1) -> float:
    """Return how likely chance alone makes ``after`` events or more, given ``before`` and no change of the rate.

    Given their sum, events of one rate fall into the second window with the share of its exposure (seconds, opens or
    segments): a binomial test that is exact for Poisson counts of any size (Przyborowski and Wilenski, Biometrika 31,
    1940). Who calls it a rise below a chance of 1 % is wrong in at most 1 % of the cases without a change.
    Events that come in clumps, as retransmissions of one lost window do, are counted by clumps, in doubt for chance.
    """
    if exposure_before <= 0 or exposure_after <= 0:
        return 1.0
    first, second = -(-before // clump), after // clump
    return binomial_tail(second, first + second, exposure_after / (exposure_before + exposure_after))
