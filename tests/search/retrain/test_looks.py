"""Seeds that are added later: another look, with an error of its own, and nothing that was shown is taken back."""

from __future__ import annotations

import io
import json
import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from rich.console import Console
from scipy import stats

from launch.output.final_stage import final_stage_page
from owkd.config import parse_config
from owkd.errors import UserError
from search.execution.resources import TrialResources
from search.power import ERROR, error_of_look
from search.recorder import SearchRecorder
from search.report import text
from search.report.gather import gather
from search.report.sections import claims_section
from search.retrain.claims import Claim, PlannedComparison, Scores, by_comparison, claims_in_order, in_words
from search.retrain.claims.words import intervals, ordinal
from search.retrain.models import Look, Looks, Plan
from search.retrain.stage import FinalWork, Outcome, retrain
from search.runs.layout import RunFolder
from search.runs.manifest import create
from search.study.study import Study
from search.trials.job_queue import JobQueue
from tests.support.fake_training import fake_config, fake_evaluate, fake_run
from tests.support.inline_jobs import do_job, evaluate_here, work_off

RETRAIN = {"top_k": 1, "seeds": 3, "epochs": 2, "claim": {"against": "no distillation"}}
WORK = FinalWork(fake_run, fake_evaluate, lambda config, console: (config, TrialResources(1, 0, 1)))
PRIMARY = PlannedComparison("published weights", "mAP")
OTHER = PlannedComparison("no distillation", "mAP")
PLAN = Plan(PRIMARY, has_control=False)


def scores(rng: np.random.Generator, mean: float, seeds: int) -> dict[str, Scores]:
    values = mean + 0.02 * rng.normal(size=(seeds, 1)) + np.zeros((1, 30))
    return {"mAP": Scores(np.arange(seeds), (np.arange(30),), (values + 0.001 * rng.normal(size=values.shape),))}


def claims_of(lead: float, look: int, earlier: tuple[Claim, ...] = (), seeds: int = 10) -> tuple[Claim, ...]:
    rng = np.random.default_rng(3)
    champion, others = (
        scores(rng, 0.5 + lead, seeds),
        {each.other: scores(rng, 0.5, seeds) for each in (PRIMARY, OTHER)},
    )
    return claims_in_order(champion, others, (PRIMARY, OTHER), PRIMARY, look, earlier)


class TestLooks:
    def test_the_first_has_the_configured_seeds_unless_others_are_asked_for(self, tmp_path: Path) -> None:
        looks = Looks(tmp_path)
        assert looks.next(11) == Look(1, 11)
        assert looks.next(11, 20) == Look(1, 20)
        looks.keep(looks.next(11, 20))
        assert Looks(tmp_path).next(11) == Look(1, 20)  # it was begun with them
        assert Looks(tmp_path).next(11, 15) == Look(1, 15)  # nothing was opened yet

    def test_an_interrupted_look_keeps_its_seeds_once_the_split_was_opened(self, tmp_path: Path) -> None:
        looks = Looks(tmp_path)
        opened = looks.open(looks.next(5), PLAN)
        again = Looks(tmp_path)
        assert again.plan == PLAN
        assert again.next(5) == again.next(99) == again.next(99, 5) == opened  # whatever run.yaml says by now
        with pytest.raises(UserError, match=r"--seeds must be 5 until the look under way has ended.* but got 8"):
            again.next(5, 8)

    def test_more_seeds_are_another_look_and_the_same_are_not(self, tmp_path: Path) -> None:
        looks = Looks(tmp_path)
        looks.end(looks.open(looks.next(5), PLAN), "trial 3", claims_of(0.1, 1))
        assert looks.next(5).number == looks.next(5, 5).number == 1
        second = looks.next(5, 8)
        assert (second.number, second.seeds, second.error) == (2, 8, 0.0025)
        for fewer in (4, 1):
            with pytest.raises(UserError, match=rf"--seeds must be above the 5 that were tested, but got {fewer}"):
                looks.next(5, fewer)
        looks.end(looks.open(second, PLAN), "trial 3", claims_of(0.1, 2))
        assert [look.number for look in Looks(tmp_path).taken] == [1, 2]
        assert Looks(tmp_path).next(5).seeds == 8

    def test_what_was_shown_comes_back_as_it_was(self, tmp_path: Path) -> None:
        looks, claims = Looks(tmp_path), claims_of(0.1, 1)
        assert [claim.status for claim in claims] == ["shown"] * 4
        looks.end(looks.next(5), "trial 3", claims)
        later = Looks(tmp_path)
        assert later.shown_before(later.next(5, 8), "trial 3") == claims
        assert later.shown_before(later.next(5, 8), "trial 4") == ()  # which nobody has seen
        assert later.shown_before(later.next(5), "trial 3") == ()
        tree = json.loads((tmp_path / "looks.json").read_text())
        assert (tree[0]["error"], tree[0]["seeds"], tree[0]["shown"][0]["comparison"]["other"]) == (
            0.02,
            5,
            "published weights",
        )

    def test_another_champion_is_another_look_at_the_same_split(self, tmp_path: Path) -> None:
        looks = Looks(tmp_path)
        looks.end(looks.next(5), "trial 3", claims_of(0.0, 1))
        assert looks.about("trial 3", looks.next(5)).number == 1
        assert looks.about("trial 9", looks.next(5)) == Look(2, 5)


