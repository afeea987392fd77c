"""Every command that a page shows in a block, and the file that runs it.

Most are run word for word, in a place where their names mean something: by `test_quickstart.py` and
`test_documented_commands.py`. The others need other arguments, other machines or another hour; of those `RUN_BY` names
a test, or a make target, and the words in its file that run the command. `test_docs.py` holds pages and table together.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = (*(f"docs/{page.name}" for page in sorted((ROOT / "docs").glob("*.md"))), "README.md", "CONTRIBUTING.md")
PROGRAMS = r"owkd|make|pip|pytest|python3?|ray|kubectl|optuna-dashboard|\.ci/run"
BLOCK_LINE = re.compile(rf"^(?:    )?((?:{PROGRAMS})(?: [^|\n]+)?)$", re.MULTILINE)
"""in running text, commands stand between backticks"""


class Row(NamedTuple):
    """A kind of command, and what runs it."""

    page: str
    """pattern of pages"""
    command: str
    """pattern of commands, from their beginning"""
    file: str
    words: str
    """in that file; \\1 stands for the command's first group"""


WORD_FOR_WORD = "tests/test_documented_commands.py"
RUN_BY = (
    Row("docs/quickstart", "owkd ", "tests/test_quickstart.py", '["bash", "-euc", block]'),
    Row(
        "docs/storage",
        "owkd (trials|report) ",
        "tests/search/storage/test_search_in_a_store.py",
        "run_command([command,",
    ),
    Row(
        "docs/storage",
        "owkd monitor ",
        "tests/search/storage/test_search_in_a_store.py",
        'followed(finished, "tensorboard"',
    ),
    Row(".*", "owkd .*s3://", "tests/cluster/test_cluster.py", "--runs '{cluster.store.runs}'"),
    Row(".*", "owkd monitor ", "tests/launch/test_monitor.py", "monitored(str(folder.root)"),
    Row(".*", "owkd teacher import ", "tests/launch/published/test_checkpoints.py", '["teacher", "import", '),
    Row(".*", "owkd doctor .*--address", "tests/cluster/test_cluster.py", 'submit(f"doctor --config search.yaml'),
    Row(".*", "owkd cluster check kuberay", "tests/launch/cluster/test_kuberay.py", "check"),
    Row(".*", "owkd cluster submit -- (search|doctor) ", "tests/cluster/test_cluster.py", "search search.yaml --runs"),
    Row(".*", "owkd cluster (up|submit|status|down)", "tests/cluster/test_cluster.py", "cluster up"),
    Row("docs/resuming", "owkd doctor runs/", "tests/search/runs/test_damage.py", 'run_command(["doctor", str(run)'),
    Row("docs/faq", "optuna-dashboard ", "tests/search/study/test_dashboard.py", '"--storage-class", "JournalFile'),
    Row(".*", "owkd retrain .*--seeds ", "tests/search/retrain/test_looks.py", "final(seeds=5)"),
    Row("docs/demo", r"python -m benchmarks\.demo_seeds ", "benchmarks/demo_seeds.py", "argparse.ArgumentParser"),
    Row(
        "docs/data",
        "owkd evaluate .*sysu",
        "tests/launch/commands/test_evaluate.py",
        '"--protocol", "sysu-all-single"]',
    ),
    Row("docs/data", "owkd evaluate .*--(rerank|query-exp)", "tests/launch/commands/test_evaluate.py", '"--\\1'),
    Row(".*", "owkd ", WORD_FOR_WORD, "commands(page)"),
    Row(".*", "make ([a-z-]+)", "Makefile", r"\1: $(INSTALLED)"),
    Row("CONTRIBUTING", r"\.ci/run", ".ci/run", "make test"),
    Row("docs/cluster", "pip install 'owkd", "pyproject.toml", "cluster = ["),
    Row("docs/cluster", "kubectl ", "docs/cluster.md", "it was\nnot applied to a cluster"),
)


def commands(page: str) -> list[str]:
    """Commands of a page's blocks, without what is said of them, in their order; those that `&&` joins are two."""
    text = (ROOT / page).read_text(encoding="utf-8")
    lines = [re.sub(r"\s+#\s.*|\s{3,}.*", "", line) for line in BLOCK_LINE.findall(text) if "`" not in line]
    return [command.strip() for line in lines for command in line.split("&&")]


def runner(page: str, command: str) -> Row | None:
    """The first row that answers for a command, with its words filled in."""
    for row in RUN_BY:
        found = re.match(row.command, command)
        if found and re.match(row.page, page):
            return row._replace(words=row.words.replace(r"\1", found[1] if found.groups() else ""))
    return None
