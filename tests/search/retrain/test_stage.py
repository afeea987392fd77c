"""The final stage on real Ray: who takes part, who wins, and when the test split is opened."""

from __future__ import annotations

import io
import json
import shutil
from collections import Counter
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
import yaml
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from launch.output.final_stage import final_stage_page
from owkd.config import NO_DISTILLATION, DistillConfig, parse_config
from owkd.errors import DataError, OwkdError, UserError
from search.luck.seeds import Seeds, SeedSet
from search.power import error_of_look
from search.report import write_report
from search.retrain.candidates import select_candidates
from search.retrain.comparison import Spread
from search.retrain.models import Records, Selection
from search.retrain.stage import FinalStage, FinalWork, retrain
from search.run_search import Work, search
from search.runs.damage import read_json, write_json
from search.runs.layout import RunFolder
from search.runs.manifest import create
from search.trials.states import State
from search.trials.view import Fixed, TrialView
from tests.support.fake_training import broken_evaluate, fake_check, fake_config, fake_evaluate, fake_run, make_plan
from tests.support.inline_jobs import work_off
from tests.support.queries import figures_from_queries, rows_of

WORK = FinalWork(fake_run, fake_evaluate)
FOLDS = ("Fold1", "Fold2")
RETRAIN = {"top_k": 2, "choice_budget": 4, "seeds": 2, "epochs": 3, "folds": list(FOLDS)}
CHOICE = 2 * 2 * 2
TESTED = (1 + 2) * 2 * 2
MODELS = CHOICE + TESTED
SEEDS = Seeds(0, (0,)).test(2)
LAST = SEEDS[-1]


def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def config_of(tmp_path: Path, **search):
    tree = fake_config(tmp_path, trials=4, sampler={"name": "random", "seed": 1}, **search)
    return parse_config({**tree, "retrain": RETRAIN})


def make_test_split(tmp_path: Path) -> None:
    for fold in FOLDS:
        (tmp_path / "data" / "toy" / fold / "test").mkdir(parents=True)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, _ray) -> Path:
    """A finished search of four trials; tests take a copy."""
    tmp_path = tmp_path_factory.mktemp("searched")
    make_test_split(tmp_path)
    search(
        config_of(tmp_path),
        tmp_path / "fake",
        connect=nullcontext,
        console=console(),
        work=Work(fake_run, fake_check),
    )
    return tmp_path


@pytest.fixture(scope="module")
def final(searched: Path, _ray):
    """The final stage of it, and what it printed."""
    out = console()
    outcome = retrain(searched / "fake", connect=nullcontext, console=out, work=WORK)
    return searched, outcome, out.file.getvalue()  # type: ignore[attr-defined]  # of a StringIO


def no_ray() -> None:
    raise AssertionError("a stage that is done needs no Ray")


def models_of(root: Path) -> list[dict]:
    path = root / "fake" / "results" / "retrain" / "models.parquet"
    relation = duckdb.sql(f"SELECT * FROM '{path}'")
    return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


def test_candidates_get_choice_seeds_and_the_champion_and_both_baselines_test_seeds(final) -> None:
    root, outcome, _ = final
    rows = models_of(root)
    trained = [row for row in rows if row["role"] != "teacher"]
    assert len(trained) == MODELS
    seeds = {name: {row["seed"] for row in rows if row["seed_set"] == name} for name in ("choice", "test")}
    assert (len(seeds["choice"]), len(seeds["test"])) == (2, 2)
    assert not seeds["choice"] & seeds["test"]
    assert 0 not in seeds["choice"] | seeds["test"]  # the search trained with it
    assert Counter(row["configuration"] for row in trained if row["seed_set"] == "test") == {
        outcome.champion: 4,
        "published weights": 4,
        "no distillation": 4,
    }
    assert set(Counter(row["configuration"] for row in trained if row["seed_set"] == "choice").values()) == {4}
    assert all((row["test/mAP"] is None) == (row["seed_set"] == "choice") for row in trained)
    assert len({(row["configuration"], row["fold"], row["seed"]) for row in trained}) == MODELS
    assert Counter(row["configuration"] for row in trained if row["role"] == "baseline") == {
        "published weights": 4,
        "no distillation": 4,
    }
    assert len({row["trial"] for row in trained if row["role"] == "candidate"}) == 2
    assert all(row["trial"] != 0 for row in trained)
    assert {row["state"] for row in rows} == {"complete"}
    for row in trained:
        assert (root / "fake" / row["checkpoint"]).is_file()
        assert not (root / "fake" / row["checkpoint"]).with_name("last.pt").exists()