def test_what_was_shown_stays_shown_with_its_interval_and_opens_what_comes_after() -> None:
    first = claims_of(0.04, 1)
    earlier = tuple(claim for claim in first if claim.comparison == PRIMARY)
    assert {claim.status for claim in earlier} == {"shown"}
    second = claims_of(0.0, 2, earlier, seeds=20)  # by now, nothing is above
    assert [claim.status for claim in second] == ["shown", "not shown"] * 2
    assert [claim.look for claim in second] == [1, 2] * 2
    assert [claim.lead for claim in second if claim.comparison == PRIMARY] == [claim.lead for claim in earlier]
    assert {claim.lead.error for claim in second if claim.comparison == OTHER} == {error_of_look(2)}
    assert [claim.status for claim in claims_of(0.0, 2, seeds=20)] == ["not shown", "not tested"] * 2


def test_a_later_look_is_told_with_its_own_interval() -> None:
    ((split, people), _) = by_comparison(claims_of(0.1, 2, seeds=20))
    sentence = in_words(split, people, "the published weights")
    assert "(99.5 % interval " in sentence
    assert "20 against 20 seeds, at the second look; " in sentence
    (earlier, _), _ = by_comparison(claims_of(0.1, 1))
    sentence = in_words(earlier, replace(people, status="not shown"), "the published weights")
    assert "(96 % interval " in sentence
    assert "10 against 10 seeds; " in sentence
    assert " points, at the second look, 20 against 20 seeds, 99.5 % interval " in sentence
    assert intervals({1: 0.02}) == "96 % intervals"
    assert intervals({2: 0.0025}) == "99.5 % intervals (second look, error 0.25 %)"
    assert intervals({1: 0.02, 3: 0.00125}).endswith("; what an earlier look showed keeps its own")
    assert (ordinal(3), ordinal(11)) == ("third", "11th")


