"""How the epochs of a training become one number, and how optimistic that number is about the model that is kept."""

from __future__ import annotations

import numpy as np
import pytest

from owkd.training.reduction import EpochRule, averaged, in_words

pytestmark = pytest.mark.numeric

REPEATS = 400


@pytest.mark.parametrize(
    ("reduction", "trained", "over"),
    [
        *(("auto", trained, over) for trained, over in [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (6, 3), (60, 3)]),
        ("mean of last 4", 9, 4),
        ("mean of last 4", 2, 2),
        ("last", 9, 1),
    ],
)
def test_over_how_many_epochs_the_mean_goes(reduction: str, trained: int, over: int) -> None:
    epochs = [{"val/mAP": float(number == trained - over)} for number in range(trained)]  # 1 where the mean begins
    assert averaged(reduction, trained) == over
    assert EpochRule(reduction=reduction).reduce(epochs, ["val/mAP"])["val/mAP"] == pytest.approx(1 / over)
    assert EpochRule(reduction=reduction).best_index(epochs) == trained - 1


@pytest.mark.parametrize("reduction", ["auto", "best", "last", "mean of last 3"])
def test_a_cost_is_that_of_the_model_to_the_last_bit(reduction: str) -> None:
    """A mean of three equal numbers need not be that number."""
    epochs = [{"val/mAP": 0.1 * number, "latency_ms": 0.1} for number in range(6)]
    assert EpochRule(reduction=reduction).reduce(epochs, ["latency_ms"]) == {"latency_ms": 0.1}


@pytest.mark.parametrize(
    ("reduction", "epochs", "words"),
    [
        ("auto", (30, 30), "mean of the last 3 epochs; the last one's model is kept"),
        ("auto", (4, 8), "mean of the last 2 to 3 epochs; the last one's model is kept"),
        ("auto", (3, 3), "last epoch, whose model is kept"),
        ("best", (30, 30), "best epoch, whose model is kept"),
        ("mean of last 5", (9, 9), "mean of the last 5 epochs; the last one's model is kept"),
    ],
)
def test_a_rule_says_which_model_it_keeps(reduction: str, epochs: tuple[int, int], words: str) -> None:
    assert in_words(reduction, *epochs) == words


def optimism(reduction: str, trials: int) -> float:
    """By how much the best trial's figure exceeds what its kept model is worth, in standard deviations of an epoch.

    Settings differ by one, epochs of a training are flat and differ by luck of one, 30 of them.
    """
    rng = np.random.default_rng(0)
    rule, found = EpochRule(reduction=reduction), []
    for _ in range(REPEATS):
        true = rng.normal(size=trials)
        curves = true[:, None] + rng.normal(size=(trials, 30))
        figures = [rule.reduce([{"val/mAP": value} for value in curve], ["val/mAP"])["val/mAP"] for curve in curves]
        best = int(np.argmax(figures))
        found.append(figures[best] - true[best])
    return float(np.mean(found))


def test_the_default_is_less_optimistic_than_the_best_epoch() -> None:
    figures = {reduction: optimism(reduction, 20) for reduction in ("auto", "last", "best")}
    print(figures)
    assert 0 < figures["auto"] < figures["last"] < figures["best"]
    assert figures["auto"] < figures["best"] / 3
