"""Samplers and schedulers: a section takes what its kind takes, and refuses the rest by name."""

from typing import Any

import pytest
import yaml

from owkd.config import AshaSettings, AutoSettings, TpeSettings, load_config, parse_config
from owkd.config.kinds import SECTIONS, kinds_at, takers
from owkd.config.reference import reference
from owkd.errors import ConfigError


def search_of(**search: Any) -> Any:
    return parse_config({"data": {"root": "/data", "dataset": "s"}, "search": search}).search


def problems(**search: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        search_of(**search)
    return caught.value.problems


def test_a_section_without_a_name_is_of_the_default_kind(tmp_path) -> None:
    assert search_of(sampler={"candidates": 7}, scheduler={"grace_epochs": 2}) == search_of(
        sampler={"name": "auto", "candidates": 7}, scheduler={"name": "asha", "grace_epochs": 2}
    )
    assert (search_of().sampler, search_of().scheduler) == (AutoSettings(), AshaSettings())
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump({"data": {"root": "/data", "dataset": "s"}}))
    assert load_config(file, ["search.sampler.seed=4"]).search.sampler == AutoSettings(seed=4)
    assert load_config(file, ["search.sampler.name=tpe"]).search.sampler == TpeSettings()


@pytest.mark.parametrize(
    ("search", "message"),
    [
        (
            {"sampler": {"name": "tpe", "population": 4}},
            "search.sampler.population: nsga2 alone takes it, but name is tpe; drop it or set search.sampler.name to "
            "nsga2",
        ),
        (
            {"sampler": {"population": 4}},
            "search.sampler.population: nsga2 alone takes it, but name is auto; drop it or set search.sampler.name to "
            "nsga2",
        ),
        (
            {"sampler": {"name": "gp", "candidates": 4}},
            "search.sampler.candidates: auto, tpe take it, but name is gp; drop it or set search.sampler.name to one "
            "of them",
        ),
        (
            {"scheduler": {"name": "none", "grace_epochs": 4}},
            "search.scheduler.grace_epochs: asha, hyperband, median take it, but name is none; drop it or set "
            "search.scheduler.name to one of them",
        ),
        (
            {"scheduler": {"name": "median", "grace_epoch": 4}},
            "search.scheduler.grace_epoch: unknown key; did you mean 'grace_epochs'?",
        ),
        (
            {"sampler": {"name": "bayes"}},
            "search.sampler.name: must be one of auto, gp, tpe, cmaes, nsga2, random, but got 'bayes'",
        ),
        (
            {"space": {"distill.gram": {"type": "real", "low": 0, "high": 1}}},
            "search.space.distill.gram.type: must be one of float, int, categorical, fixed, simplex, but got 'real'",
        ),
        ({"space": {"distill.gram": {"low": 0, "high": 1}}}, "search.space.distill.gram.type: is required"),
        (
            {"sampler": {"name": "nsga2", "population": 1}},
            "search.sampler.population: Input should be greater than or equal to 2, but got 1",
        ),
    ],
)
def test_what_a_kind_does_not_take_is_refused_by_name(search: dict[str, Any], message: str) -> None:
    assert problems(**search) == (message,)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_field_of_every_kind_is_in_the_reference(section: str) -> None:
    kinds = kinds_at(f"search.{section}")
    text = reference(f"search.{section}")
    fields = {field for kind in kinds.values() for field in kind.model_fields}
    assert len(kinds) > 3
    assert len(fields) > 4
    for field in fields:
        (line,) = (line for line in text.splitlines() if line.strip().removeprefix("# ").startswith(f"{field}: "))
        default = next(iter(kinds.values()))
        assert line.strip().startswith("#") == (field not in default.model_fields)
        if len(takers(kinds, field)) < len(kinds):
            assert f"# {', '.join(takers(kinds, field))}: " in text
