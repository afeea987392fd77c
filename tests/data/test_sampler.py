from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from owkd.data.sampler import identity_batches, rarely_shown, shown_in_an_epoch
from owkd.errors import ConfigError

label_lists = st.lists(st.integers(0, 6), min_size=1, max_size=60)
widths = st.integers(1, 4)
groups_of = st.integers(1, 5)
seeds = st.integers(0, 2**32)


def epoch(labels: list[int], width: int, k: int, seed: int = 0) -> list[np.ndarray]:
    return identity_batches(np.array(labels), width * k, k, np.random.default_rng(seed))


def expected_batches(labels: list[int], width: int, k: int) -> int:
    """From the counts alone: the largest b for which the identities can fill b batches, each at most once in each."""
    if k == 1:
        return max(len(labels) // width, 1)
    groups = [-(-count // k) for count in Counter(labels).values()]
    if len(groups) < width:
        return max(sum(groups) // width, 1)
    return max(b for b in range(sum(groups) + 1) if sum(min(g, b) for g in groups) >= b * width)


@given(label_lists, widths, groups_of, seeds)
def test_the_number_of_batches_hangs_on_the_labels_alone(labels: list[int], width: int, k: int, seed: int) -> None:
    assert len(epoch(labels, width, k, seed)) == expected_batches(labels, width, k) >= 1


@given(label_lists, widths, groups_of, seeds)
def test_batches_are_whole_unless_there_is_only_one(labels: list[int], width: int, k: int, seed: int) -> None:
    batches = epoch(labels, width, k, seed)
    assert all(batch.min() >= 0 and batch.max() < len(labels) for batch in batches)
    if len(batches) > 1:
        assert {len(batch) for batch in batches} == {width * k}
    else:
        assert 0 < len(batches[0]) <= width * k


@given(label_lists, widths, st.integers(2, 5), seeds)
def test_every_identity_of_a_batch_has_k_images(labels: list[int], width: int, k: int, seed: int) -> None:
    for batch in epoch(labels, width, k, seed):
        own = [labels[i] for i in batch]
        assert all(count % k == 0 for count in Counter(own).values())
        assert all(len(set(own[start : start + k])) == 1 for start in range(0, len(own), k))
        if len(set(labels)) >= width:
            assert set(Counter(own).values()) == {k}


@given(label_lists, widths, st.integers(2, 5), seeds)
def test_an_image_occurs_once_but_for_fillings(labels: list[int], width: int, k: int, seed: int) -> None:
    drawn = Counter(np.concatenate(epoch(labels, width, k, seed)).tolist())
    sizes = Counter(labels)
    for identity, size in sizes.items():
        extra = sum(drawn[i] - 1 for i, label in enumerate(labels) if label == identity and drawn[i] > 1)
        assert extra <= -size % k
        if size >= k:
            assert max(drawn[i] for i, label in enumerate(labels) if label == identity) <= 2


@given(st.integers(1, 6), st.integers(1, 4), st.integers(2, 4), seeds)
def test_equal_identities_are_used_whole(per_identity: int, width: int, k: int, seed: int) -> None:
    """Identities of g groups each, as many as a multiple of P: nothing is left over and nothing is drawn twice."""
    labels = np.repeat(np.arange(2 * width), per_identity * k)
    drawn = np.concatenate(identity_batches(labels, width * k, k, np.random.default_rng(seed)))
    assert sorted(drawn.tolist()) == list(range(len(labels)))


@given(label_lists, widths, groups_of, seeds)
def test_the_generator_decides(labels: list[int], width: int, k: int, seed: int) -> None:
    first, again = epoch(labels, width, k, seed), epoch(labels, width, k, seed)
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in again]


def test_epochs_differ() -> None:
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(8), 4)
    first, second = (np.concatenate(identity_batches(labels, 8, 2, generator)).tolist() for _ in range(2))
    assert first != second


def test_one_image_per_identity_is_a_plain_shuffle() -> None:
    batches = epoch([0] * 7 + [1] * 4, 4, 1)
    assert [len(batch) for batch in batches] == [4, 4]
    assert len(set(np.concatenate(batches).tolist())) == 8


def test_a_small_data_set_gives_one_short_batch() -> None:
    (batch,) = epoch([5, 5, 9], 4, 2)
    assert sorted(set(batch.tolist())) == [0, 1, 2]
    assert len(batch) == 4


def test_a_filled_group_repeats_none_of_its_own_where_the_identity_has_others() -> None:
    for seed in range(20):
        for batch in epoch([0] * 3 + [1] * 3, 2, 2, seed):
            assert len(set(batch.tolist())) == 4


def test_every_image_comes_up_over_some_epochs_when_one_identity_is_much_larger() -> None:
    labels = np.array([0] * 40 + [1, 1, 2, 2])
    generator = np.random.default_rng(0)
    seen = {int(i) for _ in range(60) for batch in identity_batches(labels, 4, 2, generator) for i in batch}
    assert seen == set(range(len(labels)))


@pytest.mark.parametrize(("batch_size", "k"), [(9, 2), (0, 1), (4, 0), (2, 4)])
def test_a_batch_that_holds_no_whole_groups_is_refused(batch_size: int, k: int) -> None:
    with pytest.raises(ConfigError, match=f"{batch_size} and {k}"):
        identity_batches(np.zeros(8, dtype=np.int64), batch_size, k, np.random.default_rng(0))


def test_what_an_epoch_hardly_shows_is_said() -> None:
    """One person with 101 images and three with one: batches of two people end when the three are used up."""
    labels = np.array([0] * 101 + [1, 2, 3])
    batches = identity_batches(labels, 4, 2, np.random.default_rng(0))
    shown = len(np.unique(np.concatenate(batches)))
    assert shown_in_an_epoch(labels, 4, 2) == shown < 12
    (line,) = rarely_shown(labels, 4, 2, "train.batch_size")
    assert line.startswith(f"An epoch shows {shown} of 104 training images")
    assert "1 to 101" in line
    assert "Set train.batch_size lower" in line
    assert list(rarely_shown(np.repeat(np.arange(8), 6), 8, 2, "train.batch_size")) == []
