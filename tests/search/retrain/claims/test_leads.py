"""Leads and their intervals: against scipy, by hand, against plain loops, and their properties."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from search.retrain.claims import ERROR, Lead, Scores, lead_for_people, lead_on_split


def one_fold(values, identities=None, seeds=None) -> Scores:
    table = np.asarray(values, float)
    people = np.arange(table.shape[1]) if identities is None else np.asarray(identities)
    return Scores(np.arange(len(table)) if seeds is None else np.asarray(seeds), (people,), (table,))


def drawn(rng: np.random.Generator, seeds: int, people: np.ndarray, lead: float = 0.0) -> Scores:
    """Luck of a training, of a training with a person, and of a setting with a person."""
    persons = people.max() + 1
    values = rng.normal(size=(seeds, 1)) + rng.normal(size=(seeds, persons)) + 3 * rng.normal(size=(1, persons))
    noise = rng.normal(size=(seeds, len(people)))
    return Scores(np.arange(seeds), (people,), (lead + values[:, people] + noise,))


def standard_error(lead: Lead) -> float:
    assert lead.standard_error is not None
    return lead.standard_error


def test_on_a_split_it_is_welchs_test_of_seed_means(rng) -> None:
    people = np.repeat(np.arange(6), 2)
    ours, theirs = drawn(rng, 5, people, 1.0), drawn(rng, 4, people)
    lead = lead_on_split(ours, theirs)
    expected = stats.ttest_ind(ours.per_seed, theirs.per_seed, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert (lead.low, lead.high) == pytest.approx((interval.low, interval.high))
    assert lead.degrees == pytest.approx(expected.df)
    one_sided = stats.ttest_ind(ours.per_seed, theirs.per_seed, equal_var=False, alternative="greater")
    assert lead.p_value == pytest.approx(one_sided.pvalue)
    assert lead.difference == pytest.approx(ours.per_seed.mean() - theirs.per_seed.mean())
    assert (lead.seeds, lead.folds, lead.identities) == ((5, 4), 1, None)


def test_folds_are_averaged_and_never_counted_as_trainings(rng) -> None:
    people = np.arange(5)
    folds = [drawn(rng, 3, people) for _ in range(4)]
    ours = Scores(np.arange(3), (people,) * 4, tuple(fold.values[0] for fold in folds))
    lead = lead_on_split(ours, ours)
    assert ours.per_seed == pytest.approx(np.mean([fold.per_seed for fold in folds], axis=0))
    assert lead.degrees == pytest.approx(2 * (3 - 1))
    assert lead.standard_error == pytest.approx((2 * ours.per_seed.var(ddof=1) / 3) ** 0.5)


def test_for_people_by_hand() -> None:
    # theirs are 0 throughout; ours by seed (rows) and person:
    #   means of people 2, 4, so the lead is 3; means of seeds 2, 4; nothing is left over
    ours = one_fold([[1, 3], [3, 5]])
    lead = lead_for_people(ours, one_fold(np.zeros((2, 2))))
    # people: var(2, 4) / 2 = 1; seeds: var(2, 4) / 2 = 1; residual 0
    assert lead.difference == 3
    assert lead.standard_error == pytest.approx(2**0.5)
    assert lead.degrees == pytest.approx(2**2 / (1 / 1 + 1 / 1))
    assert lead.low == pytest.approx(3 - stats.t.ppf(0.975, 2) * 2**0.5)
    assert lead.p_value == pytest.approx(stats.t.sf(3 / 2**0.5, 2))


def test_for_people_what_one_training_does_to_one_person_is_counted_once(rng) -> None:
    """Against plain loops over the two-way layout."""
    persons = 7
    ours, theirs = (drawn(rng, seeds, np.arange(persons)) for seeds in (3, 4))
    across = np.var(ours.values[0].mean(0) - theirs.values[0].mean(0), ddof=1) / persons
    within = between = 0.0
    for scores in (ours, theirs):
        table = scores.values[0]
        seeds = len(table)
        between += np.var(table.mean(1), ddof=1) / seeds
        squares = sum(
            (table[s, i] - table[s].mean() - table[:, i].mean() + table.mean()) ** 2
            for s, i in itertools.product(range(seeds), range(persons))
        )
        within += squares / ((seeds - 1) * (persons - 1)) / (seeds * persons)
    assert standard_error(lead_for_people(ours, theirs)) ** 2 == pytest.approx(across + between - within)


def test_for_people_the_variance_is_unbiased() -> None:
    """Over many drawn runs its mean is the variance of the leads; residual double counted would be 0.41 above it."""
    rng = np.random.default_rng(5)
    persons, seeds = 6, 4
    people = np.arange(persons)

    def scores() -> Scores:
        values = rng.normal(size=(seeds, 1)) + 3 * rng.normal(size=(1, persons)) + 2 * rng.normal(size=(seeds, persons))
        return Scores(np.arange(seeds), (people,), (values,))

    true = 2 * (1 / seeds + 9 / persons + 4 / (seeds * persons))
    found = [standard_error(lead_for_people(scores(), scores())) ** 2 for _ in range(2000)]
    assert np.mean(found) == pytest.approx(true, abs=4 * np.std(found) / len(found) ** 0.5)


def test_for_people_all_queries_of_a_person_go_together(rng) -> None:
    """Each query three times over says nothing new; counted as people they would."""
    people = np.arange(8)
    ours, theirs = drawn(rng, 4, people), drawn(rng, 4, people)
    our_three, their_three = (np.repeat(scores.values[0], 3, axis=1) for scores in (ours, theirs))
    named = np.repeat(people, 3)
    plain = lead_for_people(ours, theirs)
    repeated = lead_for_people(one_fold(our_three, named), one_fold(their_three, named))
    assert (repeated.low, repeated.high) == pytest.approx((plain.low, plain.high))
    counted = lead_for_people(one_fold(our_three), one_fold(their_three))
    assert standard_error(counted) < 0.9 * standard_error(plain)


def test_folds_of_the_same_people_add_none(rng) -> None:
    """A fold that repeats another one leaves every figure as it is; one of other people makes the lead surer."""
    people = np.arange(9)
    ours, theirs = drawn(rng, 4, people), drawn(rng, 4, people)

    def twice(scores: Scores, *identities: np.ndarray) -> Scores:
        return Scores(scores.seeds, identities, scores.values * 2)

    plain = lead_for_people(ours, theirs)
    repeated = lead_for_people(twice(ours, people, people), twice(theirs, people, people))
    assert (repeated.low, repeated.high, repeated.identities) == pytest.approx((plain.low, plain.high, 9))
    others = lead_for_people(twice(ours, people, people + 100), twice(theirs, people, people + 100))
    assert standard_error(others) < standard_error(repeated)
    assert others.identities == 18


def test_people_never_make_a_lead_surer_than_seeds_alone(rng) -> None:
    for seeds in (2, 3, 6):
        for _ in range(20):
            ours, theirs = (one_fold(rng.normal(size=(seeds, 4))) for _ in range(2))
            for_people, on_split = lead_for_people(ours, theirs), lead_on_split(ours, theirs)
            assert standard_error(for_people) >= standard_error(on_split) - 1e-12


def test_order_of_rows_of_queries_and_of_names_does_not_matter(rng) -> None:
    people = rng.integers(0, 5, 20)
    ours, theirs = (one_fold(rng.normal(size=(3, 20)), people) for _ in range(2))
    order = rng.permutation(20)
    our_shuffled, their_shuffled = (one_fold(s.values[0][:, order], 1000 - people[order]) for s in (ours, theirs))
    plain, other = lead_for_people(ours, theirs), lead_for_people(our_shuffled, their_shuffled)
    assert (other.low, other.high) == pytest.approx((plain.low, plain.high))
    assert ours.influences().sum(1) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("test", [lead_on_split, lead_for_people])
def test_turned_round_the_lead_is_its_negative(test, rng) -> None:
    people = np.repeat(np.arange(5), 2)
    ours, theirs = drawn(rng, 5, people, 20.0), drawn(rng, 3, people)
    lead, turned = test(ours, theirs), test(theirs, ours)
    assert (turned.low, turned.high) == pytest.approx((-lead.high, -lead.low))
    assert lead.is_above
    assert turned.is_below
    assert not lead.is_below
    assert not turned.is_above


@pytest.mark.parametrize("test", [lead_on_split, lead_for_people])
@pytest.mark.parametrize("error", [0.025, 0.01])
def test_interval_and_p_value_agree(test, error, rng) -> None:
    """The interval excludes 0 from below exactly where p is at most the error."""
    outcomes = set()
    for shift in np.linspace(-1, 12, 27):
        ours, theirs = (drawn(rng, 4, np.arange(12), lead) for lead in (shift, 0.0))
        lead = test(ours, theirs, error)
        assert lead.is_above == (lead.p_value < error)
        outcomes.add(lead.is_above)
    assert outcomes == {True, False}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [([[1, 2]], [[1, 2], [3, 5]]), ([[1, 2], [3, 5]], [[1, 2]]), ([[1, 1], [1, 1]], [[0, 0], [0, 0]])],
    ids=["one seed", "one seed of the other", "no spread"],
)
@pytest.mark.parametrize("test", [lead_on_split, lead_for_people])
def test_nothing_to_test_against(test, ours, theirs) -> None:
    lead = test(one_fold(ours), one_fold(theirs))
    assert lead.low is lead.high is lead.p_value is lead.standard_error is None
    assert not lead.is_above
    assert not lead.is_below
    assert lead.detectable() is None
    assert lead.difference == pytest.approx(np.mean(ours) - np.mean(theirs))


def test_one_person_is_no_sample_of_people() -> None:
    ours, theirs = one_fold([[1, 2], [3, 5]], [7, 7]), one_fold([[1, 2], [0, 2]], [7, 7])
    assert lead_for_people(ours, theirs).low is None
    assert lead_on_split(ours, theirs).low is not None


def test_other_queries_cannot_be_compared_for_people() -> None:
    ours = one_fold(np.ones((2, 3)), [1, 2, 3])
    for other in (one_fold(np.ones((2, 3)), [1, 2, 4]), one_fold(np.ones((2, 2)), [1, 2])):
        with pytest.raises(ValueError, match="same queries"):
            lead_for_people(ours, other)


def test_detectable_is_what_the_interval_can_show() -> None:
    lead = Lead(0.5, 0.5, (4, 4), 1, None, ERROR, standard_error=0.01, degrees=6.0)
    smallest = lead.detectable(0.8)
    assert smallest is not None
    # t = lead / se is noncentral with 6 degrees of freedom
    assert stats.nct.sf(stats.t.ppf(0.975, 6), 6, smallest / 0.01) == pytest.approx(0.8)
