import math

import pytest

from modules.samplers.beta_distribution import beta_cumulative, beta_quantile


@pytest.mark.parametrize("x", [1e-9, 0.01, 0.2, 0.5, 0.77, 0.999])
@pytest.mark.parametrize(
    ("alpha", "beta", "formula"),
    [
        (1.0, 1.0, lambda x: x),
        (2.0, 2.0, lambda x: x * x * (3 - 2 * x)),
        (0.5, 0.5, lambda x: 2 / math.pi * math.asin(math.sqrt(x))),
        (3.0, 1.0, lambda x: x**3),
        (1.0, 0.6, lambda x: -math.expm1(0.6 * math.log1p(-x))),
    ],
)
def test_cumulative_where_there_is_a_formula(alpha: float, beta: float, formula, x: float) -> None:
    assert beta_cumulative(x, alpha, beta) == pytest.approx(formula(x), rel=1e-12)


@pytest.mark.parametrize("alpha", [0.3, 0.6, 1.0, 5.0, 500.0])
@pytest.mark.parametrize("share", [0.001, 0.25, 0.5, 0.9, 0.999])
def test_quantile_is_the_inverse(alpha: float, share: float) -> None:
    assert beta_cumulative(beta_quantile(share, alpha, 0.6), alpha, 0.6) == pytest.approx(share, rel=1e-9)


def test_ends() -> None:
    assert (beta_quantile(0, 0.6, 0.6), beta_quantile(1, 0.6, 0.6)) == (0, 1)
