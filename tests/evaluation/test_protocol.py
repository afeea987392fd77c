"""The protocols: by hand, against plain loops, by their properties, and on what cannot be ranked."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from owkd.errors import ConfigError, DataError, UserError
from owkd.evaluation import Result, center_validation_accuracy, evaluate_embeddings, metrics
from tests.support import slow_evaluation as slow

pytestmark = pytest.mark.numeric

PROTOCOLS = ("merged", "center", "standard", "camera")
"""of any data set; those of a data set are in test_published_protocols.py"""

# On a line: A at 0, B at 1, A at 2, B at 10
LINE = np.array([[0.0], [1.0], [2.0], [10.0]])
PEOPLE = np.array([7, 9, 7, 9])


def cmc(*head: float) -> list[float]:
    return [*head, *[1.0] * (20 - len(head))]


@pytest.mark.parametrize(
    ("protocol", "average_precision", "expected_cmc", "penalty", "identities"),
    [
        # the only match of the four queries is at rank 2, 3, 2, 2
        ("standard", [1 / 2, 1 / 3, 1 / 2, 1 / 2], cmc(0, 3 / 4), (3 / 2 + 1 / 3) / 4, [7, 9, 7, 9]),
        # both images of a pair are equally central: the first is the centre
        ("center", [1 / 2, 1 / 3], cmc(0, 1 / 2), (1 / 2 + 1 / 3) / 2, [7, 9]),
        # A: B B A A . .    B: A A A B B .
        ("merged", [(1 / 3 + 2 / 4) / 2, (1 / 4 + 2 / 5) / 2], cmc(0, 0, 1 / 2), (2 / 4 + 2 / 5) / 2, [7, 9]),
    ],
)
def test_four_images_by_hand(protocol, average_precision, expected_cmc, penalty, identities):
    result = evaluate_embeddings(LINE, PEOPLE, protocol)
    assert result.average_precision == pytest.approx(average_precision)
    assert result.mean_average_precision == pytest.approx(np.mean(average_precision))
    assert result.cmc == pytest.approx(expected_cmc)
    assert result.mean_inverse_negative_penalty == pytest.approx(penalty)
    assert result.identities.tolist() == identities
    assert (result.queries, result.skipped) == (len(identities), 0)


def test_center_validation_accuracy_by_hand():
    # A's centre sees 1 wrong image, B's sees 2, of 3 each
    assert center_validation_accuracy(LINE, PEOPLE) == pytest.approx((2 / 3 + 1 / 3) / 2)


def test_camera_leaves_out_the_whole_own_camera_not_just_the_own_identity():
    # Query 0 (A, camera 0) loses B at 1 because of the camera alone, which makes its match the first.
    result = evaluate_embeddings(LINE, PEOPLE, "camera", cameras=np.array([0, 0, 1, 1]))
    # 0: A2 | 1: A2 B10 | 2: B1 A0 | 3: B1
    assert result.average_precision == pytest.approx([1, 1 / 2, 1 / 2, 1])


def test_queries_without_a_match_are_counted_and_count_nowhere_else():
    people = np.array([7, 7, 8, 5])
    result = evaluate_embeddings(LINE, people)
    assert (result.queries, result.skipped) == (2, 2)
    assert result.identities.tolist() == [7, 7]
    assert result.average_precision == pytest.approx([1, 3 / 4])  # the second one's match ties with 8: rank 1 or 2
    assert metrics(result)["skipped"] == 2
    assert evaluate_embeddings(LINE, people, "merged").skipped == 2
    assert evaluate_embeddings(LINE, people, "center").skipped == 2


def test_equally_far_images_count_by_the_mean_over_their_orders():
    # Query 0 has its only match and somebody else at distance 1: first or second, with equal chances.
    result = evaluate_embeddings(np.array([[0.0], [1.0], [-1.0]]), np.array([1, 1, 2]))
    assert result.average_precision == pytest.approx([3 / 4, 1])
    assert result.rank_1.tolist() == [1 / 2, 1]
    assert result.first_match.tolist() == [3 / 2, 1]
    assert result.cmc[:2].tolist() == [3 / 4, 1]
    assert result.mean_inverse_negative_penalty == pytest.approx((3 / 4 + 1) / 2)
    assert result.tied == 1 / 2
    accuracy = center_validation_accuracy(np.array([[0.0], [1.0], [-1.0]]), np.array([1, 1, 2]))
    assert accuracy == 1 - 0.5 / 2  # half a wrong image of two, on average


def worlds(numbers, dimensions: int):
    return st.integers(2, 24).flatmap(
        lambda n: st.tuples(
            st.lists(st.lists(numbers, min_size=dimensions, max_size=dimensions), min_size=n, max_size=n),
            st.lists(st.integers(-2, 4), min_size=n, max_size=n),
            st.lists(st.integers(0, 2), min_size=n, max_size=n),
        )
    )


small_worlds = worlds(st.integers(-3, 3), 2)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(max_examples=150, deadline=None)
@given(world=small_worlds, dtype=st.sampled_from([np.float32, np.float64]))
def test_equals_plain_loops_on_worlds_full_of_ties(protocol, world, dtype):
    embeddings, people, cameras = world
    expected = slow.evaluate(embeddings, people, protocol, cameras)
    arguments = (np.array(embeddings, dtype=dtype), np.array(people), protocol, np.array(cameras))
    if expected is None:
        with pytest.raises(DataError, match="at least one query must have a match"):
            evaluate_embeddings(*arguments)
        return
    assert_equals_loops(evaluate_embeddings(*arguments), expected)


def assert_equals_loops(result: Result, expected: slow.SlowResult) -> None:
    assert result.average_precision == pytest.approx(expected.average_precision)
    assert result.identities.tolist() == expected.identities
    assert result.cmc == pytest.approx(expected.cmc)
    assert result.rank_1 == pytest.approx(expected.rank_1)
    assert result.first_match == pytest.approx(expected.first)
    assert result.mean_inverse_negative_penalty == pytest.approx(expected.mean_inverse_negative_penalty)
    assert result.precision == pytest.approx(expected.precision)
    assert result.skipped == expected.skipped
    assert result.tied == pytest.approx(expected.tied)


@pytest.mark.parametrize("rows", [1, 7, 1000])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_repeated_images_tie_in_whatever_way_they_meet(protocol, dtype, rows, monkeypatch):
    """Real numbers, which no product adds up exactly: few distinct embeddings, each of several images of anybody."""
    monkeypatch.setattr("owkd.evaluation.ranking.lists._chunk_rows", lambda *_: rows)
    generator = torch.Generator().manual_seed(7)
    for distinct, count, dimensions in ((2, 16, 33), (4, 20, 517), (12, 20, 64)):
        which = torch.randint(0, distinct, (count,), generator=generator)
        embeddings = torch.randn(distinct, dimensions, generator=generator).to(dtype)[which]
        people, cameras = torch.randint(0, 5, (2, count), generator=generator).numpy()
        expected = slow.evaluate(embeddings.double().tolist(), people.tolist(), protocol, cameras.tolist())
        assert expected.tied > 0.05
        assert_equals_loops(evaluate_embeddings(embeddings, people, protocol, cameras), expected)
        accuracy = slow.center_validation_accuracy(embeddings.double().tolist(), people.tolist())
        assert center_validation_accuracy(embeddings, people) == pytest.approx(accuracy)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_random_labels_stay_at_chance(protocol, dtype):
    """Two embeddings, 40 images of each, and 40 people with two images each, drawn by lot: rank-1 is 1 / 79.

    With more images a person's centre would be chosen among those that are many, and so be closer to its own.
    """
    generator = torch.Generator().manual_seed(3)
    embeddings = torch.randn(2, 517, generator=generator, dtype=dtype).repeat_interleave(40, dim=0)
    cameras = np.arange(80)  # all of them others: the camera's rule leaves nothing out
    rank_1 = []
    for _ in range(60):
        people = torch.arange(40).repeat(2)[torch.randperm(80, generator=generator)].numpy()
        rank_1.append(evaluate_embeddings(embeddings, people, protocol, cameras).cmc[0])
    error = np.std(rank_1, ddof=1) / np.sqrt(len(rank_1))
    assert 0 < error < 0.01
    assert abs(np.mean(rank_1) - 1 / 79) < 3 * error


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_embeddings_without_content_score_chance_whatever_the_order_of_the_people(protocol):
    people = np.repeat(np.arange(50), 10)
    result = evaluate_embeddings(np.ones((500, 8)), people, protocol, np.arange(500))
    assert result.cmc[0] == pytest.approx(9 / 499)
    assert result.tied == 1
    assert center_validation_accuracy(np.ones((500, 8)), people) == pytest.approx(1 - 490 * 9 / 10 / 499)


def test_a_list_of_ties_is_worth_the_mean_over_all_its_orders():
    """The slow reference itself, against every order written out."""
    entries = [(0, True), (1, True), (1, False), (1, False), (1, True), (2, False), (2, True)]
    orders = [
        [True, *middle, *end]
        for middle in itertools.permutations([True, False, False, True])
        for end in itertools.permutations([False, True])
    ]
    places = [[rank for rank, hit in enumerate(hits, start=1) if hit] for hits in orders]
    walked = slow.walk(entries)
    assert walked.mean_ranks == pytest.approx(np.mean(places, axis=0))
    assert walked.average_precision == pytest.approx(np.mean(np.arange(1, 5) / np.array(places)))
    assert walked.inverse_penalty == pytest.approx(np.mean([4 / place[-1] for place in places]))
    assert (walked.tied, walked.cmc[:2]) == (3, [1, 1])


def test_a_result_says_when_many_distances_are_tied():
    embeddings, people, _ = crowd(1)
    assert evaluate_embeddings(embeddings, people).warning is None
    warning = evaluate_embeddings(np.zeros((4, 3)), np.array([1, 2, 1, 2])).warning
    assert warning is not None
    assert warning.startswith("100 % of the matches are exactly as far from their query as images of other people")


@settings(max_examples=100, deadline=None)
@given(world=small_worlds)
def test_center_validation_accuracy_equals_plain_loops(world):
    embeddings, people, _ = world
    expected = slow.center_validation_accuracy(embeddings, people)
    arguments = (np.array(embeddings, dtype=float), np.array(people))
    if expected is None:
        with pytest.raises(DataError, match="at least one query must have a match"):
            center_validation_accuracy(*arguments)
    else:
        assert center_validation_accuracy(*arguments) == pytest.approx(expected)


def crowd(seed: int, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """8 people with 3 to 6 images each, no ties: embeddings, identities, cameras."""
    rng = np.random.default_rng(seed)
    people = np.repeat(np.arange(8), rng.integers(3, 7, size=8))
    embeddings = rng.standard_normal((8, 16))[people] + spread * rng.standard_normal((len(people), 16))
    return embeddings, people, rng.integers(0, 3, size=len(people))


def assert_same(result: Result, expected: Result, order: np.ndarray | None = None) -> None:
    order = np.arange(expected.queries) if order is None else order
    assert result.average_precision == pytest.approx(expected.average_precision[order])
    assert result.mean_average_precision == pytest.approx(expected.mean_average_precision)
    assert result.cmc == pytest.approx(expected.cmc)
    assert result.precision == pytest.approx(expected.precision)
    assert result.mean_inverse_negative_penalty == pytest.approx(expected.mean_inverse_negative_penalty)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_the_images_does_not_matter(protocol, seed):
    embeddings, people, cameras = crowd(seed)
    order = np.random.default_rng(seed).permutation(len(people))
    expected = evaluate_embeddings(embeddings, people, protocol, cameras)
    result = evaluate_embeddings(embeddings[order], people[order], protocol, cameras[order])
    assert sorted(result.average_precision) == pytest.approx(sorted(expected.average_precision))
    assert result.cmc == pytest.approx(expected.cmc)
    assert result.precision == pytest.approx(expected.precision)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([1e-30, 1e-3, 7.0, 1e30]), shift=st.floats(-100, 100))
def test_neither_scale_nor_origin_matter(protocol, seed, scale, shift):
    embeddings, people, cameras = crowd(seed)
    expected = evaluate_embeddings(embeddings, people, protocol, cameras)
    assert_same(evaluate_embeddings(scale * (embeddings + shift), people, protocol, cameras), expected)


@pytest.mark.parametrize("scale", [1e-38, 1e-30, 1.0, 1e30, 1e37])
def test_float32_neither_overflows_nor_underflows(scale):
    embeddings, people, _ = crowd(3)
    embeddings = embeddings.astype(np.float32)
    assert_same(evaluate_embeddings(np.float32(scale) * embeddings, people), evaluate_embeddings(embeddings, people))


def test_float32_far_from_the_origin_loses_little():
    embeddings, people, _ = crowd(4)
    expected = evaluate_embeddings(embeddings, people)
    far = evaluate_embeddings((embeddings + 1000).astype(np.float32), people)
    assert far.mean_average_precision == pytest.approx(expected.mean_average_precision, abs=0.01)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_perfect_embedding_scores_one(protocol, seed):
    _, people, _ = crowd(seed)
    rng = np.random.default_rng(seed)
    embeddings = 100.0 * np.eye(8)[people] + rng.standard_normal((len(people), 8))
    cameras = np.concatenate([np.arange(count) for count in np.bincount(people)]) % 3  # everybody is in all of them
    result = evaluate_embeddings(embeddings, people, protocol, cameras)
    assert result.mean_average_precision == 1
    assert result.mean_inverse_negative_penalty == 1
    assert (result.cmc == 1).all()
    assert (result.precision == 1).all()
    assert center_validation_accuracy(embeddings, people) == 1


def test_the_worst_embedding_finds_its_match_last():
    embeddings = np.array([[0.0], [0.1], [0.2], [9.0], [9.1], [9.2]])
    people = np.array([1, 2, 3, 1, 2, 3])
    result = evaluate_embeddings(embeddings, people)
    assert (result.average_precision <= 1 / 3).all()
    assert result.cmc[:2].tolist() == [0, 0]


def test_accepts_tensors_half_precision_and_read_only_arrays(recwarn):
    embeddings, people, _ = crowd(5, spread=0.5)
    expected = evaluate_embeddings(embeddings.astype(np.float32), people)
    assert_same(
        evaluate_embeddings(torch.tensor(embeddings, dtype=torch.float32, requires_grad=True), people), expected
    )
    half = torch.tensor(embeddings).half()
    assert_same(evaluate_embeddings(half, people), evaluate_embeddings(half.float(), people))
    frozen = embeddings.astype(np.float32)
    frozen.setflags(write=False)
    before = frozen.copy()
    assert_same(evaluate_embeddings(frozen, people), expected)
    assert (frozen == before).all()
    assert not recwarn.list


def test_the_callers_autocast_does_not_coarsen_distances(rng):
    embeddings = rng.standard_normal((300, 16)).astype(np.float32)  # so many that two digits would swap some
    people = np.arange(300) % 60
    expected = evaluate_embeddings(embeddings, people)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_same(evaluate_embeddings(embeddings, people), expected)


def test_metrics_carry_the_usual_names():
    result = evaluate_embeddings(LINE, PEOPLE)
    values = metrics(result)
    assert list(values) == ["mAP", *(f"rank-{k}" for k in range(1, 21)), "mINP", "queries", "skipped"]
    assert values["mAP"] == pytest.approx(result.mean_average_precision)
    assert (values["rank-1"], values["rank-2"], values["rank-20"]) == (0, 0.75, 1)
    assert values["mINP"] == pytest.approx(result.mean_inverse_negative_penalty)
    assert values["queries"] == 4
    assert all(type(value) is float for value in values.values())


BAD = np.array([[0.0], [np.nan], [2.0], [np.inf]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((LINE[:1], PEOPLE[:1]), "at least two images, but got 1"),
        ((LINE[:0], PEOPLE[:0]), "at least two images, but got 0"),
        ((LINE, PEOPLE[:3]), r"identities must be one number an embedding, but got shape \(3,\) for 4"),
        ((LINE[:, 0], PEOPLE), r"one row an image, but got shape \(4,\)"),
        ((BAD, PEOPLE), "must be finite, but 2 of 4 are not, the first at index 1"),
        ((LINE, PEOPLE, "camera"), "needs the camera of every image"),
        ((LINE, PEOPLE, "camera", np.zeros(3, int)), r"cameras must be one number an embedding, but got shape \(3,\)"),
        (
            (LINE, PEOPLE, "camera", np.zeros(4, int)),
            "at least one query must have a match in its gallery, but none of 4",
        ),
        ((LINE, np.arange(4)), "at least one query must have a match in its gallery, but none of 4 has"),
        ((LINE, np.arange(4), "merged"), "but none of 4 has"),
        ((LINE, np.arange(4), "center"), "but none of 4 has"),
    ],
)
def test_what_cannot_be_ranked_is_refused(arguments, message):
    with pytest.raises(DataError, match=message):
        evaluate_embeddings(*arguments)


def test_an_unknown_protocol_is_refused_by_name():
    unknown: Any = "cross"
    with pytest.raises(ConfigError, match=r"protocol must be one of standard, merged, .*, but got 'cross'"):
        evaluate_embeddings(LINE, PEOPLE, unknown)
    assert issubclass(ConfigError, UserError)


def test_center_validation_accuracy_leaves_out_single_images_and_refuses_nothing_else():
    # the third person's only image is a wrong one to the others, but no query
    assert center_validation_accuracy(LINE[:3], np.array([7, 9, 7])) == pytest.approx(1 / 2)
    with pytest.raises(DataError, match="at least two images"):
        center_validation_accuracy(LINE[:1], PEOPLE[:1])


@pytest.mark.gpu
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_gpu_gives_the_same(protocol, dtype):
    embeddings, people, cameras = crowd(8)
    embeddings = np.round(4 * embeddings).astype(dtype)  # whole numbers: exact on every device, with ties
    expected = evaluate_embeddings(embeddings, people, protocol, cameras)
    assert_same(evaluate_embeddings(embeddings, people, protocol, cameras, device="cuda"), expected)
    assert center_validation_accuracy(embeddings, people, "cuda") == center_validation_accuracy(embeddings, people)
