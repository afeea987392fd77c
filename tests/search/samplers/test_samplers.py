"""One contract for all samplers, against Optuna itself and a journal on disk."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import optuna
import pytest
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from owkd.config import parse_config
from search.samplers.cmaes import FixedCmaEsSampler
from search.samplers.gp import ONE_IN, GaussianProcessSampler
from search.samplers.selection import SAMPLERS, make_sampler, sampler_name, startup_trials
from search.space.parameters import distributions
from search.study.study import Study
from search.trials.states import State
from search.trials.view import Ending

SPACE = {
    "distill.gram": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
    "distill.temperature": {"type": "float", "low": 0.5, "high": 4.0, "step": 0.5},
    "distill.teacher_weights": {"type": "simplex"},
    "train.batch_size": {"type": "int", "low": 4, "high": 32, "step": 4},
    "train.precision": {"type": "categorical", "choices": ["fp32", "bf16"]},
}
STARTUP = 4
NO_DISTILLATION_WORTH = 2.0


@pytest.fixture(autouse=True)
def _fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here pulls the plug."""
    monkeypatch.setattr("os.fsync", lambda handle: None)


def config_of(name: str, seed: int = 3, sampler=None, **search):
    own = {"nsga2": {"population": 4}, "random": {}}.get(name, {"startup_trials": STARTUP})
    chosen = {"name": name, "seed": seed, **own, **(sampler or {})}
    search = {"trials": 12, "scheduler": {"name": "none"}, "space": SPACE, "sampler": chosen, **search}
    return parse_config({"data": {"root": "d", "dataset": "s"}, "train": {"epochs": 3}, "search": search})


def open_study(folder: Path, config) -> Study:
    folder.mkdir(exist_ok=True)
    return Study(folder / "study.journal", "run", config)


def worth(values) -> float:
    """Best where gram is 1e-4, the weights are equal and the batch is small."""
    if not values["distill.gram"]:
        return NO_DISTILLATION_WORTH
    weights = values.get("distill.teacher_weights", {"gce": 1.0})
    spread = sum(abs(weight - 1) for weight in weights.values())
    batch = values.get("train.batch_size", 8) / 100
    return 1 - 0.2 * abs(math.log10(values["distill.gram"] / 1e-4)) - 0.1 * spread - batch


def play(study: Study, trials: int, endings: tuple[State, ...] = ("complete",)) -> list[dict]:
    """Runs trials to their ends, in turn -> their values."""
    values = []
    for _ in range(trials):
        proposal = study.next()
        assert proposal is not None
        study.started(proposal.number)
        for step in (1, 2):
            study.report(proposal.number, step, worth(proposal.values) * step / 2)
        study.finish(proposal.number, Ending(endings[proposal.number % len(endings)], 3))
        values.append(proposal.values)
    return values


