"""Damaged files of a run: no command breaks over one, each names it where it needs it, and `owkd doctor` repairs it."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image
from rich.console import Console

from launch.cli import run_command
from owkd.config import parse_config
from search.execution.resources import TrialResources
from search.recorder import SearchRecorder
from search.results.parquet import read_table, write_table
from search.results.tables import read_epochs, read_trials, recorded_trials
from search.retrain.stage import FinalWork, retrain
from search.run_search import Work
from search.runs.damage import DamagedRunError, write_json
from search.runs.manifest import create, open_run
from search.study.study import Study
from tests.support.fake_training import fake_check, fake_config, fake_evaluate, fake_read_state, fake_run
from tests.support.inline_jobs import evaluate_here, work_off

WORK = Work(fake_run, fake_check)
RETRAIN = {"top_k": 1, "choice_budget": 1, "seeds": 2, "epochs": 2, "control": False}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search of four trials with its final stage and pictures; tests take a copy."""
    home = tmp_path_factory.mktemp("whole")
    config = parse_config({**fake_config(home, trials=4, sampler={"name": "random"}), "retrain": RETRAIN})
    (home / "data" / "toy" / "Fold1" / "test").mkdir(parents=True)
    folder = create(home / "fake", config, fake_check(config))
    recorder = SearchRecorder(folder, config, Study(folder.journal, "fake", config))
    work_off(recorder)
    recorder.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("search.retrain.models.training.run_jobs", work_off)
        patch.setattr("search.retrain.stage.evaluate_on_test", evaluate_here)
        _retrain(folder.root)
    panel = folder.panels / "trial-00000"
    write_json(panel / "curves.json", {"mAP": 0.5, "cmc": [0.5, 1.0], "precision": [1.0, 0.5]})
    Image.new("RGB", (64, 64)).save(panel / "retrieval.png")
    return folder.root


