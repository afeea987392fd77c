"""One contract for every kind of entry; then what each kind promises beyond it."""

from __future__ import annotations

import json
import math
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from owkd.config import SpaceEntry
from search.space import Entry, entries, entry_of, entry_of_column
from search.space.entries import SMALLEST_U, ChoiceEntry, FixedEntry, FloatEntry, IntEntry, SimplexEntry

ADAPTER: TypeAdapter[Any] = TypeAdapter(SpaceEntry)
SEEDS = range(12)


def made(path: str, **data: Any) -> Entry:
    return entry_of(path, ADAPTER.validate_python(data))


def random_trial(seed: int) -> optuna.Trial:
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed)).ask()


@given(
    low=st.decimals(-10, 10, places=3),
    step=st.decimals("0.001", 3, places=3),
    steps=st.integers(1, 50),
    at=st.floats(-0.2, 1.2),
)
def test_the_nearest_step_is_in_the_range_whatever_floating_point_makes_of_it(low, step, steps, at) -> None:
    low, step, high = float(low), float(step), float(low + steps * step)
    entry = made("distill.logit", type="float", low=low, high=high, step=step)
    (known,) = entry.distributions().values()
    params = entry.nearest(low + at * (high - low))
    assert contains(known, params["distill.logit"])
    assert all(contains(known, value) for value in entry.grid() or ())


class EntryContract:
    """What holds for every kind; a kind brings its class and some entries of it."""

    kind: type[Entry]
    cases: tuple[Entry, ...]

    def test_it_is_of_its_kind(self) -> None:
        assert len(self.cases) > 0
        assert all(type(entry) is self.kind for entry in self.cases)

    @pytest.mark.parametrize("seed", SEEDS)
    def test_what_is_asked_for_is_what_its_parameters_stand_for(self, seed: int) -> None:
        for entry in self.cases:
            trial = random_trial(seed)
            value = entry.ask(trial)
            assert trial.params.keys() == entry.distributions().keys()
            assert entry.resolve(trial.params) == value

    @pytest.mark.parametrize("seed", SEEDS)
    def test_the_point_nearest_to_what_it_can_express_is_that_value(self, seed: int) -> None:
        for entry in self.cases:
            value = entry.ask(random_trial(seed))
            assert entry.resolve(entry.nearest(value)) == pytest.approx(value)

    @pytest.mark.parametrize("seed", SEEDS)
    def test_coordinates_come_back(self, seed: int) -> None:
        for entry in self.cases:
            trial = random_trial(seed)
            value = entry.ask(trial)
            coordinates = entry.to_coordinates(trial.params)
            assert coordinates.keys() == entry.coordinates().keys()
            assert all(contains(entry.coordinates()[name], value) for name, value in coordinates.items())
            params = entry.from_coordinates(coordinates)
            single = {name: trial.params[name] for name, known in entry.distributions().items() if known.single()}
            assert entry.resolve({**single, **params}) == pytest.approx(value, abs=1e-6)

    @pytest.mark.parametrize("seed", SEEDS)
    def test_a_row_of_a_table_holds_its_value(self, seed: int) -> None:
        for entry in self.cases:
            value = entry.ask(random_trial(seed))
            types = entry.columns({entry.path: value})
            assert types.keys() == {name for name in types if entry_of_column({entry.path: entry.data}, name) == entry}
            row = row_of(entry, value)
            assert entry.from_columns(row, types) == value
            assert entry.from_columns(dict.fromkeys(types), types) is None

    def test_its_columns_lie_within_its_interval(self) -> None:
        for entry in self.cases:
            cells = [cell for seed in range(20) for cell in row_of(entry, entry.ask(random_trial(seed))).values()]
            if entry.interval is not None:
                low, high = entry.interval
                assert all(low <= cell <= high for cell in cells)
            known = entry.importance_distribution(cells)
            assert all(contains(known, shown(known, cell)) for cell in cells)

    def test_what_it_proposes_is_its_own_and_it_is_free_of_mistakes(self) -> None:
        for entry in self.cases:
            assert list(entry.mistakes()) == []
            for value in entry.proposed():
                assert entry.resolve(entry.nearest(value)) == value
            assert entry.values is None or entry.values == entry.proposed()

    def test_it_is_described_with_its_conditions(self) -> None:
        for entry in self.cases:
            under = entry_of(entry.path, entry.data.model_copy(update={"when": {"train.precision": ("bf16", "fp32")}}))
            assert under.range == f"{entry.range}, if train.precision is bf16 or fp32"
            assert entry.kind.startswith(entry.data.type)


