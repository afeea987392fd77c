"""What the documentation names exists."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.models import CommandInfo

from launch.cli import app, run_command
from owkd.config import parse_config
from tests.support.documented import PAGES, RUN_BY, commands, runner

ROOT = Path(__file__).parents[1]
NAMED = re.compile(r"`(\w+)` \(`([\w/]+\.py)`\)")
FILE = re.compile(r"`((?:owkd|search|launch|tests|docs)/[\w./]+)`")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")


def command_name(command: CommandInfo) -> str:
    assert command.callback is not None
    return command.name or command.callback.__name__


COMMANDS = {*map(command_name, app.registered_commands), *(group.name for group in app.registered_groups)}
TYPED = re.compile(r"^(?:    )?owkd [^|\n]+$", re.MULTILINE)
"""a line of a block that is a command; in running text commands stand between backticks"""
QUOTED = re.compile(r"`owkd ([a-z][^`]*)`")


def test_every_name_is_defined_where_the_page_says() -> None:
    named = NAMED.findall((ROOT / "docs/method.md").read_text(encoding="utf-8"))
    assert len(named) > 20
    for name, file in named:
        source = (ROOT / file).read_text(encoding="utf-8")
        assert re.search(rf"^(?:def|class) {name}\b", source, re.MULTILINE), f"{name} in {file}"


@pytest.mark.parametrize("page", PAGES)
def test_every_file_and_link_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    found = [ROOT / path for path in FILE.findall(text)]
    found += [(ROOT / page).parent / link for link in LINK.findall(text)]
    missing = [path for path in found if not path.exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES)
def test_every_command_and_option_exists(page: str, capfd) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    lines = [line.strip().removeprefix("owkd ") for line in TYPED.findall(text) if line.split()[1] in COMMANDS]
    for line in dict.fromkeys([*lines, *QUOTED.findall(text)]):
        words = [word for word in shlex.split(line.replace("|", " "), comments=True) if word != "..."]
        outer, _, inner = " ".join(words).partition(" -- ")  # a command that is handed to a cluster stands behind
        for command in filter(None, (outer, inner)):
            # --help is answered when all words before it are known
            assert run_command([*command.split(), "--help"]) == 0, f"owkd {line}: {capfd.readouterr().err}"


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_block_is_run_by_something(page: str) -> None:
    for command in commands(page):
        row = runner(page, command)
        assert row is not None, f"{page}: nothing runs {command}"
        assert row.words in (ROOT / row.file).read_text(encoding="utf-8"), f"{row.file} does not run {command}"


def test_no_row_answers_for_what_no_page_shows() -> None:
    shown = [(page, command) for page in PAGES for command in commands(page)]
    used = {found[:3] for page, command in shown if (found := runner(page, command))}
    assert [row for row in RUN_BY if row[:3] not in used] == []
    assert len(shown) > 60


def test_the_pages_are_found_and_name_commands() -> None:
    assert len(PAGES) >= 8
    text = (ROOT / "docs/data.md").read_text(encoding="utf-8")
    assert {"data check /data/thermal/SYSU-MM01_thermal"} <= {line.strip()[5:] for line in TYPED.findall(text)}
    assert run_command(["search", "c.yaml", "--no-such-option", "--help"]) == 2


def test_the_readmes_configuration_is_a_right_one() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) == 1
    config = parse_config(yaml.safe_load(blocks[0]), source="README.md")
    assert config.teacher.checkpoint_for("Fold1") == Path("teachers/Fold1.safetensors")
    assert len(config.search.space) == 4


def test_every_block_of_the_search_space_page_is_a_right_one() -> None:
    text = (ROOT / "docs/search-space.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml( search)?\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) == 3
    for whole, block in blocks:
        search = yaml.safe_load(block) if whole else {"space": yaml.safe_load(block)}
        raw = {"data": {"root": "/data", "dataset": "D"}, "student": {"preset": "micro"}, "search": search}
        config = parse_config(raw, source="docs/search-space.md")
        assert config.search.space or len(config.search.objectives) == 2


TREE_LINE = re.compile(r"^ {4}((?:  )*)([a-z_]+/) {2,}\S", re.MULTILINE)


def folders_of_the_tree() -> set[str]:
    """Folders of the tree in CONTRIBUTING.md, by their paths."""
    above: list[str] = []
    folders = set()
    for indent, name in TREE_LINE.findall(
        (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## The house")[2].partition("\n## ")[0]
    ):
        above[len(indent) // 2 :] = [name]
        folders.add("".join(above).rstrip("/"))
    return folders


def test_the_tree_is_the_listing() -> None:
    """One line a folder: every package, and nothing that is not there."""
    packages = {path.parent for top in ("owkd", "search", "launch") for path in (ROOT / top).rglob("__init__.py")}
    listed = {str(folder.relative_to(ROOT)) for folder in packages} | {
        "launch/templates",
        "tests",
        "benchmarks",
        "docs",
    }
    assert folders_of_the_tree() == listed


def test_the_glossary_explains_each_word_once() -> None:
    rows = re.findall(r"^\| (\*\*.+?\*\*) \|", (ROOT / "docs/glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
    words = [word for row in rows for word in re.findall(r"\*\*(.+?)\*\*", row)]
    assert len(words) == len(set(words))
    assert {"run", "trial", "part", "attempt", "driver", "working copy", "targets", "champion", "candidate"} <= set(
        words
    )


@pytest.mark.parametrize("title", ["scheduler", "sampler", "objective", "object store", "stage"])
def test_contributing_names_what_exists(title: str) -> None:
    """Files, and the names that a section says are in them or anywhere in the project."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = re.search(rf"^## Adding an? {title}\n(.+?)(?=^## )", page, re.MULTILINE | re.DOTALL)
    assert section is not None
    quoted = set(re.findall(r"`([^`\n]+)`", section[1]))
    files = {text for text in quoted if "/" in text and "<" not in text}
    assert len(files) >= 2
    assert not [file for file in files if not (ROOT / file).exists()]
    sources = [
        path.read_text(encoding="utf-8") for top in ("owkd", "search", "launch", "tests") for path in python(top)
    ]
    names = {text for text in quoted if re.fullmatch(r"[A-Za-z_]\w+", text)}
    assert names
    assert not [name for name in names if not any(re.search(rf"\b{name}\b", source) for source in sources)]


def python(top: str) -> list[Path]:
    """The Python files of a folder, this one apart: it would hold any name that it asks for."""
    return [path for path in (ROOT / top).rglob("*.py") if path != Path(__file__)]
