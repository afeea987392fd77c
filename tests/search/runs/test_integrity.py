"""A run goes on as what it was: every change that decides its numbers is shown, old value beside new, and refused."""

from __future__ import annotations

import io
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn

import pytest
import yaml
from rich.console import Console

from launch.cli import run_command
from owkd.config import Config, parse_config
from owkd.errors import ConfigError, UserError
from search.execution.resources import TrialResources
from search.run_search import Work, resume
from search.runs.integrity import compare, sources_digest
from search.runs.manifest import create, open_run
from search.study.study import Study
from search.trials.view import Ending
from tests.support.fake_training import fake_check, fake_config, fake_run
from tests.support.handed_out import next_proposal

WORK = Work(fake_run, fake_check)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with one finished trial, of two, as a driver leaves it."""
    config = parse_config(fake_config(tmp_path, trials=1))
    folder = create(tmp_path / "runs" / "fake", config, fake_check(config))
    study = Study(folder.journal, "fake", config)
    number = next_proposal(study).number
    study.started(number)
    study.report(number, 1, 0.5)
    study.finish(number, Ending("complete"))
    return folder.root


def go_on(run: Path, work: Work = WORK, **options: Any) -> Any:
    """`resume` without work to do, so that no Ray is needed."""
    return resume(run, connect=nullcontext, console=Console(file=io.StringIO()), work=work, **options)


def edit(run: Path, path: str, value: Any) -> None:
    """Changes one value of run.yaml, by the names above it; None removes it."""
    manifest = yaml.safe_load((run / "run.yaml").read_text())
    *above, last = path.split("/")
    node = manifest
    for name in above:
        node = node[name]
    if value is None:
        del node[last]
    else:
        node[last] = value
    (run / "run.yaml").write_text(yaml.safe_dump(manifest))


SPACE = "config/search/space/distill.gram"


@pytest.mark.parametrize(
    ("path", "value", "shown"),
    [
        (f"{SPACE}/high", 0.5, "config.search.space.distill.gram.high: 0.0009 -> 0.5"),
        (SPACE, None, "config.search.space.distill.gram: {'when': {}, 'type': 'float', 'low': 2e-05"),
        ("config/train/epochs", 9, "config.train.epochs: 4 -> 9"),
        ("config/distill/logit", 0.5, "config.distill.logit: 0.01 -> 0.5"),
        ("config/teacher/targets/precision", "fp16", "config.teacher.targets.precision: fp32 -> fp16"),
        ("versions/optuna", "4.9.0", "versions.optuna: 4.9.0 -> 5."),
        ("versions/owkd", "0.0.1", "versions.owkd: 0.0.1 -> "),
        ("versions/ray", "1.0", "versions.ray: 1.0 -> "),
        ("versions/python", "3.9.0", "versions.python: 3.9.0 -> 3."),
        ("versions/sources", "0123456789abcdef", "versions.sources: 0123456789abcdef -> "),
        ("versions/torch", None, "versions.torch: absent -> "),
        ("versions", None, "versions.numpy: absent -> "),
        ("fingerprints/data/Fold1/train", "before", "fingerprints.data.Fold1.train: before -> a"),
        ("fingerprints", None, "fingerprints.data: absent -> {'Fold1': {'train': 'a'"),
    ],
)
def test_what_decides_the_numbers_is_refused_with_both_values(run: Path, path: str, value: Any, shown: str) -> None:
    edit(run, path, value)
    with pytest.raises(UserError, match="--force") as refused:
        go_on(run)
    assert shown in str(refused.value)
    assert go_on(run, force=True).counts == {"complete": 1}
    assert go_on(run).counts == {"complete": 1}  # what was insisted on once is what the run is from then on
    (entry,) = yaml.safe_load((run / "run.yaml").read_text())["forced"]
    assert shown in "\n".join(entry["changes"])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("config/data/root", "/mnt/elsewhere"),
        ("config/teacher/checkpoint", "/mnt/elsewhere/{fold}.safetensors"),  # its digest is among the fingerprints
        ("config/teacher/targets/folder", "/mnt/elsewhere"),
        ("config/teacher/targets/use", "live"),
        ("config/search/resources/cpu", 3.0),
        ("config/search/max_failures", 7),
        ("config/retrain/top_k", 1),
        ("versions/sources", None),
        ("versions/torch", "{torch}+cu999"),
    ],
)
def test_where_and_how_a_run_runs_may_change(run: Path, path: str, value: Any) -> None:
    if path == "versions/torch":
        recorded = yaml.safe_load((run / "run.yaml").read_text())["versions"]["torch"]
        value = value.format(torch=recorded.partition("+")[0])
    edit(run, path, value)
    before = (run / "run.yaml").read_bytes()
    assert go_on(run).counts == {"complete": 1}
    assert (run / "run.yaml").read_bytes() == before


def test_the_device_must_stay_what_it_was(run: Path) -> None:
    def on_gpu(config: Config, console: Console) -> tuple[Config, TrialResources]:
        return config, TrialResources(1.0, 0.5, 1)

    class ReachedError(Exception):
        """The trials would begin now."""

    def begin(*arguments: Any) -> NoReturn:
        raise ReachedError

    work = Work(fake_run, fake_check, prepare=on_gpu)
    edit(run, "device", "cpu")
    with pytest.raises(UserError, match=r"device: cpu -> gpu\n.*--force"):
        go_on(run, work, trials=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("search.run_search.SearchRecorder", begin)
        for force in (True, False):  # what was insisted on once is what the run is from then on
            with pytest.raises(ReachedError):
                go_on(run, work, force=force)
    assert yaml.safe_load((run / "run.yaml").read_text())["device"] == "gpu"


def test_the_digest_is_of_every_module_and_its_name(tmp_path: Path) -> None:
    def digest(files: dict[str, str]) -> str:
        root = tmp_path / str(len(list(tmp_path.iterdir())))
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        return sources_digest(root)

    plain = {"owkd/a.py": "1", "search/b/c.py": "2", "launch/d.py": "3"}
    assert digest(plain) == digest({**plain, "tests/t.py": "4", "owkd/notes.txt": "5"})
    others = [
        {**plain, "search/b/c.py": "4"},
        {**plain, "owkd/e.py": ""},
        {**plain, "launch/f.py": plain["launch/d.py"]},
    ]
    others[2].pop("launch/d.py")
    assert len({digest(files) for files in [plain, *others]}) == 4


def test_all_changes_are_said_at_once(run: Path) -> None:
    edit(run, "config/train/epochs", 9)
    edit(run, "versions/optuna", "4.9.0")
    other = Work(fake_run, lambda config: {"data": {"Fold1": {"train": "z", "validation": "b"}}, "teacher": {}})
    with pytest.raises(UserError) as refused:
        go_on(run, other)
    assert str(refused.value).count("\n  - ") == 3


def test_a_parameter_cannot_become_another_kind_even_by_force(run: Path) -> None:
    edit(run, SPACE, {"type": "categorical", "choices": [1e-4, 1e-3]})
    with pytest.raises(UserError, match=r"distill\.gram: FloatDistribution.* -> CategoricalDistribution"):
        go_on(run, force=True)
    with pytest.raises(UserError, match="--force"):
        go_on(run)


def test_a_configuration_of_another_version_is_told_apart_from_a_typing_error(run: Path) -> None:
    edit(run, "config/train/wings", 2)
    with pytest.raises(ConfigError) as refused:
        open_run(run)
    assert len(refused.value.problems) == 1
    edit(run, "versions/owkd", "7.0")
    with pytest.raises(ConfigError, match=r"made by owkd 7\.0"):
        open_run(run)


def test_a_renamed_run_is_the_same_run(run: Path) -> None:
    moved = run.with_name("other")
    shutil.move(run, moved)
    summary = go_on(moved)
    assert (summary.folder.name, summary.counts) == ("other", {"complete": 1})


def test_the_command_line_insists(run: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    edit(run, "config/train/epochs", 9)
    monkeypatch.setattr("search.run_search.OWKD", WORK)
    assert run_command(["resume", str(run)]) == 2
    assert "config.train.epochs: 4 -> 9" in "".join(capsys.readouterr().err.splitlines())
    assert run_command(["resume", str(run), "--force"]) == 0


def test_trees_are_compared_leaf_by_leaf() -> None:
    before = {"a": 1, "b": {"c": [1], "d": 2}, "e": {}}
    now = {"a": 1, "b": {"c": [1, 2], "d": 2}, "f": None}
    assert [str(change) for change in compare(before, now)] == [
        "b.c: [1] -> [1, 2]",
        "e: {} -> absent",
        "f: absent -> None",
    ]
