"""Power: against scipy's noncentral t, against a simulation, and monotone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from search.power.welch import detectable_lead, noncentrality, power_of, seeds_for_lead

SPREADS = st.floats(1e-4, 0.2)


def test_a_published_sample_size() -> None:
    """Cohen (1988): an effect of one standard deviation takes 17 a group at two-sided 5 % and 80 %; half of one, 64."""
    assert seeds_for_lead(1.0, sd=1.0) == 17
    assert seeds_for_lead(0.5, sd=1.0) == 64


@pytest.mark.parametrize("seeds", [2, 3, 5, 10, 40])
@pytest.mark.parametrize(("power", "error"), [(0.8, 0.025), (0.5, 0.025), (0.99, 0.001)])
def test_a_detectable_lead_is_detected_with_that_power(seeds, power, error) -> None:
    lead = detectable_lead(seeds, 0.015, power, error)
    assert power_of(lead, seeds, 0.015, error) == pytest.approx(power, abs=1e-9)
    # never less than the test that knows the spreads to be equal, and nearly that with many seeds
    df = 2 * seeds - 2
    assert power < stats.nct.sf(stats.t.isf(error, df), df, lead / (0.015 * (2 / seeds) ** 0.5))
    known = noncentrality(df, power, error) * 0.015 * (2 / seeds) ** 0.5
    assert seeds < 40 or lead == pytest.approx(known, rel=0.001)


def test_the_noncentral_t_says_the_same() -> None:
    for df, power, error in itertools.product((2, 9, 60), (0.5, 0.8), (0.025, 0.1)):
        centre = noncentrality(df, power, error)
        assert stats.nct.sf(stats.t.isf(error, df), df, centre) == pytest.approx(power, abs=1e-6)


@pytest.mark.parametrize(("seeds", "lead"), [(2, 4.0), (3, 2.0), (5, 1.5), (10, 1.0)])
def test_welchs_test_has_that_power(seeds, lead) -> None:
    rng = np.random.default_rng(seeds)
    ours, theirs = rng.normal(lead, 1, (20000, seeds)), rng.normal(0, 1, (20000, seeds))
    p = stats.ttest_ind(ours, theirs, axis=1, equal_var=False, alternative="greater").pvalue
    assert np.mean(p < 0.025) == pytest.approx(power_of(lead, seeds, 1.0), abs=0.015)  # four standard errors


@given(seeds=st.integers(2, 200), sd=SPREADS)
def test_more_seeds_detect_less_and_more_spread_hides_more(seeds, sd) -> None:
    lead = detectable_lead(seeds, sd)
    assert detectable_lead(seeds + 1, sd) < lead < detectable_lead(seeds, 1.01 * sd)
    assert lead < detectable_lead(seeds, sd, power=0.9)
    assert lead < detectable_lead(seeds, sd, error=0.01)


@given(lead=st.floats(0.005, 0.1), sd=SPREADS)
def test_seeds_for_a_lead_are_the_fewest_that_do(lead, sd) -> None:
    seeds = seeds_for_lead(lead, sd=sd)
    assert seeds >= 2
    assert detectable_lead(seeds, sd) <= lead
    assert seeds == 2 or detectable_lead(seeds - 1, sd) > lead


def test_without_any_spread_two_seeds_detect_everything() -> None:
    assert detectable_lead(2, 0.0) == 0
    assert seeds_for_lead(0.001, sd=0.0) == 2
    assert (power_of(0.001, 2, 0.0), power_of(0.0, 2, 0.0)) == (1, 0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: detectable_lead(1, 0.01),
        lambda: detectable_lead(3, -0.01),
        lambda: detectable_lead(3, float("nan")),
        lambda: detectable_lead(3, 0.01, power=0.01),
        lambda: detectable_lead(3, 0.01, power=1.0),
        lambda: seeds_for_lead(0.0, sd=0.01),
        lambda: seeds_for_lead(1e-9, sd=1.0),
    ],
)
def test_what_has_no_answer(call) -> None:
    with pytest.raises(ValueError, match="must"):
        call()
