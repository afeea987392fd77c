"""Sets of seeds that share none, however many are asked for, and keep their first ones."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from search.luck.seeds import LARGEST, Seeds

ROOTS = st.integers(0, 2**32 - 1)
GIVEN = st.lists(st.integers(0, 2**31 - 1), unique=True, max_size=5).map(tuple)
NUMBERS = st.integers(0, 40)


@given(root=ROOTS, given_seeds=GIVEN, numbers=st.tuples(*[NUMBERS] * 4))
def test_no_seed_is_in_two_sets_nor_twice_in_one(root, given_seeds, numbers) -> None:
    seeds = Seeds(root, given_seeds)
    every = [*seeds.search(numbers[0]), *seeds.choice(numbers[1]), *seeds.test(numbers[2])]
    every += seeds.pilot(numbers[3])
    assert len(every) == sum(numbers) == len(set(every))
    assert not set(given_seeds) & {*seeds.choice(numbers[1]), *seeds.test(numbers[2]), *seeds.pilot(numbers[3])}
    assert all(0 <= seed <= LARGEST for seed in every[: len(every) - numbers[3]])
    assert all(LARGEST < seed < 2**32 for seed in seeds.pilot(numbers[3]))


@given(root=ROOTS, given_seeds=GIVEN, few=NUMBERS, more=NUMBERS)
def test_more_later_keeps_the_first_ones(root, given_seeds, few, more) -> None:
    seeds = Seeds(root, given_seeds)
    for stream in (seeds.search, seeds.choice, seeds.test, seeds.pilot):
        assert stream(few + more)[:few] == stream(few)


@given(root=ROOTS, which=st.integers(0, 9))
def test_a_given_seed_that_would_be_derived_is_passed_over(root, which) -> None:
    plain = Seeds(root, ())
    for stream, name in ((plain.search, "search"), (plain.choice, "choice"), (plain.test, "test")):
        taken = stream(10)[which]
        rest = getattr(Seeds(root, (taken,)), name)(11)
        if name == "search":
            assert rest[0] == taken
            rest = rest[1:]
        assert taken not in rest
        assert rest[: which + 1] == [*stream(which), stream(11)[which + 1]]


def test_the_same_root_gives_the_same_seeds_everywhere() -> None:
    seeds = Seeds(0, (0,))
    assert seeds.search(2)[0] == 0
    assert (seeds.search(3), seeds.choice(2), seeds.test(2)) == (
        [0, 1528179222, 1840576959],
        [1122577666, 1617993916],
        [1589569808, 1692055904],
    )
    assert seeds.pilot(2) == [2377455350, 3484284404]


def test_other_roots_give_other_seeds() -> None:
    assert not set(Seeds(0, ()).test(50)) & set(Seeds(1, ()).test(50))
    assert not set(Seeds(1, ()).test(50)) & set(Seeds(2, ()).test(50))
