"""Each private API of Ray and Optuna in use works as we use it, and docs/private-apis.md lists them all."""

from __future__ import annotations

import ast
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import ray
import yaml
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import Trial, TrialState, create_trial
from ray import tune
from ray.air.execution._internal.actor_manager import RayActorManager

from owkd.config import parse_config
from owkd.machine import this_machine
from search.execution import node_admission
from search.execution.nodes.low_memory import LowMemoryError, low_memory_kills_one_worker
from search.execution.resources import BOOTSTRAP_CONFIG, memory_for_trials
from search.execution.tune import ENVIRONMENT
from search.samplers.history import SampledStudy
from search.schedulers import SCHEDULERS
from search.schedulers.resumable import ResumableScheduler

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `([^`]+)` \| `([^`]+)` \| .+ \| `(test_\w+)` \|$", re.MULTILINE)
PAGE = (ROOT / "docs" / "private-apis.md").read_text(encoding="utf-8")
WITHOUT_UNDERSCORE = {
    *("temporary_state", "pickled_error_file", "error_file", "run_metadata", "evaluated_params", "experiment_tag"),
    *("register_pickle_by_value", "unregister_pickle_by_value"),
    *("set_trial_user_attr", "set_trial_intermediate_value", "get_trial_id_from_study_id_trial_number"),
    *("get_study_id_from_name",),
}
"""names that no documentation promises, although no underscore says so"""


# The page and the code


def test_every_row_names_a_file_that_uses_it_and_a_test() -> None:
    rows = ROW.findall(PAGE)
    assert len(rows) == len(re.findall(r"^\| `", PAGE, re.MULTILINE)) > 20
    for name, file, test in rows:
        assert _key(name) in (ROOT / file).read_text(encoding="utf-8"), f"{file} does not use {name}"
        assert test in globals(), f"{name} needs {test}"


def test_every_private_name_in_the_code_is_on_the_page() -> None:
    listed = {_key(name) for name, _, _ in ROW.findall(PAGE)}
    used = {
        name: f"{file.relative_to(ROOT)}:{line}"
        for top in ("owkd", "search", "launch")
        for file in sorted((ROOT / top).rglob("*.py"))
        for name, line in private_names(file.read_text(encoding="utf-8"))
    }
    assert len(used) > 15
    assert {name: where for name, where in used.items() if name not in listed} == {}


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import ray._private.worker as w", {"ray._private.worker"}),
        ("from ray._private.state import actors", {"actors"}),
        ("def f():\n    import ray\n    ray.init(_temp_dir='x')", {"_temp_dir"}),
        ("import ray\nRAY = 'ray.scripts.scripts'", {"ray.scripts.scripts"}),
        ("import optuna\nclass A:\n    def f(self, study):\n        return study._storage", {"_storage"}),
        ("import optuna\nclass A(B):\n    def _f(self):\n        return super()._f()", {"_f"}),
        ("import optuna\nx = study.__dict__", {"__dict__"}),
        ("import ray\ntrial.run_metadata.last_result", {"run_metadata"}),
        ("import optuna\nclass A:\n    def f(self):\n        return self._own", set()),
        ("x._private", set()),  # neither library is here
    ],
)
def test_the_scan_finds_private_names(code: str, found: set[str]) -> None:
    assert {name for name, _ in private_names(code)} == found


def private_names(source: str) -> Iterator[tuple[str, int]]:
    """Private names, with their lines, in a module that imports Ray or Optuna: of modules, attributes, arguments."""
    tree = ast.parse(source)
    modules = {module.partition(".")[0] for node in ast.walk(tree) for module in _modules(node)}
    if not modules & {"ray", "optuna"} and "ray.scripts" not in source:
        return
    for node in ast.walk(tree):
        for module in _modules(node):
            if module.startswith(("ray.", "optuna.")) and any(part.startswith("_") for part in module.split(".")):
                names = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else [module]
                yield from ((name, getattr(node, "lineno", 0)) for name in names)
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                continue
            case ast.Attribute(attr=name) if _is_private(name):
                yield name, node.lineno
            case ast.Call(keywords=keywords):
                yield from ((each.arg, node.lineno) for each in keywords if each.arg and each.arg.startswith("_"))
            case ast.Constant(value=str() as text) if re.fullmatch(r"ray\.scripts\S*", text):
                yield text, node.lineno


def _is_private(name: str) -> bool:
    dunder = name.startswith("__") and name != "__dict__"
    return name in WITHOUT_UNDERSCORE or (name.startswith("_") and not dunder)


def _modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module else []


def _key(name: str) -> str:
    """What code says of a name on the page: its last word, but for modules and files."""
    if name.startswith(("ray.scripts", "~")):
        return name
    if name == "study.journal.lock":
        return ".lock"
    return re.split(r"[.(]", name.rstrip(")"))[-1]


# Ray


