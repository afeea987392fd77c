"""Figures show the numbers they are given, and drawing them leaves nothing behind."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from owkd.errors import DataError
from owkd.evaluation import evaluate_embeddings
from owkd.evaluation.figures import accuracy_figure, cmc_figure, loss_figure, precision_recall_figure, save_png

pytestmark = pytest.mark.numeric

HISTORY = [
    {"loss/total": 3.0, "val/mAP": 0.25, "val/rank-1": 0.5},
    {"loss/total": 2.0, "val/mAP": 0.75, "val/rank-1": 0.5},
    {"loss/total": 1.5, "val/mAP": 0.5},
]


@pytest.fixture
def result():
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(10), 4)
    return evaluate_embeddings(rng.standard_normal((10, 8))[people] + rng.standard_normal((40, 8)), people)


def axes_of(figure) -> Any:
    """The only axes; matplotlib declares less of what their lines hold than the arrays that they do."""
    (axes,) = figure.axes
    return axes


def legend_of(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_cmc_figure_shows_the_curve_of_each_result(result):
    figure = cmc_figure({"Fold1": result, "Fold2": result}, "Test split")
    axes = axes_of(figure)
    assert len(axes.lines) == 2
    assert axes.lines[0].get_xdata().tolist() == list(range(1, 21))
    assert axes.lines[0].get_ydata() == pytest.approx(100 * result.cmc)
    assert axes.lines[0].get_color() != axes.lines[1].get_color()
    assert axes.get_title(loc="left") == "Test split"
    assert axes.get_xlabel() == "rank"
    assert axes.get_ylabel().endswith("(%)")
    assert legend_of(figure)[0] == f"Fold1: rank-1 {100 * result.cmc[0]:.1f} %"


def test_precision_recall_figure_shows_the_curve_of_each_result(result):
    figure = precision_recall_figure({"student": result})
    axes = axes_of(figure)
    assert axes.lines[0].get_xdata() == pytest.approx(np.arange(101))
    assert axes.lines[0].get_ydata() == pytest.approx(100 * result.precision)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("recall (%)", "precision, mean over queries (%)")
    assert legend_of(figure) == [f"student: mAP {100 * result.mean_average_precision:.1f} %"]


def test_loss_figure_shows_every_epoch():
    axes = axes_of(loss_figure(HISTORY))
    assert axes.lines[0].get_xdata().tolist() == [1, 2, 3]
    assert axes.lines[0].get_ydata().tolist() == [3.0, 2.0, 1.5]


def test_accuracy_figure_shows_what_there_is_and_names_the_best_epoch():
    figure = accuracy_figure(HISTORY)
    mean_ap, rank1 = axes_of(figure).lines
    assert mean_ap.get_ydata().tolist() == [25, 75, 50]
    assert rank1.get_ydata()[:2].tolist() == [50, 50]
    assert np.isnan(rank1.get_ydata()[2])
    assert legend_of(figure) == ["mAP: best 75.0 % (epoch 2)", "rank-1: best 50.0 % (epoch 1)"]


def test_accuracy_figure_without_any_accuracy_is_empty(tmp_path):
    figure = accuracy_figure([{"loss/total": 1.0}])
    assert not figure.axes[0].lines
    assert save_png(figure, tmp_path / "accuracy.png").stat().st_size > 1000


def test_more_results_than_colours_stay_apart(result):
    (axes,) = cmc_figure({f"trial {i}": result for i in range(20)}).axes
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.lines}) == 20


@pytest.mark.parametrize("draw", [cmc_figure, precision_recall_figure])
def test_no_result_is_refused(draw):
    with pytest.raises(DataError, match="at least one result or epoch"):
        draw({})


@pytest.mark.parametrize("draw", [loss_figure, accuracy_figure])
def test_no_epoch_is_refused(draw):
    with pytest.raises(DataError, match="at least one result or epoch"):
        draw([])


def test_png_appears_whole_and_always_the_same(tmp_path, result):
    first = save_png(cmc_figure({"Fold1": result}), tmp_path / "new" / "cmc.png")
    second = save_png(cmc_figure({"Fold1": result}), tmp_path / "again.png")
    assert first.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert first.read_bytes() == second.read_bytes()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["cmc.png"]


def test_a_failed_save_leaves_the_old_file(tmp_path, result, monkeypatch):
    path = save_png(cmc_figure({"Fold1": result}), tmp_path / "cmc.png")
    before = path.read_bytes()
    figure = cmc_figure({"Fold2": result})

    def fail(file, **_):
        file.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        save_png(figure, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_matplotlib_is_loaded_late_and_pyplot_never():
    code = """
import sys
from owkd.evaluation.figures import loss_figure
assert not any(name.split(".")[0] == "matplotlib" for name in sys.modules)
loss_figure([{"loss/total": 1.0}])
assert "matplotlib.figure" in sys.modules
assert "matplotlib.pyplot" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
