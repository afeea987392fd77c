"""The report: what it says of a run, by hand; that it is one file; and that a browser shows it without an error."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from launch.cli import run_command
from owkd.config import parse_config
from search.report import write_report
from search.report.gather import RunData, gather
from search.report.importance import importances
from search.report.model_figures import claims as claims_figure
from search.report.model_figures import ranking
from search.report.search_figures import parallel, pareto
from search.report.sections import sections
from search.report.style import GRAY
from search.report.text import EARLIER_VERSION, candidates, cost, failures, headline, status
from search.results.parquet import write_table
from search.retrain.candidates import Candidate
from search.retrain.claims import Claim, Kind, Lead, PlannedComparison, Status
from search.retrain.comparison import Comparison, ComparisonRow, Spread
from search.retrain.tables import MODEL_FIELDS, write_comparison
from search.runs.layout import RunFolder, trial_name
from search.runs.manifest import create, open_run
from search.tensorboard.panels import CURVES
from tests.support.browser import needs_chromium, open_page

SPACE = {
    "distill.teacher_weights": {"type": "simplex"},
    "distill.gram": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
    "train.epochs": {"type": "categorical", "choices": [4, 8]},
}
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def trial(number: int, state: str = "complete", objective: float | None = 0.5, steps: int = 4, **more) -> dict:
    """A row of the trials table. `original` decides the objective in some tests, the rest is noise."""
    return {
        "trial": number,
        "state": state,
        "attempt": 1,
        "published": number == 0,
        "fixed": "published weights" if number == 0 else None,
        "feasible": True,
        "objective": objective,
        "best_step": steps,
        "last_step": steps,
        "duration_s": 60.0 * steps,
        "started_at": NOW,
        "ended_at": NOW,
        "error_type": None,
        "error_text": None,
        "param.distill.teacher_weights.original": 1.0,
        "param.distill.teacher_weights.attention": 1.0,
        "param.distill.teacher_weights.gce": 1.0,
        "param.distill.gram": 1e-4,
        "param.train.epochs": 4,
        **more,
    }


def make_run(root: Path, trials: list[dict], **search) -> RunFolder:
    config = parse_config(
        {
            "data": {"root": "/data", "dataset": "D"},
            "search": {"trials": 20, "scheduler": {"grace_epochs": 1}, "space": SPACE, **search},
            "train": {"epochs": 4},
        }
    )
    folder = create(root, config, {})
    for row in trials:
        name = trial_name(row["trial"])
        schema = pa.Table.from_pylist([{**row, **trial(0, error_type="E", error_text="T")}]).schema
        write_table(folder.results / "trials" / f"{name}.parquet", schema, [row])
        epochs = [
            {
                "trial": row["trial"],
                "fold": "Fold1",
                "seed": 0,
                "epoch": step,
                "step": step,
                "objective": (row["objective"] or 0.0) * step / row["last_step"],
                "duration_s": 60.0,
                **{f"stage_weight/{stage}": 1.0 for stage in range(1, 5)},
            }
            for step in range(1, row["last_step"] + 1)
        ]
        if epochs:
            schema = pa.Table.from_pylist(epochs).schema
            write_table(folder.results / "epochs" / f"{name}.parquet", schema, epochs)
    return folder


CHOSEN_AMONG = ("trial-00001", "trial-00002")


def finish(folder: RunFolder) -> None:
    """Adds a final stage: two models of the champion and of a baseline, and those that chose the champion."""
    empty = dict.fromkeys(MODEL_FIELDS)
    models = [
        empty
        | {"configuration": name, "champion": name == "trial-00002", "fold": "Fold1", "seed": seed, "state": "complete"}
        | {"test/mAP": value + seed / 100, "test/rank-1": value, "parameters": 2_500_000}
        for name, value in (("no distillation", 0.5), ("trial-00002", 0.6))
        for seed in (0, 1)
    ]
    choice = {"fold": "Fold1", "seed": 2, "seed_set": "choice", "state": "complete", "parameters": None}
    models += [empty | choice | {"configuration": name, "champion": name == "trial-00002"} for name in CHOSEN_AMONG]
    write_table(folder.results / "retrain" / "models.parquet", pa.schema(MODEL_FIELDS.items()), models)
    config = open_run(folder.root)[1]
    champion = Candidate("trial-00002", "trial-00002", "candidate", 2, config)
    claims = (
        claim("split", "published weights", "shown", 0.02, 0.18),
        claim("split", "no distillation", "not shown", -0.01, 0.21),
        claim("people", "published weights", "not shown", -0.03, 0.23),
        claim("people", "no distillation", "not tested", None, None),
    )
    write_comparison(folder.results, champion, claims)
    row = ComparisonRow("champion", "trial 2", Spread(0.6, 0.01), Spread(0.6, 0.01), 2_500_000, 2)
    notes = ("A note on <b>.",)
    comparison = Comparison((row,), claims, PRIMARY, ("published weights", "no distillation"), (), notes)
    folder.champion.mkdir(parents=True)
    (folder.champion / "metrics.json").write_text(json.dumps({"comparison": comparison.to_dict()}))


PRIMARY = PlannedComparison("published weights", "mAP")


def claim(kind: Kind, other: str, status: Status, low: float | None, high: float | None) -> Claim:
    found = {"standard_error": 0.03, "degrees": 9.0} if low is not None else {}
    people = 30 if kind == "people" else None
    lead = Lead(0.6, 0.5, (2, 2), 1, people, 0.02, low=low, high=high, **found)
    comparison = PlannedComparison(other, "mAP")
    return Claim(kind, comparison, comparison == PRIMARY, lead, status)


def draw(folder: RunFolder, number: int) -> None:
    """Adds the pictures of a trial."""
    place = folder.panels / trial_name(number)
    place.mkdir(parents=True)
    curves = {
        "mAP": 0.6,
        "cmc": [0.5 + rank / 40 for rank in range(20)],
        "precision": [1 - i / 200 for i in range(101)],
    }
    (place / CURVES).write_text(json.dumps(curves))
    buffer = io.BytesIO()
    Image.new("RGB", (60, 40), "gray").save(buffer, "png")
    (place / "retrieval.png").write_bytes(buffer.getvalue())


MIXED = [
    trial(0, objective=0.5),
    trial(1, "pruned", 0.2, steps=1),
    trial(2, objective=0.6),
    trial(3, "diverged", None, 0, error_type="DivergedError", error_text="loss is not finite in epoch 1: total"),
    trial(4, "error", None, 0, error_type="OSError", error_text="Traceback\n  disk <full>"),
    trial(5, "error", None, 0, error_type="OSError", error_text="Traceback\n  disk <full>"),
    trial(6, "pruned", 0.3, steps=2, **{"param.train.epochs": 8}),
    trial(7, "running", 0.4, steps=3),
]


def test_a_parameter_that_is_off_in_every_trial_has_an_axis(tmp_path: Path) -> None:
    rows = [{**trial(number, objective=0.5 + number / 10), "param.distill.gram": 0.0} for number in range(3)]
    figure = parallel(gather(make_run(tmp_path / "run", rows).root))
    assert figure is not None
    values = {dimension.label: tuple(dimension["values"]) for dimension in figure.data[0].dimensions}
    assert values["gram"] == (0.0, 0.0, 0.0)


def test_stopped_trials_are_gray_and_marked_by_their_epochs(tmp_path: Path) -> None:
    rows = [trial(0, objective=0.5), trial(1, "pruned", 0.9, steps=1), trial(2, objective=0.6)]
    folder = make_run(tmp_path / "run", rows)
    figure = parallel(gather(folder.root))
    assert figure is not None
    line, dimensions = (
        figure.data[0].line,
        {dimension.label: dimension.values for dimension in figure.data[0].dimensions},
    )
    colors = dict(zip(dimensions["epochs"], line.color, strict=True))
    assert colors[4] >= 0.5
    assert colors[1] == line.cmin < 0.5, "a higher figure over fewer epochs must not be bright"
    assert line.colorscale[0][1] == line.colorscale[1][1] == GRAY
    page = write_report(folder.root).read_text()
    assert re.search(r'<tr class="stopped"><td>1</td><td class="text">pruned</td><td>0.9000</td><td>1/4</td>', page)
    assert "<td>4/4</td>" in page
    assert "<th>val/mAP</th><th>epochs</th><th>best then</th>" in page


def test_a_figure_that_cannot_be_drawn_costs_nothing_but_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(data: RunData) -> None:
        raise ValueError("no axis is long enough")

    monkeypatch.setattr("search.report.search_figures.history", refuse)
    found = {section.anchor: section for section in sections(gather(make_run(tmp_path / "run", MIXED).root))}
    assert found["history"].caption == "This figure could not be drawn: no axis is long enough"
    assert "figure-curves" in found["curves"].html


def test_words_by_hand(tmp_path: Path):
    data = gather(make_run(tmp_path / "run", MIXED).root)
    assert status(data) == ("7 of 20 trials are over: 2 complete, 2 pruned, 2 error, 1 diverged; 1 interrupted"), (
        "nobody drives it"
    )
    assert headline(data)[0] == "The best complete trial so far is trial 2 with val/mAP 0.6000."
    assert "10.0 points apart" in headline(data)[1]
    assert "owkd retrain" in headline(data)[2]
    spent = cost(data)
    assert spent.spent_s == pytest.approx(60 * (4 + 1 + 4 + 2 + 3))
    assert spent.saved_s == pytest.approx(60 * (3 + 6)), "3 of 4 epochs of trial 1, 6 of 8 of trial 6"
    assert spent.gpu_s is None
    causes = failures(data)
    assert [(cause["state"], cause["count"], cause["trials"]) for cause in causes] == [
        ("error", 2, "4, 5"),
        ("diverged", 1, "3"),
    ]
    assert causes[0]["text"] == "disk <full>"


def test_hours_on_a_gpu_count_its_share(tmp_path: Path):
    rows = [trial(0), trial(1)]
    data = gather(make_run(tmp_path / "run", rows).root)
    for row in data.trials:
        row["gpu_share"] = 0.25
    assert cost(data).gpu_s == pytest.approx(2 * 4 * 60 / 4)


def test_the_quantity_that_decides_is_the_most_important_one(tmp_path: Path):
    rows = []
    for number in range(40):
        weight = 3 * ((number * 7) % 40) / 40
        rows.append(
            trial(number, objective=1 - abs(weight - 1.5) / 3)
            | {
                "param.distill.teacher_weights.original": weight,
                "param.distill.teacher_weights.attention": 3 * ((number * 11) % 40) / 40,
                "param.distill.teacher_weights.gce": 3 * ((number * 13) % 40) / 40,
                "param.distill.gram": 10 ** (-6 + 4 * ((number * 17) % 40) / 40),
            }
        )
    found = importances(gather(make_run(tmp_path / "run", rows).root))
    assert next(iter(found)) == "distill.teacher_weights.original"
    assert sum(found.values()) == pytest.approx(1)
    assert "train.epochs" not in found, "it never varied"


def test_the_trade_off_joins_what_nothing_beats_and_the_best_keeps_every_constraint(tmp_path: Path):
    costs = {0: (0.5, 4.0, True), 1: (0.6, 6.0, True), 2: (0.55, 7.0, True), 3: (0.9, 99.0, False)}
    rows = [
        trial(number, objective=value, feasible=feasible) | {"metric.val/mAP": value, "metric.latency_ms": cost}
        for number, (value, cost, feasible) in costs.items()
    ]
    objectives = [{"metric": "val/mAP"}, {"metric": "latency_ms"}]
    folder = make_run(tmp_path / "run", rows, objectives=objectives, constraints=["latency_ms <= 50"])
    data = gather(folder.root)
    assert data.best is not None
    assert data.best["trial"] == 1
    figure = pareto(data)
    assert figure is not None
    front = figure.data[1]
    assert (list(front.x), list(front.y), list(front.text)) == ([4.0, 6.0], [0.5, 0.6], ["0", "1"])
    assert "Trade-off" in write_report(folder.root).read_text()


def test_too_few_trials_have_no_importance(tmp_path: Path):
    folder = make_run(tmp_path / "run", MIXED)
    assert importances(gather(folder.root)) == {}
    assert "there are 2 of them" in write_report(folder.root).read_text()


def test_one_file_that_asks_the_network_for_nothing(tmp_path: Path):
    folder = make_run(tmp_path / "run", MIXED)
    finish(folder)
    draw(folder, 2)
    assert run_command(["report", str(folder.root)]) == 0
    text = (folder.root / "report.html").read_text()
    body = re.sub(r"<script>.*?</script>", "", text, flags=re.S)
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", body)
    assert "On this test split, the champion is above the published weights; for people of this kind" in body
    assert "The others in words" in body
    assert "the champion was not shown to be above training without distillation" in body
    assert "A note on &lt;b&gt;." in body
    assert "Training images and gallery are taken as they are" in body
    assert "champion (trial-00002)" in body
    assert "0.6050 ± 0.0071" in body, "mean and sample deviation of 0.60 and 0.61"
    assert body.index("On this test split") < body.index("figure-claims") < body.index("0.6050 ± 0.0071")
    assert "<td>+10.0</td><td>+2.0 to +18.0</td>" in body
    assert body.count('<tr class="soft">') == 1
    assert "disk &lt;full&gt;" in body
    assert list(folder.root.glob(".*.tmp")) == []


def test_a_run_without_a_trial_has_a_report(tmp_path: Path):
    folder = make_run(tmp_path / "run", [])
    text = write_report(folder.root, tmp_path / "new" / "r.html").read_text()
    assert "No trial is complete yet" in text
    assert "No trial has a value yet" in text


def test_a_flat_curve_of_one_trial_is_named_and_in_sight(tmp_path: Path):
    folder = make_run(tmp_path / "run", MIXED)
    draw(folder, 2)
    for curve in ranking(gather(folder.root)):
        assert curve.layout.showlegend
        low, high = curve.layout.yaxis.range
        values = list(curve.data[0].y)
        assert 0 <= low <= min(values)
        assert low <= 90
        assert high > 100


def test_what_is_no_run_is_refused(tmp_path: Path, capfd):
    assert run_command(["report", str(tmp_path)]) == 2
    assert "run.yaml" in capfd.readouterr().err


@needs_chromium
def test_a_browser_shows_every_figure_without_an_error(tmp_path: Path):
    folder = make_run(tmp_path / "run", MIXED)
    finish(folder)
    draw(folder, 2)
    file = write_report(folder.root)
    problems: list[str] = []
    with open_page(problems, width=390) as page:
        page.on("request", lambda request: problems.append(request.url) if request.url.startswith("http") else None)
        page.goto(file.as_uri())
        page.wait_for_selector("#box-precision .main-svg")
        sections = "all => new Set(all.map(part => part.closest('section').id)).size"
        drawn = page.eval_on_selector_all("section .main-svg", sections)
        assert (
            drawn == 8
        )  # claims, final stage, history, curves, parallel, stages, CMC, precision; no importance of two trials
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, "fits a phone"
        light = _brightness_of_text(page)
        page.emulate_media(color_scheme="dark")
        page.wait_for_timeout(500)
        dark = _brightness_of_text(page)
        page.emulate_media(media="print")
        page.set_viewport_size({"width": 700, "height": 1000})  # A4 between its margins
        widest = "tables => Math.max(...tables.map(table => table.getBoundingClientRect().right))"
        assert page.eval_on_selector_all("table", widest) <= 700, "what is cut off on paper cannot be scrolled to"
    assert problems == []
    assert light < 128 < dark, "text of the figures takes the colour of the page"


def _brightness_of_text(page) -> int:
    """Red of the axis labels, 0 to 255."""
    ink = page.evaluate("getComputedStyle(document.querySelector('#figure-history .xtick text')).fill")
    return int(re.findall(r"\d+", ink)[0])


def test_models_that_chose_the_champion_are_not_counted_among_the_tested(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", [trial(0)])
    finish(folder)
    rows = candidates(gather(folder.root))
    assert [(row["name"], row["models"]) for row in rows] == [("champion (trial-00002)", 2), ("no distillation", 2)]


def test_the_table_of_means_is_of_the_models_that_the_claims_are_made_of(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", [trial(0)])
    finish(folder)
    data = gather(folder.root)
    second = [{**row, "fold": "Fold2", "test/mAP": row["test/mAP"] + 0.1} for row in data.models if row["test/mAP"]]
    second[0]["test/mAP"] = None  # no distillation, seed 0: not trained
    rows = candidates(replace(data, models=[*data.models, *second]))
    assert [(row["models"], row["map"]) for row in rows] == [(4, "0.6550 ± 0.0580"), (2, "0.5600 ± 0.0707")]


def test_the_picture_holds_every_interval_and_greys_what_was_not_tested(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", [trial(0)])
    finish(folder)
    figure = claims_figure(gather(folder.root))
    drawn = {trace.name: trace for trace in figure.data}
    assert set(drawn) == {"on this test split", "for people of this kind", "for people of this kind, not tested"}
    split = drawn["on this test split"]
    assert list(split.x) == pytest.approx([10, 10])
    assert [x + up for x, up in zip(split.x, split.error_x.array, strict=True)] == pytest.approx([18, 21])
    assert [x - down for x, down in zip(split.x, split.error_x.arrayminus, strict=True)] == pytest.approx([2, -1])
    untested = drawn["for people of this kind, not tested"]
    assert untested.marker.color == GRAY
    assert list(untested.error_x.array) == [0]
    assert figure.layout.shapes[0].x0 == figure.layout.shapes[0].x1 == 0
    assert list(figure.layout.yaxis.ticktext) == ["published weights,<br>mAP", "no distillation,<br>mAP"]


def test_what_an_earlier_version_said_stays_as_it_was_with_a_word_on_its_weakness(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", [trial(0)])
    finish(folder)
    (folder.results / "retrain" / "comparison.parquet").unlink()
    said = "The champion's test mAP is 6.3 points above that of the published weights"
    old = {"paired_tests": {"caveat": "..."}, "verdict": [said], "notes": ["Not trained: nothing."]}
    (folder.champion / "metrics.json").write_text(json.dumps({"comparison": old}))
    assert headline(gather(folder.root)) == [EARLIER_VERSION, said, "Not trained: nothing."]
    text = write_report(folder.root).read_text()
    assert "figure-claims" not in text
    assert "7.3 % of simulated runs" in text