@pytest.fixture
def run(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("search.run_search.OWKD", WORK)
    monkeypatch.setattr("launch.library.remove_leftovers", lambda: None)
    monkeypatch.setattr("owkd.models.checkpoint.read_state", fake_read_state)
    monkeypatch.setattr("search.report.page.sections", lambda data: [])
    monkeypatch.setattr("search.report.page.claims_section", lambda data: None)
    return Path(shutil.copytree(whole, tmp_path / "fake"))


@pytest.fixture
def retrain_again(run: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """The final stage of the run once more, in this process."""
    monkeypatch.setattr("search.retrain.models.training.run_jobs", work_off)
    monkeypatch.setattr("search.retrain.stage.evaluate_on_test", evaluate_here)
    return lambda: _retrain(run)


def _retrain(run: Path) -> None:
    work = FinalWork(fake_run, fake_evaluate, prepare=lambda config, console: (config, TrialResources(1.0, 0.0, 1)))
    retrain(run, connect=nullcontext, console=Console(file=io.StringIO()), work=work)


def flip(file: Path) -> None:
    """Another byte: of a table the last one of its first page, of a text one that is no ASCII any more."""
    text = bytearray(file.read_bytes())
    place = len(text) // 2
    if file.suffix == ".parquet":
        column = pq.read_metadata(file).row_group(0).column(0)
        place = (column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size - 1
    text[place] ^= 0x80
    file.write_bytes(bytes(text))


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def remove(file: Path) -> None:
    file.unlink()


DAMAGES: tuple[Callable[[Path], None], ...] = (flip, truncate, empty, remove)
COMMANDS = ("trials", "report", "resume")


@dataclass(frozen=True)
class Kind:
    """What becomes of the commands when such a file is damaged, or (`gone`) is not there.

    Attributes:
        refuse: those that cannot do without it, exit code 2
        tell: those that go on, and say what is left out
        repairs: whether `owkd doctor --repair` makes it whole by itself
    """

    path: str
    refuse: frozenset[str] = frozenset()
    tell: frozenset[str] = frozenset()
    repairs: bool = True
    gone_refuse: frozenset[str] | None = None
    gone_tell: frozenset[str] | None = None
    gone_repairs: bool | None = None
    gone_is_known: bool = True


ALL, NONE = frozenset(COMMANDS), frozenset[str]()
REPORT, RESUME = frozenset({"report"}), frozenset({"resume"})
KINDS = (
    Kind("run.yaml", refuse=ALL),
    Kind("study.journal", refuse=RESUME, repairs=False),
    Kind("results/trials", refuse=ALL, gone_refuse=ALL - RESUME, gone_is_known=False),
    Kind("results/epochs", refuse=RESUME, tell=REPORT, gone_refuse=NONE, gone_tell=REPORT | RESUME),
    Kind("results/retrain/models.parquet", refuse=REPORT, repairs=False),
    Kind("results/retrain/comparison.parquet", refuse=REPORT, repairs=False),
    Kind("retrain/champion/metrics.json", refuse=REPORT, repairs=False, gone_refuse=NONE),
    Kind("retrain/looks.json", repairs=False),
    Kind("panels/trial-00000/curves.json", tell=REPORT, gone_tell=NONE, gone_is_known=False),
    Kind("panels/trial-00000/retrieval.png", tell=REPORT, repairs=False),
)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.path)
def test_no_command_breaks_over_a_damaged_file(
    run: Path, kind: Kind, damage: Callable[[Path], None], capfd: pytest.CaptureFixture[str]
) -> None:
    file = run / kind.path
    for each in list(file.glob("*.parquet")) if file.is_dir() else [file]:
        damage(each)
    gone = damage is remove
    refuse = kind.gone_refuse if gone and kind.gone_refuse is not None else kind.refuse
    tell = kind.gone_tell if gone and kind.gone_tell is not None else kind.tell
    for command in COMMANDS:
        code = run_command([command, str(run)])
        said = "".join(capfd.readouterr())
        assert code == (2 if command in refuse else 0), f"{command}: {said}"
        assert (kind.path in said) == (command in refuse | tell), f"{command}: {said}"
    known = kind.gone_is_known or not gone
    assert run_command(["doctor", str(run)]) == (1 if known else 0)
    assert (kind.path in capfd.readouterr().out) == known
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != ".lock"}
    repairs = kind.gone_repairs if gone and kind.gone_repairs is not None else kind.repairs
    code = run_command(["doctor", str(run), "--repair"])
    said = "".join(capfd.readouterr())
    if kind.path != "study.journal":
        assert code == (0 if repairs else 1), said
    kept = [path.read_bytes() for path in run.rglob("*") if path.is_file()]
    lost = [str(path) for path, text in before.items() if text not in kept and path.name != "run.yaml"]
    assert not lost
    if code == 0:
        assert run_command(["doctor", str(run)]) == 0
        assert run_command(["trials", str(run)]) == run_command(["report", str(run)]) == 0


def test_a_byte_of_the_journal_is_mended(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    journal = run / "study.journal"
    before = journal.read_bytes()
    line = before[: len(before) // 2].count(b"\n") + 1
    flip(journal)
    damaged = journal.read_bytes()
    assert run_command(["resume", str(run)]) == 2
    assert f"study.journal, line {line}, is damaged" in "".join(capfd.readouterr().err.splitlines())
    assert run_command(["doctor", str(run), "--repair"]) == 0
    assert journal.read_bytes() == before
    assert (run / "study.journal.damaged").read_bytes() == damaged
    assert run_command(["resume", str(run)]) == 0


def test_a_line_in_the_middle_that_nobody_knows_stays(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    journal = run / "study.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:9], b"\0" * 40 + b"\n", *lines[10:]]))
    before = journal.read_bytes()
    for command in (["doctor", str(run)], ["doctor", str(run), "--repair"]):
        assert run_command(command) == 1
        assert "study.journal is damaged in line 10" in capfd.readouterr().out
    assert journal.read_bytes() == before


def test_a_torn_last_line_is_let_go(run: Path) -> None:
    journal = run / "study.journal"
    before = journal.read_bytes()
    journal.write_bytes(before + b'{"op_code":6,"wor')
    assert run_command(["doctor", str(run)]) == 1
    assert run_command(["doctor", str(run), "--repair"]) == 0
    assert journal.read_bytes() == before
    assert (run / "study.journal.damaged").read_bytes() == before + b'{"op_code":6,"wor'


def test_tables_are_written_again_from_the_study(run: Path) -> None:
    trials, epochs = read_trials(run / "results"), read_epochs(run / "results")
    for table in ("trials", "epochs"):
        for file in (run / "results" / table).glob("*.parquet"):
            truncate(file)
    assert run_command(["doctor", str(run), "--repair"]) == 0
    kept = ["trial", "fold", "seed", "epoch", "step", "objective"]
    assert read_epochs(run / "results").select(kept) == epochs.select(kept)
    without_clock = [name for name in trials.column_names if name != "duration_s"]
    assert read_trials(run / "results").select(without_clock) == trials.select(without_clock)


def test_a_search_goes_on_before_trials_that_its_study_lost(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    journal = run / "study.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    third = [number for number, line in enumerate(lines) if b'"op_code":4' in line][2]
    journal.write_bytes(b"".join(lines[:third]))
    assert run_command(["resume", str(run)]) == 2
    assert "ends before trial 2, although there are results of 2 such trials" in capfd.readouterr().err
    shutil.rmtree(run / "retrain")
    shutil.rmtree(run / "results" / "retrain")
    assert run_command(["doctor", str(run), "--repair"]) == 0
    assert read_trials(run / "results")["trial"].to_pylist() == [0, 1]
    assert (run / "damaged" / "tensorboard" / "trial-00003").is_dir()
    folder, config, _ = open_run(run)
    recorder = SearchRecorder(folder, config, Study(folder.journal, "fake", config, recorded=recorded_trials(folder)))
    work_off(recorder)
    recorder.close()
    assert recorder.counts() == {"complete": 4}
    assert run_command(["doctor", str(run)]) == 0


def test_a_final_stage_says_what_it_needs_and_makes_the_rest(run: Path, retrain_again: Callable[[], None]) -> None:
    looks = run / "retrain" / "looks.json"
    before = looks.read_bytes()
    truncate(looks)
    with pytest.raises(DamagedRunError, match=r"looks\.json"):
        retrain_again()
    looks.unlink()
    with pytest.raises(DamagedRunError, match=r"looks\.json is missing, although the test split was opened"):
        retrain_again()
    looks.write_bytes(before)
    record = next(run.glob("retrain/trial-*/seed-*/Fold1/metrics.json"))
    for file in (record, run / "retrain/champion/metrics.json", run / "results/retrain/models.parquet"):
        truncate(file)
    with pytest.raises(DamagedRunError, match=r"models\.parquet"):
        retrain_again()
    assert run_command(["doctor", str(run), "--repair"]) == 1  # they are aside, and not made again yet
    retrain_again()
    assert run_command(["doctor", str(run)]) == 0


def test_a_value_of_run_yaml_that_changed_is_said(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    manifest = run / "run.yaml"
    manifest.write_text(manifest.read_text().replace("learning_rate: 0.0001", "learning_rate: 0.0003", 3))
    assert run_command(["doctor", str(run)]) == 1
    assert "changed: run.yaml config." in capfd.readouterr().out


def test_a_run_yaml_that_is_lost_comes_back_without_what_only_it_knew(run: Path) -> None:
    before = yaml.safe_load((run / "run.yaml").read_text())
    remove(run / "run.yaml")
    assert run_command(["doctor", str(run), "--repair"]) == 0
    assert yaml.safe_load((run / "run.yaml").read_text())["config"] == before["config"]
    assert run_command(["resume", str(run)]) == 2
    assert run_command(["resume", str(run), "--force"]) == 0


def test_whatever_byte_of_a_table_changes_it_gives_no_other_values(tmp_path: Path) -> None:
    """A page has a checksum, and so do columns; what else is in the file changes nothing of what is read."""
    file = tmp_path / "table.parquet"
    schema = pa.schema({"trial": pa.int64(), "state": pa.string(), "objective": pa.float64()})
    rows = [{"trial": number, "state": "complete", "objective": 0.1 * number} for number in range(4)]
    write_table(file, schema, rows)
    text = file.read_bytes()
    found = 0
    for place in range(len(text)):
        other = bytearray(text)
        other[place] ^= 0x04
        file.write_bytes(bytes(other))
        try:
            assert read_table(file).to_pylist() == rows
        except DamagedRunError:
            found += 1
    assert found > len(text) / 4


def test_models_and_states_are_looked_at_and_made_again(
    run: Path, retrain_again: Callable[[], None], capfd: pytest.CaptureFixture[str]
) -> None:
    model = next(run.glob("retrain/published-weights/seed-*/Fold1/best.safetensors"))
    state = run / "checkpoints" / "trial-00000" / "seed-0" / "Fold1" / "last.pt"
    before = model.read_bytes()
    truncate(model)
    state.write_bytes(b"no state")
    for command in (["doctor", str(run)], ["doctor", str(run), "--repair"]):
        assert run_command(command) == 1
        said = capfd.readouterr().out
        assert all(str(file.relative_to(run)) in said for file in (model, state))
    retrain_again()
    assert model.read_bytes() == before
    assert run_command(["doctor", str(run)]) == 0


def test_doctor_needs_a_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["doctor", str(tmp_path)]) == 2
    assert run_command(["doctor", "--repair"]) == 2