def test_the_champion_is_the_candidate_with_the_best_mean_on_validation(final) -> None:
    root, outcome, _ = final
    means: dict[str, list[float]] = {}
    for row in models_of(root):
        if row["seed_set"] == "choice":
            means.setdefault(row["configuration"], []).append(row["val/mAP"])
    best = max(means, key=lambda name: sum(means[name]))
    assert outcome.champion == best
    assert {row["configuration"] for row in models_of(root) if row["champion"]} == {best}


def test_the_test_split_is_opened_once_for_each_model_when_all_are_trained(final) -> None:
    root, _, printed = final
    log = (root / "data" / "opened.log").read_text().splitlines()
    assert len(log) == len(set(log)) == TESTED + len(FOLDS)
    assert all(line.startswith("test ") for line in log)
    assert sum("teacher-" in line for line in log) == len(FOLDS)
    lines = printed.splitlines()
    opened = next(i for i, line in enumerate(lines) if "opening the test split" in line)
    assert not [line for line in lines[opened:] if " complete after epoch" in line]
    assert len([line for line in lines[:opened] if " complete after epoch" in line]) == MODELS


def test_the_figures_of_every_tested_model_follow_from_its_queries(final) -> None:
    root, _, _ = final
    tested = [row for row in models_of(root) if row["test/mAP"] is not None]
    found = figures_from_queries(root / "fake")
    assert len(tested) == len(found) == TESTED + len(FOLDS)
    for row in tested:
        figures = found[row["configuration"], row["fold"], row["seed"]]
        assert figures == pytest.approx((row["test/mAP"], row["test/rank-1"]), abs=1e-12)
    files = f"{root}/fake/results/retrain/queries/*.parquet"
    shared = "role, seed_set, min(query), count(DISTINCT identity), count(DISTINCT camera)"
    assert sorted(rows_of(f"SELECT {shared} FROM '{files}' GROUP BY ALL"), key=str) == [
        ("baseline", "test", 0, 16, 2),
        ("candidate", "test", 0, 16, 2),
        ("teacher", None, 0, 16, 2),
    ]


def test_a_model_without_its_queries_is_tested_again_and_no_other(final, tmp_path: Path, connect) -> None:
    root, outcome, _ = final
    shutil.copytree(root / "fake", tmp_path / "fake")
    queries = tmp_path / "fake" / "results" / "retrain" / "queries"
    lost = queries / f"no-distillation-Fold1-seed-{LAST}.parquet"
    content = pq.read_table(lost)
    lost.unlink()
    (queries / "trial-00099-Fold1-seed-5.parquet").write_bytes(b"of one who was champion once")
    log = root / "data" / "opened.log"
    before = log.read_text()
    again = retrain(tmp_path / "fake", connect=connect, console=console(), work=WORK)
    (opened,) = log.read_text().removeprefix(before).splitlines()
    assert opened.endswith(f"no-distillation/seed-{LAST}/Fold1/best.safetensors")
    assert again.comparison == outcome.comparison
    assert pq.read_table(lost).equals(content)
    assert len(list(queries.iterdir())) == TESTED + len(FOLDS)


def test_the_table_says_how_the_champion_stands(final) -> None:
    root, outcome, _ = final
    rows = {row.name: row for row in outcome.comparison.rows}
    assert list(rows) == ["teacher", "no distillation", "published weights", "champion"]
    champion = [row for row in models_of(root) if row["champion"] and row["seed_set"] == "test"]
    values = [row["test/mAP"] for row in champion]
    mean = sum(values) / 4
    deviation = (sum((value - mean) ** 2 for value in values) / 3) ** 0.5
    assert rows["champion"].mean_average_precision.mean == pytest.approx(mean)
    assert rows["champion"].mean_average_precision.std == pytest.approx(deviation)
    assert (rows["champion"].models, rows["teacher"].models, rows["champion"].parameters) == (4, 2, 45_500_000)
    # the published weights are the optimum of the stand-in: nothing that is searched can beat them
    comparison = outcome.comparison
    assert [
        (claim.kind, claim.comparison.other, claim.comparison.metric, claim.primary) for claim in comparison.claims
    ] == [
        (kind, name, metric, (name, metric) == ("published weights", "mAP"))
        for kind in ("split", "people")
        for metric in ("mAP", "rank-1")
        for name in ("published weights", "no distillation")
    ]
    assert [claim.status for claim in comparison.claims] == ["not shown", *["not tested"] * 3] * 2
    assert "the champion is above" not in comparison.headline()
    assert comparison.missing() == []
    assert len(comparison.others()) == 3
    assert "training without distillation was not tested" in comparison.others()[0]


