"""The figures of bench_search, by hand."""

from __future__ import annotations

import pytest

from benchmarks import bench_search
from benchmarks.landscapes import LANDSCAPES
from benchmarks.rivals import YARDSTICK, Outcome
from benchmarks.search_figures import Figures, holm, report, signed_rank


def outcome(*trace: tuple[int, float]) -> Outcome:
    return Outcome(((0, 0.0), *trace), 1, 1, 0.5)


def test_holm_by_hand() -> None:
    # sorted 0.01, 0.02, 0.04: 3 x 0.01, 2 x 0.02, 1 x 0.04 (never below the one before)
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_signed_rank_by_hand() -> None:
    # all eight positive: 2 / 2^8
    assert signed_rank([1, 2, 3, 4, 5, 6, 7, 8]) == pytest.approx(2 / 256)
    assert signed_rank([0.0, 0.0]) == 1.0


def test_budgets_are_shares_of_the_yardsticks() -> None:
    found = {
        ("valley", "owkd", 0): outcome((27, 0.3), (54, 0.5)),
        ("valley", YARDSTICK, 0): outcome((100, 0.2), (200, 0.4)),
        ("valley", "owkd", 1): outcome((27, 0.3)),
        ("valley", YARDSTICK, 1): outcome((200, 0.4)),
    }
    figures = Figures(found, ["owkd", YARDSTICK])
    assert LANDSCAPES["valley"].drawn(0).budget == 270
    assert figures.budgets("valley", "owkd") == [54 / 270, float("inf")]
    assert figures.budgets("valley", YARDSTICK) == [200 / 270, 200 / 270]
    optimum = LANDSCAPES["valley"].drawn(0).optimum()
    assert figures.lost("valley", "owkd")[0] == pytest.approx(1 - 0.5 / optimum)


def test_the_report_marks_what_is_beyond_chance() -> None:
    found = {}
    for seed in range(12):
        found["valley", "owkd", seed] = outcome((50, 0.6 + 0.001 * seed))
        found["valley", YARDSTICK, seed] = outcome((250, 0.5))
        found["valley", "nobody", seed] = outcome((250, 0.7))
    text = report(Figures(found, ["owkd", YARDSTICK, "nobody"]))
    optimum = LANDSCAPES["valley"].drawn(0).optimum()
    assert f"| {YARDSTICK} | 12 | {100 * (1 - 0.5 / optimum):.1f} % + |" in text
    assert f"| nobody | 12 | {100 * (1 - 0.7 / optimum):.1f} % - |" in text
    assert "significantly better in 1 of 2 comparisons, worse than nobody on valley." in text
    assert f"| {YARDSTICK} | 12 : 0 |" in text
    assert "That says nothing" not in text


def test_too_few_seeds_to_show_anything_are_said_to_be() -> None:
    found = {("valley", name, seed): outcome((50, 0.5)) for name in ("owkd", YARDSTICK) for seed in range(5)}
    # of five signs the rarest has 2 / 2^5
    assert "no corrected p can be below 0.06" in report(Figures(found, ["owkd", YARDSTICK]))


def test_what_is_kept_is_not_searched_again(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = bench_search.tasks_of(["valley", "costs"], ["owkd", "Optuna CMA-ES"], [3])
    assert tasks == [("valley", "owkd", 3), ("valley", "Optuna CMA-ES", 3), ("costs", "owkd", 3)]
    searched = []

    def searches(missing, jobs):
        for task in missing:
            searched.append(task)
            yield task, outcome((50, 0.6))

    monkeypatch.setattr(bench_search, "all_searches", searches)
    file = tmp_path / "kept.jsonl"
    first = bench_search.run(tasks[:2], 1, file)
    again = bench_search.run(tasks, 1, file)
    assert searched == tasks
    assert again == {**first, tasks[2]: outcome((50, 0.6))}


def test_rivals_are_compared_on_the_seeds_that_both_have() -> None:
    found = {("valley", "owkd", seed): outcome((50, 0.1 * seed)) for seed in (1, 2, 3)}
    found |= {("valley", YARDSTICK, seed): outcome((50, 0.1 * seed)) for seed in (2, 4)}
    figures = Figures(found, ["owkd", YARDSTICK])
    assert figures.comparisons()["valley", YARDSTICK].gains == (0.0,)
    assert figures.number_of_seeds("owkd") == 3