@dataclass
class Probe(tune.Callback):
    """What Tune's callbacks see of two trials, of which the second fails."""

    workers: dict[str, str] = field(default_factory=dict)
    trials: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, tuple[Any, str]] = field(default_factory=dict)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.workers[trial.config["key"]] = trial.temporary_state.ray_actor._actor_id.hex()
        self.trials[trial.config["key"]] = trial

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        error = pickle.loads(Path(trial.pickled_error_file).read_bytes())
        self.errors[trial.config["key"]] = error, Path(trial.error_file).read_text()


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory, _ray: None) -> Probe:
    def train(config: dict[str, Any]) -> None:
        tune.report({"step": 1})
        if config["key"] == "fails":
            raise RuntimeError("no such luck")

    seen = Probe()
    tune.Tuner(
        train,
        param_space={"key": tune.grid_search(["works", "fails"])},
        run_config=tune.RunConfig(
            name="probe", storage_path=str(tmp_path_factory.mktemp("probe")), callbacks=[seen], verbose=0
        ),
    ).fit()
    return seen


def test_a_trial_knows_its_worker(probe: Probe) -> None:
    assert set(probe.workers) == {"works", "fails"}
    assert all(re.fullmatch(r"[0-9a-f]{32}", worker) for worker in probe.workers.values())


def test_the_node_of_a_worker_is_known(probe: Probe) -> None:
    from ray._private.state import actors

    (node,) = ray.nodes()
    assert {actors(worker)["Address"]["NodeID"] for worker in probe.workers.values()} == {node["NodeID"]}


def test_a_failed_trial_leaves_its_exception_and_its_text(probe: Probe) -> None:
    assert set(probe.errors) == {"fails"}
    error, text = probe.errors["fails"]
    assert isinstance(error, Exception)
    assert "no such luck" in str(error)
    assert "RuntimeError: no such luck" in text


def test_what_tune_keeps_of_a_trial_can_be_dropped(probe: Probe) -> None:
    trial = probe.trials["works"]
    assert trial.run_metadata.last_result["step"] == 1
    assert "step" in trial.run_metadata.metric_analysis
    assert "step" in trial.run_metadata.metric_n_steps
    assert trial.evaluated_params == {"key": "works"}
    assert "works" in trial.experiment_tag


@pytest.mark.parametrize("name", sorted(SCHEDULERS))
def test_rules_need_of_a_trial_its_id_alone(name: str) -> None:
    raw = {"data": {"root": "d", "dataset": "s"}, "search": {"scheduler": {"name": name}}}
    rule = SCHEDULERS[name].rule(parse_config(raw).search.scheduler, 9)
    past = [(f"trial-{number:05d}", {1: 0.1 * number, 2: 0.1 * number, 3: 0.1 * number}) for number in range(6)]
    scheduler = ResumableScheduler(rule, past)

    live = SimpleNamespace(trial_id="any", config={"key": "trial-00007"})
    scheduler.on_trial_add(None, live)
    decision = scheduler.on_trial_result(None, live, {"state": "running", "step": 1, "objective": 0.9})
    assert decision == tune.schedulers.TrialScheduler.CONTINUE


def test_a_module_travels_by_its_source() -> None:
    module = node_admission.__name__.encode()
    assert module in ray.cloudpickle.dumps(node_admission.unfit_message)
    ray.cloudpickle.register_pickle_by_value(node_admission)
    try:
        by_value = ray.cloudpickle.dumps(node_admission.unfit_message)
    finally:
        ray.cloudpickle.unregister_pickle_by_value(node_admission)
    code = "import sys, pickle; f = pickle.loads(sys.stdin.buffer.read()); print(f('k', 'broken')['error_text'])"
    where = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    program = f"import sys; sys.modules['search'] = None; {code}"
    done = subprocess.run([sys.executable, "-c", program], input=by_value, env=where, capture_output=True, check=False)
    assert done.stdout.decode().strip() == "broken", done.stderr.decode()
    assert ray.cloudpickle.dumps(node_admission.unfit_message) != by_value


@pytest.mark.usefixtures("_ray")
def test_rays_files_are_in_a_folder_of_ours() -> None:
    (folder,) = Path("/tmp").glob(f"owkd-ray-{os.getpid()}-*/ray")
    assert any(path.name.startswith("session_") for path in folder.iterdir())


def test_a_local_ray_has_the_memory_that_it_is_given(connect) -> None:
    memory = this_machine().memory
    assert memory is not None
    with connect():
        (node,) = ray.nodes()
    assert node["Resources"]["memory"] == pytest.approx(memory_for_trials(memory), abs=1e5)