def test_every_model_has_its_curves_in_tensorboard(final) -> None:
    root, _, _ = final
    folders = {path.name: path for path in (root / "fake" / "tensorboard").glob("retrain-*")}
    assert len(folders) == MODELS
    events = EventAccumulator(str(folders[f"retrain-published-weights-Fold2-seed-{LAST}"])).Reload()
    values = [(event.step, event.value) for event in events.Scalars("val/mAP")]
    assert [step for step, _ in values] == [1, 2, 3]
    (row,) = (
        row
        for row in models_of(root)
        if (row["configuration"], row["fold"], row["seed"]) == ("published weights", "Fold2", LAST)
    )
    assert values[row["best_epoch"] - 1][1] == pytest.approx(row["val/mAP"])


def test_the_claims_can_be_read_by_others(final) -> None:
    """Each lead is the difference of the means of one row a query, as anybody computes them."""
    root, outcome, _ = final
    path = root / "fake" / "results" / "retrain"
    relation = duckdb.sql(f"SELECT * FROM '{path}/comparison.parquet'")
    rows = [dict(zip(relation.columns, values, strict=True)) for values in relation.fetchall()]
    assert [(row["kind"], row["baseline"], row["metric"], row["status"]) for row in rows] == [
        (claim.kind, claim.comparison.other, f"test/{claim.comparison.metric}", claim.status)
        for claim in outcome.comparison.claims
    ]
    figures = figures_from_queries(root / "fake")
    for row in rows:
        at = ("test/mAP", "test/rank-1").index(row["metric"])
        ours, theirs = (
            sum(figures[name, fold, seed][at] for fold in FOLDS for seed in SEEDS) / 4
            for name in (outcome.champion, row["baseline"])
        )
        assert (row["champion_mean"], row["baseline_mean"]) == pytest.approx((ours, theirs))
        assert row["difference"] == pytest.approx(ours - theirs)
        assert (row["champion"], row["champion_seeds"], row["baseline_seeds"], row["folds"]) == (
            outcome.champion,
            2,
            2,
            2,
        )
        assert row["identities"] == (16 if row["kind"] == "people" else None)
        assert row["error"] == error_of_look(1)
        assert row["interval_low"] < row["difference"] < row["interval_high"]
    assert [row["primary"] for row in rows] == [True, False, False, False] * 2


def test_the_champion_can_be_taken_home(final) -> None:
    root, outcome, _ = final
    home = root / "fake" / "retrain" / "champion"
    metrics = json.loads((home / "metrics.json").read_text())
    config = parse_config(yaml.safe_load((home / "config.yaml").read_text()))
    tested = (row for row in models_of(root) if row["champion"] and row["seed_set"] == "test")
    best = max(tested, key=lambda row: row["val/mAP"])
    assert (metrics["fold"], metrics["seed"]) == (best["fold"], best["seed"])
    assert metrics["test"]["mAP"] == best["test/mAP"]
    assert metrics["comparison"]["headline"] == outcome.comparison.headline()
    assert len(metrics["comparison"]["claims"]) == len(outcome.comparison.claims)
    assert metrics["opened_before"] == []
    assert (home / "student.safetensors").read_bytes() == (root / "fake" / best["checkpoint"]).read_bytes()
    assert (config.train.seed, config.data.folds, config.train.epochs) == (best["seed"], (best["fold"],), 3)


def test_called_again_it_measures_nothing_twice(final) -> None:
    root, outcome, _ = final
    log = root / "data" / "opened.log"
    before = log.read_text()
    out = console()
    again = retrain(root / "fake", connect=no_ray, console=out, work=WORK)
    assert again.comparison == outcome.comparison
    assert log.read_text() == before
    assert out.file.getvalue() == ""  # type: ignore[attr-defined]  # of a StringIO