class SamplerContract:
    """What every sampler promises. A subclass names its kind, and says how it is seen that it learned."""

    name: str
    implementation: type[BaseSampler]

    def learned(self, trial: FrozenTrial, folder: Path) -> bool:
        """Whether the proposal of a trial after the random ones was made by the model."""
        raise NotImplementedError

    def test_it_is_the_one_that_the_configuration_names(self, tmp_path: Path) -> None:
        study = open_study(tmp_path, config_of(self.name))
        play(study, 2)
        assert type(study._study.sampler) is self.implementation

    def test_it_proposes_within_the_space_and_learns_after_its_random_trials(self, tmp_path: Path) -> None:
        config = config_of(self.name)
        study = open_study(tmp_path, config)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            values = play(study, 8)
        assert len({str(each) for each in values}) == 8
        known = distributions(config.search.space)
        for trial in study._study.trials:
            assert trial.params.keys() == known.keys()
            assert all(known[key]._contains(known[key].to_internal_repr(trial.params[key])) for key in known)
        after = [trial for trial in study._study.trials if trial.number > STARTUP + 2]
        assert after
        assert all(self.learned(trial, tmp_path / "blind") for trial in after)

    def test_the_same_history_gives_the_same_proposals_however_often_it_is_opened(self, tmp_path: Path) -> None:
        """A fresh driver before each trial, as after a kill, against one that lives on."""
        config = config_of(self.name)
        once = play(open_study(tmp_path / "once", config), 8)
        often = [play(open_study(tmp_path / "often", config), 1)[0] for _ in range(8)]
        assert once == often
        assert play(open_study(tmp_path / "other", config_of(self.name, seed=4)), 4)[2:] != once[2:4]

    def test_it_survives_every_end_of_a_trial(self, tmp_path: Path) -> None:
        study = open_study(tmp_path, config_of(self.name))
        endings: tuple[State, ...] = ("complete", "complete", "pruned", "diverged", "error", "out_of_memory")
        values = play(study, 12, endings)
        assert len({str(each) for each in values}) == 12
        assert all(trial.state.is_finished() for trial in study._study.trials)

    def test_trials_that_run_side_by_side_are_not_the_same(self, tmp_path: Path) -> None:
        study = open_study(tmp_path, config_of(self.name))
        play(study, 6)
        side_by_side = [study.next() for _ in range(3)]
        assert len({str(proposal.values) for proposal in side_by_side if proposal}) == 3

    def test_what_no_distillation_comes_to_steers_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No point of the space is near to it, so that no model may learn from it."""
        proposed = []
        for value in (0.0, 2.0):
            monkeypatch.setattr(f"{__name__}.NO_DISTILLATION_WORTH", value)
            proposed.append(play(open_study(tmp_path / str(value), config_of(self.name)), 9))
        assert proposed[0] == proposed[1]
        assert not proposed[0][1]["distill.gram"]


class TestTpe(SamplerContract):
    name, implementation = "tpe", TPESampler

    def learned(self, trial: FrozenTrial, folder: Path) -> bool:
        return any("relative_params" in key for key in trial.system_attrs)


class TestGp(SamplerContract):
    name, implementation = "gp", GaussianProcessSampler

    def learned(self, trial: FrozenTrial, folder: Path) -> bool:
        """The same seeds draw something else where it models nothing; one proposal in so many is random on purpose."""
        if not folder.exists():
            play(open_study(folder, config_of(self.name, sampler={"startup_trials": 100})), 8)
        blind = open_study(folder, config_of(self.name, sampler={"startup_trials": 100}))._study.trials
        random = trial.params == {each.number: each.params for each in blind}[trial.number]
        return random == (trial.number % ONE_IN == ONE_IN - 1)


class TestCmaes(SamplerContract):
    name, implementation = "cmaes", FixedCmaEsSampler

    def learned(self, trial: FrozenTrial, folder: Path) -> bool:
        return any("cma:" in key for key in trial.system_attrs)


class TestNsga2(SamplerContract):
    name, implementation = "nsga2", NSGAIISampler

    def learned(self, trial: FrozenTrial, folder: Path) -> bool:
        return any("NSGAIISampler:" in key for key in trial.system_attrs)


class TestRandom(SamplerContract):
    name, implementation = "random", RandomSampler

    def learned(self, trial: FrozenTrial, folder: Path) -> bool:
        """Nothing is to be learned: it leaves no trace of a model."""
        return not trial.system_attrs


def test_every_sampler_is_held_to_the_contract() -> None:
    assert {contract.name for contract in SamplerContract.__subclasses__()} == set(SAMPLERS)


def test_cmaes_goes_on_with_its_distribution_though_each_trial_has_a_fresh_object(tmp_path: Path) -> None:
    """Three numbers, 7 solutions a generation: after 4 random trials and 14 more it is in its third generation."""
    space = {name: SPACE[name] for name in ("distill.gram", "distill.temperature", "train.batch_size")}
    config = config_of("cmaes", trials=40, space=space)
    for _ in range(24):
        play(open_study(tmp_path, config), 1)
    attrs = [trial.system_attrs.get("cma:generation") for trial in open_study(tmp_path, config)._study.trials]
    reached = [generation for generation in attrs if generation is not None]
    assert reached == sorted(reached)
    assert {0, 1, 2} <= set(reached)


def test_nsga2_goes_on_with_its_generations(tmp_path: Path) -> None:
    config = config_of("nsga2", trials=13)
    for _ in range(13):
        play(open_study(tmp_path, config), 1)
    trials = open_study(tmp_path, config)._study.trials
    assert [trial.system_attrs["NSGAIISampler:generation"] for trial in trials[1:]] == [0] * 4 + [1] * 4 + [2] * 3


@pytest.mark.parametrize("name", ["tpe", pytest.param("gp", marks=pytest.mark.slow), "cmaes"])
def test_a_sampler_that_models_finds_more_than_chance(tmp_path: Path, name: str) -> None:
    space = {"distill.gram": SPACE["distill.gram"], "train.batch_size": SPACE["train.batch_size"]}
    late: dict[str, float] = {}
    for kind in (name, "random"):
        config = config_of(kind, trials=24, space=space)
        found = play(open_study(tmp_path / kind, config), 24)
        late[kind] = sum(worth(values) for values in found[14:]) / 10
    assert late[name] > late["random"]


def test_tpe_is_pinned_where_optuna_could_change_its_mind() -> None:
    config = config_of("tpe", sampler={"candidates": 17, "multivariate": False, "constant_liar": False})
    sampler = make_sampler(config.search, 5)
    assert isinstance(sampler, TPESampler)
    assert (sampler._n_ei_candidates, sampler._multivariate, sampler._constant_liar) == (17, False, False)
    assert not sampler._group
    assert optuna.__version__.startswith("5.")


def test_auto_is_gp_whatever_the_space_and_the_objectives() -> None:
    condition = {"type": "float", "low": 0, "high": 1, "when": {"train.precision": "bf16"}}
    conditional = config_of("auto", space={**SPACE, "distill.logit": condition}).search
    several = config_of("auto", objectives=[{"metric": "val/mAP"}, {"metric": "flops"}]).search
    for search in (config_of("auto").search, conditional, several):
        assert sampler_name(search) == "gp"
        assert isinstance(make_sampler(search, 5000), GaussianProcessSampler)


def test_random_trials_at_the_start_unless_the_configuration_says_how_many() -> None:
    unset = config_of("gp", sampler={"startup_trials": None}).search
    assert [startup_trials(unset, name) for name in ("gp", "tpe", "cmaes")] == [3, 10, 10]
    assert startup_trials(config_of("gp").search, "gp") == STARTUP