@pytest.mark.parametrize("numbers", [(11, 22, 44), (10, 12, 14), (3, 4, 5)])
def test_three_looks_at_nothing_claim_something_in_at_most_one_of_forty(numbers: tuple[int, ...]) -> None:
    rng, runs = np.random.default_rng(sum(numbers)), 30000
    ours, theirs = rng.normal(size=(2, runs, numbers[-1]))
    said = np.zeros((len(numbers), runs), bool)
    for look, seeds in enumerate(numbers, start=1):
        p = stats.ttest_ind(ours[:, :seeds], theirs[:, :seeds], axis=1, equal_var=False, alternative="greater").pvalue
        said[look - 1] = p < error_of_look(look)
    assert said.any(0).mean() <= ERROR + 3 * (ERROR * (1 - ERROR) / runs) ** 0.5
    assert said[0].mean() > 0.012  # the test is one: it does claim something at times


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished search of four trials; tests take a copy."""
    home = tmp_path_factory.mktemp("searched")
    config = parse_config({**fake_config(home, trials=4, sampler={"name": "random", "seed": 2}), "retrain": RETRAIN})
    (home / "data" / "toy" / "Fold1" / "test").mkdir(parents=True)
    folder = create(home / "fake", config, {})
    recorder = SearchRecorder(folder, config, Study(folder.journal, "fake", config))
    work_off(recorder)
    recorder.close()
    return folder


@pytest.fixture
def run(searched: RunFolder, tmp_path: Path) -> Path:
    shutil.copytree(searched.root, tmp_path / "fake")
    return tmp_path / "fake"


class Final:
    """The final stage in this process, which can be cut off after some jobs."""

    def __init__(self, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.run = run
        self.jobs: int | None = None
        self.printed = ""
        monkeypatch.setattr("search.retrain.models.training.run_jobs", self._work)
        monkeypatch.setattr("search.retrain.stage.evaluate_on_test", evaluate_here)

    def __call__(self, seeds: int | None = None, jobs: int | None = None) -> Outcome:
        self.jobs = jobs
        out = Console(file=io.StringIO(), width=200)
        try:
            return retrain(self.run, connect=nullcontext, console=out, work=WORK, seeds=seeds)
        finally:
            self.printed = out.file.getvalue()  # type: ignore[attr-defined]  # of a StringIO

    def looks(self) -> list[dict[str, Any]]:
        tree: list[dict[str, Any]] = json.loads((self.run / "retrain" / "looks.json").read_text())
        return tree

    def models(self) -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in self.run.glob("retrain/*/seed-*/*/best.safetensors")}

    def _work(self, queue: JobQueue, **_: object) -> None:
        done = 0
        while (job := queue.next_job()) is not None:
            if done == self.jobs:
                raise KeyboardInterrupt
            do_job(queue, job)
            done += 1


@pytest.fixture
def final(run: Path, monkeypatch: pytest.MonkeyPatch) -> Final:
    return Final(run, monkeypatch)


def test_more_seeds_train_only_those_and_look_once_more(final: Final) -> None:
    first = final()
    before = final.models()
    assert {claim.lead.seeds for claim in first.comparison.claims} == {(3, 3)}
    assert {claim.lead.error for claim in first.comparison.claims} == {0.02}
    second = final(seeds=5)
    assert second.champion == first.champion
    after = final.models()
    assert len(after) == len(before) + 3 * 2
    assert before.items() <= after.items()
    later = [claim for claim in second.comparison.claims if claim.look == 2]
    kept = [claim for claim in second.comparison.claims if claim.look == 1]
    assert {(claim.lead.seeds, claim.lead.error) for claim in later} == {((5, 5), 0.0025)}
    assert kept == [claim for claim in first.comparison.claims if claim.status == "shown"]
    assert OTHER in {claim.comparison for claim in kept}  # it is far behind
    assert [(look["number"], look["seeds"]) for look in final.looks()] == [(1, 3), (2, 5)]


def test_called_again_without_new_seeds_it_is_no_new_look(final: Final) -> None:
    final()
    second = final(seeds=5)
    looks = final.looks()
    for seeds in (None, 5):
        again = final(seeds)
        assert again.comparison == second.comparison
        assert final.printed == ""
        assert final.looks() == looks
    with pytest.raises(UserError, match="above the 5 that were tested, but got 3"):
        final(seeds=3)


def test_an_interrupted_look_goes_on_as_the_same(final: Final) -> None:
    final()
    with pytest.raises(KeyboardInterrupt):
        final(seeds=5, jobs=2)
    assert [(look["number"], look["seeds"], look["ended_at"] is None) for look in final.looks()] == [
        (1, 3, False),
        (2, 5, True),
    ]
    outcome = final()  # as the line that Ctrl-C prints says
    assert {claim.lead.seeds for claim in outcome.comparison.claims if claim.look == 2} == {(5, 5)}
    assert [look["number"] for look in final.looks()] == [1, 2]


def test_a_claim_that_was_changed_after_the_split_was_opened_is_said(final: Final) -> None:
    assert not final().comparison.notes
    manifest = yaml.safe_load((final.run / "run.yaml").read_text())
    manifest["config"]["retrain"]["claim"] = {"against": "published weights", "metric": "rank-1"}
    (final.run / "run.yaml").write_text(yaml.safe_dump(manifest))
    (note,) = final().comparison.notes
    assert note.startswith("retrain.claim was changed after the test split had been opened")
    assert "that with training without distillation in test mAP" in note


def test_report_and_terminal_say_which_look_it_is(final: Final) -> None:
    final()
    outcome = final(seeds=5)
    data = gather(final.run)
    section = claims_section(data)
    assert section is not None
    words = "99.5 % intervals (second look, error 0.25 %); what an earlier look showed keeps its own"
    assert words in section.caption
    assert {row["status"] for row in text.claims(data) if row["seeds"] == "3 / 3"} == {"shown, look 1"}
    assert not any("look" in row["status"] for row in text.claims(data) if row["seeds"] == "5 / 5")
    console = Console(file=io.StringIO(), width=80)
    console.print(final_stage_page(outcome.comparison))
    printed = console.file.getvalue()  # type: ignore[attr-defined]  # of a StringIO
    assert max(map(len, printed.splitlines())) <= 80
    assert "…" not in printed
    page = " ".join(printed.split())
    assert f"The champion's lead in points, with {words}" in page
    assert "shown, look 1" in page