def test_an_interrupted_stage_does_only_what_is_left(final, tmp_path: Path, connect) -> None:
    root, outcome, _ = final
    shutil.copytree(root / "fake", tmp_path / "fake")
    lost = tmp_path / "fake" / "retrain" / "published-weights" / f"seed-{LAST}" / "Fold2"
    (lost / "metrics.json").unlink()
    shutil.rmtree(tmp_path / "fake" / "retrain" / "champion")
    log = root / "data" / "opened.log"
    before = log.read_text()
    out = console()
    again = retrain(tmp_path / "fake", connect=connect, console=out, work=WORK)
    done = [line for line in out.file.getvalue().splitlines() if " complete after epoch" in line]  # type: ignore[attr-defined]  # of a StringIO
    assert len(done) == 1
    assert f"published weights, Fold2, seed {LAST}" in done[0]
    assert again.comparison == outcome.comparison
    assert log.read_text().removeprefix(before).splitlines() == [f"test Fold2 {lost}/best.safetensors"]
    assert (tmp_path / "fake" / "retrain" / "champion" / "student.safetensors").is_file()


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs run in this process, one after the other; the test split's evaluation still goes over Ray."""

    monkeypatch.setattr("search.retrain.models.training.run_jobs", work_off)


@pytest.mark.usefixtures("inline")
def test_a_contender_that_fails_is_named_and_does_not_win(searched: Path, tmp_path: Path, connect, request) -> None:
    shutil.copytree(searched / "fake", tmp_path / "fake", ignore=shutil.ignore_patterns("retrain"))
    make_plan(searched, {"no-distillation": "diverge"})
    request.addfinalizer(lambda: (searched / "data" / "plan.json").unlink())
    outcome = retrain(tmp_path / "fake", connect=connect, console=console(), work=WORK)
    assert [row.name for row in outcome.comparison.rows] == ["teacher", "published weights", "champion"]
    assert f"no distillation, Fold1, seed {SEEDS[0]}" in outcome.comparison.notes[0]
    (missing,) = outcome.comparison.missing()
    assert missing.startswith("There is no comparison of the champion with training without distillation: none of its")
    assert {claim.comparison.other for claim in outcome.comparison.claims} == {"published weights"}
    failed = [row for row in models_of(tmp_path) if row["configuration"] == "no distillation"]
    assert {(row["state"], row["error_type"]) for row in failed} == {("diverged", "DivergedError")}


@pytest.mark.usefixtures("inline")
def test_a_model_whose_evaluation_fails_costs_no_other_its_result(searched: Path, tmp_path: Path, connect) -> None:
    shutil.copytree(searched / "fake", tmp_path / "fake", ignore=shutil.ignore_patterns("retrain"))
    work = FinalWork(fake_run, broken_evaluate)
    (searched / "data" / "broken").write_text(f"published-weights/seed-{LAST}/Fold2")
    with pytest.raises(
        OwkdError, match=rf"could not be evaluated.*\n.*published-weights/Fold2/seed-{LAST}: .*no such luck"
    ):
        retrain(tmp_path / "fake", connect=connect, console=console(), work=work)
    (searched / "data" / "broken").write_text("nothing")
    out = console()
    outcome = retrain(tmp_path / "fake", connect=connect, console=out, work=work)
    assert "opening the test split for 1 models" in out.file.getvalue()  # type: ignore[attr-defined]  # of a StringIO
    assert [claim.lead.seeds for claim in outcome.comparison.claims] == [(2, 2)] * 8


def test_it_says_how_far_this_teacher_is_ahead_of_training_without_distillation(final) -> None:
    root, outcome, _ = final
    lead = outcome.comparison.teacher
    assert lead is not None
    shown = {row.name: row.mean_average_precision.mean for row in outcome.comparison.rows}
    assert lead.teacher == pytest.approx(shown["teacher"])
    assert lead.student == pytest.approx(shown["no distillation"])
    assert lead.seeds == len(SEEDS)
    said = outcome.comparison.teaching()
    assert "to teach: " in said or "nothing to distil: " in said
    assert f"the luck of {len(SEEDS)} trainings" in said
    out = console()
    out.print(final_stage_page(outcome.comparison))
    assert said in " ".join(out.file.getvalue().split())  # type: ignore[attr-defined]  # of a StringIO
    assert said in " ".join(write_report(root / "fake", root / "page.html").read_text(encoding="utf-8").split())
    assert (
        json.loads((root / "fake" / "retrain" / "champion" / "metrics.json").read_text())["comparison"]["teaching"]
        == said
    )