def test_ray_can_be_told_that_it_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray._private import ray_constants, services

    monkeypatch.setattr(ray._private.worker, "_global_node", None)
    monkeypatch.setattr(services, "node_ip_address_from_perspective", lambda address: "192.0.2.1")
    monkeypatch.setattr(ray_constants, "ENABLE_RAY_CLUSTER", True)
    assert services.get_node_ip_address() == "192.0.2.1"
    monkeypatch.setattr(ray_constants, "ENABLE_RAY_CLUSTER", False)
    assert services.get_node_ip_address() == "127.0.0.1"


def test_a_worker_killed_for_memory_ends_its_trial_alone() -> None:
    heard: list[Exception] = []
    actor = SimpleNamespace(actor_id=1, _on_error=None)
    task: Any = SimpleNamespace(_tracked_actor=actor, _on_error=lambda actor, error: heard.append(error))
    manager: Any = SimpleNamespace(_failed_actor_ids=set(), _cleanup_actor=lambda tracked_actor: None)
    killed = ray.exceptions.OutOfMemoryError("1 worker(s) were killed due to the node running low on memory")
    with pytest.raises(RuntimeError, match="unexpected"):  # when this goes, so may what follows
        RayActorManager._actor_task_failed(manager, tracked_actor_task=task, exception=killed)
    with low_memory_kills_one_worker():
        RayActorManager._actor_task_failed(manager, tracked_actor_task=task, exception=killed)
    (error,) = heard
    again = pickle.loads(pickle.dumps(error))  # as Tune keeps it in a file
    assert isinstance(again, LowMemoryError)
    assert "running low on memory" in str(again)


def test_a_cluster_file_is_checked_as_ray_up_does() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    tree = yaml.safe_load((ROOT / "cluster.yaml").read_text(encoding="utf-8"))
    validate_config(prepare_config(tree))
    with pytest.raises(Exception, match="no_such_field"):
        validate_config({**prepare_config(tree), "no_such_field": 1})


def test_rays_command_line_is_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ray.scripts.scripts", "--version"], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip().endswith(ray.__version__), done.stderr


def test_ray_up_leaves_its_file_on_the_head() -> None:
    assert _mentioned("autoscaler", BOOTSTRAP_CONFIG.name)


def test_every_variable_is_read_by_ray() -> None:
    assert [name for name in ENVIRONMENT if not _mentioned("tune", name) and not _mentioned("air", name)] == []


def _mentioned(part: str, text: str) -> bool:
    """Whether that part of Ray's source has these words."""
    return any(text in file.read_text(errors="replace") for file in (Path(ray.__file__).parent / part).rglob("*.py"))


# Optuna


def test_a_study_shows_earlier_trials_to_samplers() -> None:
    study = optuna.create_study(study_name="ours", direction="maximize")
    space: dict[str, BaseDistribution] = {"x": FloatDistribution(0.0, 1.0)}
    earlier = create_trial(params={"x": 0.5}, distributions=space, value=1.0)
    study.add_trial(create_trial(params={"x": 0.25}, distributions=space, value=2.0))
    both = SampledStudy(study, [earlier])
    assert both.study_name == "ours"
    assert [trial.params["x"] for trial in both.get_trials(deepcopy=False)] == [0.5, 0.25]
    assert both.get_trials(deepcopy=False, states=(TrialState.FAIL,)) == []
    assert len(study.trials) == 1


def test_a_distribution_says_what_it_holds() -> None:
    assert FloatDistribution(0.0, 1.0)._contains(0.5)
    assert not FloatDistribution(0.0, 1.0)._contains(1.5)
    assert CategoricalDistribution(("a", "b"))._contains(1)


def test_a_frozen_trial_has_an_id() -> None:
    study = optuna.create_study()
    study.ask()
    assert study.trials[0]._trial_id == study._storage.get_trial_id_from_study_id_trial_number(study._study_id, 0)


def test_an_interrupted_trial_is_taken_up_through_the_storage(tmp_path: Path) -> None:
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "study.journal")))
    study = optuna.create_study(storage=storage, study_name="ours")
    study.ask()
    trial_id = storage.get_trial_id_from_study_id_trial_number(storage.get_study_id_from_name("ours"), 0)
    storage.set_trial_user_attr(trial_id, "state", "running")
    storage.set_trial_intermediate_value(trial_id, 1, 0.5)
    again = Trial(study, trial_id)
    assert (again.number, again.user_attrs) == (0, {"state": "running"})
    assert 0.0 <= again.suggest_float("x", 0.0, 1.0) <= 1.0
    assert storage.get_trial(trial_id).intermediate_values == {1: 0.5}
    assert storage.get_trial(trial_id).state == TrialState.RUNNING


def test_the_journals_lock_has_the_name_that_is_swept(tmp_path: Path) -> None:
    journal = tmp_path / "study.journal"
    lock = JournalFileBackend(str(journal))._lock
    assert lock.acquire()
    assert {path.name for path in tmp_path.iterdir()} == {"study.journal", "study.journal.lock"}
    lock.release()