def row_of(entry: Entry, value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {f"{entry.path}.{part}": weight for part, weight in value.items()}
    text = entry.columns({})[entry.path] == "text" and not isinstance(value, str)
    return {entry.path: json.dumps(value) if text else value}


def contains(known: optuna.distributions.BaseDistribution, value: Any) -> bool:
    return known._contains(known.to_internal_repr(value))


def shown(known: optuna.distributions.BaseDistribution, cell: Any) -> Any:
    return str(cell) if isinstance(known, optuna.distributions.CategoricalDistribution) else cell


class TestFloat(EntryContract):
    kind = FloatEntry
    cases = (
        made("distill.gram", type="float", low=1e-6, high=1e-2, log=True),
        made("distill.logit", type="float", low=-2.0, high=3.0),
        made("distill.temperature", type="float", low=0.5, high=4.5, step=0.5),
    )

    def test_it_is_one_number_in_words_and_bounds(self) -> None:
        gram, _, temperature = self.cases
        assert (gram.kind, gram.range, gram.numbers, gram.log) == ("float, log", "1e-06 to 0.01", 1, True)
        assert (temperature.kind, temperature.largest()) == ("float, step 0.5", 4.5)
        assert gram.nearest(None) == {"distill.gram": pytest.approx(1e-4)}
        assert temperature.nearest(None) == {"distill.temperature": 2.5}
        assert made("distill.temperature", type="float", low=0.5, high=4.2, step=0.5).interval == (0.5, 4.0)

    def test_a_step_beyond_the_range_is_a_mistake(self) -> None:
        assert list(made("distill.gram", type="float", low=0, high=1, step=2).mistakes()) == [
            "step must be at most high - low, but got 2.0 for 0.0 to 1.0; fix the value instead"
        ]


class TestInt(EntryContract):
    kind = IntEntry
    cases = (
        made("train.epochs", type="int", low=5, high=20, step=5),
        made("train.validation_batch_size", type="int", low=2, high=640, log=True),
        made("train.seed", type="int", low=0, high=9),
    )

    def test_it_is_one_number_in_words_and_bounds(self) -> None:
        epochs, batch, seed = self.cases
        assert (epochs.kind, epochs.range, epochs.numbers) == ("int, step 5", "5 to 20", 1)
        assert (epochs.proposed(), batch.proposed()) == ((5, 10, 15, 20), (2, 3, 640))
        assert made("train.epochs", type="int", low=5, high=21, step=5).largest() == 20
        assert seed.nearest(4.4) == {"train.seed": 4}


class TestChoice(EntryContract):
    kind = ChoiceEntry
    cases = (
        made("train.precision", type="categorical", choices=["fp32", "bf16"]),
        made("student.depths", type="categorical", choices=[[1, 1, 9, 1], [1, 1, 1, 1]]),
        made("train.compile", type="categorical", choices=[False]),
        made("train.epochs", type="categorical", choices=[8, 16]),
    )

    def test_it_names_its_values(self) -> None:
        precision, depths, _, epochs = self.cases
        assert (precision.kind, precision.range, precision.numbers) == ("categorical", "fp32 | bf16", 0)
        assert depths.choices == ("[1, 1, 9, 1]", "[1, 1, 1, 1]")
        assert epochs.largest() == 16
        assert epochs.columns({}) == {"train.epochs": "int"}
        assert epochs.columns({"train.epochs": None}) == {"train.epochs": "text"}

    def test_what_stands_there_twice_or_is_no_plain_value_is_a_mistake(self) -> None:
        wrong = made("distill.gram", type="categorical", choices=[0.1, 0.1, float("nan")])
        twice, odd = wrong.mistakes()
        assert twice == "must name each choice once, but 0.1 stands there twice"
        assert odd.startswith("must hold plain finite values, but got nan")
        assert list(made("distill.gram", type="categorical", choices=[True, 1]).mistakes()) == []


class TestFixed(EntryContract):
    kind = FixedEntry
    cases = (
        made("train.weight_decay", type="fixed", value=0.25),
        made("student.depths", type="fixed", value=[1, 1, 9, 1]),
    )

    def test_nothing_is_drawn_and_the_published_setting_takes_it_too(self) -> None:
        decay, _ = self.cases
        assert (decay.kind, decay.range, decay.numbers, decay.distributions()) == ("fixed", "0.25", 0, {})
        assert decay.published(0.1) == 0.25
        assert TestFloat.cases[0].published(0.1) == 0.1


class TestSimplex(EntryContract):
    kind = SimplexEntry
    cases = (made("distill.teacher_weights", type="simplex"), made("distill.stage_weights", type="simplex"))

    def test_it_is_as_many_numbers_as_weights(self) -> None:
        teachers, stages = self.cases
        assert (teachers.kind, teachers.range, teachers.numbers) == ("simplex", "3 weights, sum 3", 3)
        assert (stages.numbers, stages.interval, len(stages.coordinates())) == (4, (0.0, 4.0), 3)
        assert stages.proposed() == ()

    @given(st.lists(st.floats(SMALLEST_U, 1), min_size=3, max_size=3))
    def test_every_draw_is_non_negative_with_the_sum_of_its_number(self, us: list[float]) -> None:
        teachers = self.cases[0]
        weights = teachers.resolve(dict(zip(teachers.distributions(), us, strict=True)))
        assert all(weight >= 0 for weight in weights.values())
        assert math.isclose(sum(weights.values()), 3)

    def test_it_fits_two_fields_alone(self) -> None:
        (mistake,) = made("distill.gram", type="simplex").mistakes()
        assert mistake == "a simplex fits distill.teacher_weights and distill.stage_weights only"


EVERY = [entry for test in EntryContract.__subclasses__() for entry in test.cases]
STRANGE = st.one_of(st.none(), st.just("learned"), st.floats(-1e3, 1e3), st.integers(-1000, 1000))


@given(st.sampled_from(EVERY), STRANGE)
def test_the_nearest_point_is_within_the_range_whatever_the_value(entry: Entry, value: Any) -> None:
    params, known = entry.nearest(value), entry.distributions()
    assert params.keys() == known.keys()
    assert all(contains(known[name], params[name]) for name in known)


def test_a_column_belongs_to_the_entry_that_it_is_a_part_of() -> None:
    space = {entry.path: entry.data for entry in (*TestSimplex.cases, TestFloat.cases[0])}
    assert list(entries(space)) == list(space)
    column = entry_of_column(space, "distill.stage_weights.stage2")
    assert column is not None
    assert column.path == "distill.stage_weights"
    assert entry_of_column(space, "distill.gram") == TestFloat.cases[0]
    assert entry_of_column(space, "distill.gram.low") is None
    assert entry_of_column(space, "train.epochs") is None
