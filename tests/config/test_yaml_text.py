from typing import Any

import pytest
import yaml

from owkd.config import load_config, parse_config
from owkd.config.yaml_text import YamlError, load_yaml
from owkd.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("name: x\non: true", 2, "must be text, but got on, which YAML reads as bool"),
        ("name: x\n\n5: 1", 3, "must be text, but got 5"),
        ("~: 1", 1, "must be text, but got ~"),
        ("a: {b: 1, no: 2}", 1, "must be text, but got no"),
        ("a:\n  - {1.5: x}", 2, "must be text, but got 1.5"),
        ("? [a, b]\n: 1", 1, "must be text, but got a list or mapping"),
        ("a: 1\nb: 2\na: 3", 3, "must stand once, but a stands in line 1 too"),
    ],
)
def test_a_key_that_cannot_be_is_left_out_and_named_with_its_line(text, line, words):
    _, problems = load_yaml(text, "file")
    (problem,) = problems
    assert problem.startswith(f"line {line}: ")
    assert words in problem


def test_what_is_right_is_read_as_yaml_does():
    text = "base: &b {x: 1, y: 2}\nother: {<<: *b, y: 3}\nlist: [1.5, on, null, text]"
    assert load_yaml(text, "file") == (yaml.safe_load(text), [])
    assert load_yaml("", "file") == (None, [])


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: [1,\n  b: {c", "here.yaml:2:"),
        ("a: 1\nb: \x01", "here.yaml:2:"),
        ("a: 2024-99-99", "here.yaml: "),
        ("[" * 5000, "here.yaml: "),
        ("a: &a {b: *a}", "here.yaml: "),
        ("a: &a [*a]", "here.yaml: "),
        ("a: !!python/object:os.system {}", "here.yaml:1:"),
    ],
)
def test_what_is_no_yaml_is_told_with_its_place(text, place):
    with pytest.raises(YamlError) as refused:
        load_yaml(text, "here.yaml")
    assert str(refused.value).startswith(place)


def test_aliases_that_multiply_are_refused_before_they_are_walked_through():
    levels = "\n".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]" for i in range(1, 30))
    with pytest.raises(YamlError, match="values"):
        load_yaml(f"l0: &l0 [x]\n{levels}", "file")


def test_every_mistake_in_keys_is_told_with_the_others(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("on: true\n5: 1\n~: 2\nname: a\nname: b\ndata: {root: r, dataset: d, yes: 1}\ntrain: {epochs: 0}")
    with pytest.raises(ConfigError) as refused:
        load_config(path)
    assert len(refused.value.problems) == 6
    assert any("train.epochs" in problem for problem in refused.value.problems)


@pytest.mark.parametrize("key", [True, 5, None, 1.5, ("a", "b")])
@pytest.mark.parametrize("place", [(), ("data",), ("search", "space")])
def test_a_tree_of_plain_values_is_refused_for_a_key_that_is_no_text(key, place):
    tree: dict[str, Any] = {"data": {"root": "r", "dataset": "d"}, "search": {"space": {}}}
    node = tree
    for name in place:
        node = node[name]
    node[key] = 1
    with pytest.raises(ConfigError, match="a key must be text") as refused:
        parse_config(tree)
    assert repr(key) in str(refused.value)
