"""The quantile of the beta distribution, in plain floats: what the Beta schedule needs of a statistics library."""

import math


def beta_quantile(share: float, alpha: float, beta: float) -> float:
    """The value below which `share` (0 … 1) of a Beta(alpha, beta) distribution lies.

    The cumulative distribution rises strictly, so its inverse is found by halving; 60 halvings of [0, 1] leave less
    than the spacing of floats.
    """
    if share <= 0.0 or share >= 1.0:
        return min(max(share, 0.0), 1.0)
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if beta_cumulative(middle, alpha, beta) < share else (low, middle)
    return (low + high) / 2


def beta_cumulative(x: float, alpha: float, beta: float) -> float:
    """The regularised incomplete beta function Iₓ(alpha, beta) for 0 < x < 1.

    Source: NIST Digital Library of Mathematical Functions, 8.17.22 (continued fraction) and 8.17.4 (symmetry).
    """
    if x > (alpha + 1) / (alpha + beta + 2):  # beyond it the fraction converges slowly: 8.17.4
        return 1 - beta_cumulative(1 - x, beta, alpha)
    log_complete = math.lgamma(alpha) + math.lgamma(beta) - math.lgamma(alpha + beta)
    front = math.exp(alpha * math.log(x) + beta * math.log1p(-x) - log_complete) / alpha
    return front / _continued_fraction(x, alpha, beta)


def _continued_fraction(x: float, alpha: float, beta: float) -> float:
    """1 + d₁/(1 + d₂/(1 + …)), by the modified Lentz method."""
    tiny = 1e-300  # stands for a zero denominator
    value, above, below = 1.0, 1.0, 0.0
    for term in range(1, 2000):
        m = term // 2
        if term % 2:
            d = -(alpha + m) * (alpha + beta + m) * x / ((alpha + 2 * m) * (alpha + 2 * m + 1))
        else:
            d = m * (beta - m) * x / ((alpha + 2 * m - 1) * (alpha + 2 * m))
        below = 1 / (1 + d * below or tiny)
        above = 1 + d / above or tiny
        value *= above * below
        if abs(above * below - 1) < 1e-15:
            break
    return value
