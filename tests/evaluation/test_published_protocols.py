"""SYSU-MM01, RegDB and Market-1501: against plain loops that follow their published evaluation, and by hand."""

import numpy as np
import pytest
import torch

from owkd.config.protocols import PROTOCOLS
from owkd.errors import DataError
from owkd.evaluation import evaluate_embeddings, metrics, spread
from owkd.evaluation.ranking.people import _by_rank
from tests.support import slow_evaluation as slow

pytestmark = pytest.mark.numeric

PUBLISHED = [name for name in PROTOCOLS if name.partition("-")[0] in ("sysu", "regdb", "market")]


def world(kind: str, seed: int) -> tuple[torch.Tensor, np.ndarray, np.ndarray, np.ndarray]:
    """Embeddings, identities (some of them distractors and junk), cameras 1 to 6, and who is marked as a query."""
    generator = torch.Generator().manual_seed(seed)
    people = torch.randint(-1, 6, (90,), generator=generator)
    cameras = torch.randint(1, 7, (90,), generator=generator)
    embeddings = torch.randn(90, 24, generator=generator)
    if kind == "repeated":
        embeddings = embeddings[:7][torch.randint(0, 7, (90,), generator=generator)]
    elif kind == "one point":
        embeddings = torch.ones(90, 24)
    elif kind == "whole numbers":
        embeddings = torch.randint(-2, 3, (90, 2), generator=generator).double()
    return embeddings, people.numpy(), cameras.numpy(), (torch.rand(90, generator=generator) < 0.3).numpy()


@pytest.mark.parametrize("kind", ["distinct", "repeated", "whole numbers", "one point"])
@pytest.mark.parametrize("protocol", PUBLISHED)
def test_equals_plain_loops(protocol: str, kind: str) -> None:
    embeddings, people, cameras, marked = world(kind, seed=len(protocol))
    for names in (None, marked) if protocol == "market" else (None,):
        result = evaluate_embeddings(embeddings, people, protocol, cameras, marked=names)  # type: ignore[arg-type]
        expected = slow.evaluate_published(
            embeddings.double().tolist(),
            people.tolist(),
            protocol,
            cameras.tolist(),
            None if names is None else names.tolist(),
        )
        draws = result.draws or (result,)
        assert len(draws) == len(expected) == (10 if "sysu" in protocol else 1)
        for ours, loops in zip(draws, expected, strict=True):
            assert ours.average_precision == pytest.approx(loops.average_precision)
            assert ours.cmc == pytest.approx(loops.cmc)
            assert ours.rank_1 == pytest.approx(loops.rank_1)
            assert ours.first_match == pytest.approx(loops.first)
            assert ours.mean_inverse_negative_penalty == pytest.approx(loops.mean_inverse_negative_penalty)
            assert ours.identities.tolist() == loops.identities
            assert ours.skipped == loops.skipped
            assert ours.tied == pytest.approx(loops.tied)
        assert result.mean_average_precision == pytest.approx(np.mean([np.mean(e.average_precision) for e in expected]))
        assert result.cmc == pytest.approx(np.mean([loops.cmc for loops in expected], axis=0))
        assert np.mean(result.rank_1) == pytest.approx(result.cmc[0])


def test_the_spread_is_that_of_the_drawn_galleries() -> None:
    embeddings, people, cameras, _ = world("distinct", seed=1)
    result = evaluate_embeddings(embeddings, people, "sysu-all-single", cameras)
    found = spread(result)
    assert found["mAP"] == pytest.approx(np.std([draw.mean_average_precision for draw in result.draws], ddof=1))
    assert found["mAP"] > 0
    assert list(found) == list(metrics(result))
    assert spread(evaluate_embeddings(embeddings, people)) == {}


def test_sysu_counts_people_and_leaves_camera_2_out_for_camera_3() -> None:
    #                     query  A at camera 2, B twice at camera 1, C, A at camera 4
    embeddings = np.array([[0.0], [0.1], [0.2], [0.3], [0.4], [0.5]])
    people = np.array([1, 1, 2, 2, 3, 1])
    cameras = np.array([3, 2, 1, 1, 1, 4])
    result = evaluate_embeddings(embeddings, people, "sysu-all-multi", cameras)
    assert result.average_precision == pytest.approx([1 / 4])  # B B C A
    assert result.first_match.tolist() == [3]  # of the people B, C, A
    assert result.cmc[:3].tolist() == [0, 0, 1]
    cameras[0] = 6
    assert evaluate_embeddings(embeddings, people, "sysu-all-multi", cameras).cmc[0] == 1


def test_market_keeps_other_people_of_the_own_camera_and_camera_does_not() -> None:
    embeddings = np.array([[0.0], [0.1], [0.2], [0.3], [0.4]])
    people = np.array([1, 2, 1, 1, 2])
    cameras = np.array([1, 1, 1, 2, 2])
    # query 0: market sees B1 (camera 1), not A2 (its own person and camera), then A3; camera sees A3 at once
    assert evaluate_embeddings(embeddings, people, "market", cameras).average_precision[0] == 1 / 2
    assert evaluate_embeddings(embeddings, people, "camera", cameras).average_precision[0] == 1


def test_rivals_who_are_as_far_come_before_with_the_chance_of_their_images() -> None:
    assert _by_rank(2, (3,))[:2] == pytest.approx([2 / 5, 1])
    assert _by_rank(1, (1, 1))[:3] == pytest.approx([1 / 3, 2 / 3, 1])
    assert _by_rank(10, (40,) * 94)[0] == pytest.approx(10 / 3770, rel=1e-6)  # of a degree beyond the exact ones
    assert _by_rank(3, (1, 2, 5))[:4] == pytest.approx(np.cumsum(slow.drawn_ranks(3, (1, 2, 5))))


@pytest.mark.parametrize("protocol", [*PUBLISHED, "camera"])
def test_what_a_protocol_lacks_is_named(protocol: str) -> None:
    embeddings, people, cameras, _ = world("distinct", seed=2)
    with pytest.raises(DataError, match=f"protocol '{protocol}' needs the camera of every image"):
        evaluate_embeddings(embeddings, people, protocol)  # type: ignore[arg-type]
    if protocol.startswith("sysu"):
        with pytest.raises(DataError, match="has no images in the gallery"):
            evaluate_embeddings(embeddings, people, protocol, np.where(cameras < 4, 3, 6))  # type: ignore[arg-type]