def test_a_split_that_was_opened_for_another_champion_is_never_called_untouched_again(final, tmp_path: Path) -> None:
    root, outcome, _ = final
    assert not outcome.comparison.notes
    shutil.copytree(root / "fake", tmp_path / "fake")
    metrics = tmp_path / "fake" / "retrain" / "champion" / "metrics.json"
    write_json(metrics, {**read_json(metrics), "configuration": "trial 99"})
    for _ in range(2):
        again = retrain(tmp_path / "fake", connect=no_ray, console=console(), work=WORK)
        (note,) = again.comparison.notes
        assert note.startswith("The test split was opened before, when the champion was trial 99. What was decided")
        assert json.loads(metrics.read_text())["opened_before"] == ["trial 99"]


def test_a_model_that_was_not_trained_costs_a_seed_and_unequal_numbers_are_compared(final, tmp_path: Path) -> None:
    root, outcome, _ = final
    stage = FinalStage(root / "fake", console(), WORK)
    stage.open()
    stage.check()
    champion = next(each for each in stage.candidates if each.name == outcome.champion)
    stage.has_work()
    lost = next(key for key in stage.records.by_key if key == f"published-weights/Fold2/seed-{LAST}")
    stage.records.by_key[lost].state = "error"
    comparison = stage.findings.comparison(champion)
    assert {claim.lead.seeds for claim in comparison.claims if claim.comparison.other == "published weights"} == {
        (2, 1)
    }
    assert "because a test takes two seeds of each" in comparison.headline()
    published = comparison.row("published weights")
    assert published is not None
    assert published.models == 2
    assert comparison.notes[0].startswith(f"Not trained: published weights, Fold2, seed {LAST}.")


def test_a_champion_that_is_the_published_setting_is_not_compared_with_itself(final) -> None:
    root, _, _ = final
    stage = FinalStage(root / "fake", console(), WORK)
    stage.open()
    stage.check()
    stage.has_work()
    comparison = stage.findings.comparison(stage._baseline("published weights"))
    assert {claim.comparison.other for claim in comparison.claims} == {"no distillation"}
    assert not any(claim.primary for claim in comparison.claims)
    assert comparison.headline() == (
        "The champion is the published weights: no other trial of the search is complete and keeps its constraints, so "
        "searching led to nothing that could be compared."
    )
    assert comparison.missing() == []


def test_a_test_split_that_changed_between_two_evaluations_is_found(final, tmp_path: Path) -> None:
    root, _, _ = final
    shutil.copytree(root / "fake", tmp_path / "fake")
    file = tmp_path / "fake" / "results" / "retrain" / "queries" / f"published-weights-Fold1-seed-{LAST}.parquet"
    table = pq.read_table(file)
    pq.write_table(table.slice(1), file)
    with pytest.raises(
        OwkdError, match=r"tested on the same images, but .*Fold1.*; restore the test split, remove .*queries"
    ):
        retrain(tmp_path / "fake", connect=no_ray, console=console(), work=WORK)


def test_a_final_stage_of_an_earlier_version_is_not_taken_up_without_being_asked(final, tmp_path: Path) -> None:
    root, _, _ = final
    shutil.copytree(root / "fake", tmp_path / "fake")
    models = tmp_path / "fake" / "results" / "retrain" / "models.parquet"
    as_0_1_0_wrote_it = pq.read_table(models).drop_columns("seed_set").replace_schema_metadata()
    pq.write_table(as_0_1_0_wrote_it, models)
    metrics = tmp_path / "fake" / "retrain" / "champion" / "metrics.json"
    stored = {**read_json(metrics), "comparison": {"paired_tests": {}, "verdict": [], "notes": []}}
    write_json(metrics, {name: value for name, value in stored.items() if name != "opened_before"})
    with pytest.raises(UserError, match=r"is of an earlier one.*owkd report .*fake shows what it said, and --reopen"):
        retrain(tmp_path / "fake", connect=no_ray, console=console(), work=WORK)
    again = retrain(tmp_path / "fake", connect=no_ray, console=console(), work=WORK, reopen=True)
    (note,) = again.comparison.notes
    assert f"when the champion was {again.champion} of an earlier version." in note
    assert retrain(tmp_path / "fake", connect=no_ray, console=console(), work=WORK).comparison.notes == (note,)


def view(
    number: int, objective: float | None, gram: float, state: State = "complete", fixed: Fixed | None = None
) -> TrialView:
    at = datetime.now(UTC)
    values = {"distill.gram": gram}
    return TrialView(number, state, 1, fixed, False, values, {}, objective, 1, at, at, None, None, None)


def test_the_best_different_complete_trials_take_part_and_the_fixed_ones_as_baselines(tmp_path: Path) -> None:
    views = [
        view(0, 0.99, 1e-4, fixed="published weights"),
        view(1, 0.98, 0.0, fixed="no distillation"),
        view(2, 0.9, 1e-3, "pruned"),
        view(3, 0.7, 3e-4),
        view(4, 0.8, 2e-4),
        view(5, 0.7, 2e-4),
        view(6, None, 2e-3, "error"),
    ]
    found = select_candidates(config_of(tmp_path), views)
    assert [candidate.slug for candidate in found] == [
        "trial-00004",
        "trial-00003",
        "published-weights",
        "no-distillation",
    ]
    assert [candidate.config.distill.gram for candidate in found] == [2e-4, 3e-4, 1e-4, 0]
    assert found[2].config.distill == DistillConfig()
    assert found[3].config.distill == NO_DISTILLATION
    assert all(candidate.config.train.epochs == 3 for candidate in found)
    selection = Selection(config_of(tmp_path), found, Records(RunFolder(tmp_path), "val/mAP"))
    first = selection.models()  # of the choice all, while it is under way, and of the test what needs no champion
    assert len(first) == len({model.key for model in first}) == CHOICE + TESTED - 4
    assert [model.seed_set for model in first] == [SeedSet.CHOICE] * CHOICE + [SeedSet.TEST] * 8
    assert [model.seed for model in first[:4]] == [selection.choice_seeds[0]] * 4
    assert selection.most_models == MODELS
    assert selection.champion() is None


def test_a_run_without_a_complete_trial_is_refused(tmp_path: Path) -> None:
    create(tmp_path / "fake", config_of(tmp_path), {})
    with pytest.raises(UserError, match=r"must have a complete trial.*owkd resume"):
        retrain(tmp_path / "fake", connect=nullcontext, console=console(), work=WORK)


def test_a_missing_test_split_is_refused_before_any_training(searched: Path, tmp_path: Path) -> None:
    shutil.copytree(searched / "fake", tmp_path / "fake", ignore=shutil.ignore_patterns("retrain"))
    manifest = yaml.safe_load((tmp_path / "fake" / "run.yaml").read_text())
    manifest["config"]["data"]["root"] = str(tmp_path / "elsewhere")
    (tmp_path / "fake" / "run.yaml").write_text(yaml.safe_dump(manifest))
    with pytest.raises(DataError, match=r"must have a test split, but there is no .*elsewhere/toy/Fold1/test"):
        retrain(tmp_path / "fake", connect=nullcontext, console=console(), work=WORK)
    assert not (tmp_path / "fake" / "retrain").exists()


@pytest.mark.usefixtures("inline")
def test_nothing_is_chosen_when_nothing_could_be_trained(searched: Path, tmp_path: Path, connect, request) -> None:
    shutil.copytree(searched / "fake", tmp_path / "fake", ignore=shutil.ignore_patterns("retrain"))
    make_plan(searched, {"retrain": "refuse"})
    request.addfinalizer(lambda: (searched / "data" / "plan.json").unlink())
    log = searched / "data" / "opened.log"
    before = log.read_text() if log.exists() else ""
    with pytest.raises(OwkdError, match=r"no configuration could be trained.*cannot teach here"):
        retrain(tmp_path / "fake", connect=connect, console=console(), work=WORK)
    assert (log.read_text() if log.exists() else "") == before


def test_spread_is_the_sample_standard_deviation() -> None:
    assert Spread.of([1.0, 2.0, 4.0]) == Spread(pytest.approx(7 / 3), pytest.approx((14 / 3 / 2) ** 0.5))
    assert Spread.of([0.5]) == Spread(0.5, None)
