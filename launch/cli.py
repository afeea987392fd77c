"""The command line: every command by name, and what an error turns into.

Exit codes: 0 done; 1 the work failed; 2 the input was refused; 130 interrupted, 143 terminated, 129 its terminal was
closed (all three resumable); 141 nobody read its output any more.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text
from typer.models import CommandInfo

# Before NumPy: its BLAS spins on all cores for matrices of a few hundred rows, against the trainings beside it, and a
# proposal then takes ten times as long (docs/decisions.md). PyTorch has threads of its own.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from launch.commands import cluster, configuration, data, models, published, runs, stored, teacher
from launch.output import streams
from launch.output.console import OutputClosedError, console, errors
from launch.output.failures import failure_of
from owkd.interruption import heeded
from owkd.stalled import require_answer

INTERRUPTED = 130
OUTPUT_CLOSED = 141
"""as a shell says of a process that SIGPIPE has ended"""

app = typer.Typer(
    name="owkd",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    help="Distil person re-identification ensembles into light students, and search for the weights that do it best.",
    epilog="Start with: owkd demo",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        console.print(f"owkd {version('owkd')}")
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None: ...


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for data, teacher and run; must be new.")] = Path("demo"),
    seed: Annotated[int, typer.Option(min=0, help="Of people, teacher, search and tests: another demo.")] = 0,
) -> None:
    """The whole story on a small synthetic data set: data, teacher, search, retrain, report of results."""
    from launch.demo import run_demo

    run_demo(out, seed)


app.add_typer(data.app, name="data")
app.add_typer(teacher.app, name="teacher")
app.add_typer(cluster.app, name="cluster")
app.add_typer(stored.runs, name="runs")
app.add_typer(stored.cache, name="cache")
for command in (
    configuration.init,
    configuration.config,
    models.distill,
    runs.plan,
    runs.search,
    runs.resume,
    runs.retrain,
    runs.trials,
    runs.report,
    runs.monitor,
    cluster.doctor,
    models.evaluate,
    models.embed,
    models.export,
):
    app.command()(command)
app.command("run")(published.run_as_published)


def main() -> None:
    """Entry point of the `owkd` command: errors become one message and an exit code."""
    streams.make_robust()
    code = run_command(sys.argv[1:])
    try:
        streams.flush()
    except BrokenPipeError:
        code = OUTPUT_CLOSED
    except OSError as error:
        code = code or _print_failure(error)
    sys.exit(code)


def run_command(arguments: list[str]) -> int:
    """Runs one command line and returns its exit code."""
    if _names_no_command(arguments):
        arguments = [*arguments, "--help"]
    with heeded() as asked_for:
        try:
            require_answer([*_paths(arguments)])
            code = app(args=arguments, prog_name="owkd", standalone_mode=False)
        except typer.TyperException as refused:
            return _print_refusal(refused, arguments)
        except (KeyboardInterrupt, typer.Abort):
            code = INTERRUPTED
        except OutputClosedError:
            return OUTPUT_CLOSED
        except SystemExit as ended:  # what is raised where a plain write finds nobody who reads
            if isinstance(ended.__context__, BrokenPipeError):
                return OUTPUT_CLOSED
            code = ended.code
        except Exception as error:
            if not (asked_for() and isinstance(error, OSError)):  # a terminal that was closed cannot be written to
                return _print_failure(error)
            code = INTERRUPTED
        if code != INTERRUPTED:
            return code if isinstance(code, int) else 0
        code = asked_for() or INTERRUPTED
        with suppress(OSError):
            errors.print("Interrupted." if code == INTERRUPTED else "Terminated.")
        return code


def _print_refusal(refused: typer.TyperException, arguments: list[str]) -> int:
    if text := refused.format_message():
        _print_error("owkd:", text)
        errors.print(f"{' '.join(['owkd', *_command(arguments), '--help'])} lists what is accepted.", soft_wrap=True)
    return 2


def _print_failure(error: Exception) -> int:
    failure = failure_of(error)
    _print_error("owkd:" if failure.code == 2 else "owkd failed:", failure.text)
    return failure.code


def _print_error(who: str, text: str) -> None:
    with suppress(OSError, OutputClosedError):
        errors.print(Text.assemble((who, "bold red"), f" {text}"), soft_wrap=True)


def _names_no_command(arguments: list[str]) -> bool:
    """Whether there is nothing but, at most, the name of a group of commands."""
    return not arguments or arguments in [[group.name] for group in app.registered_groups]


def _paths(arguments: list[str]) -> Iterator[Path]:
    """Whatever may be a path among them; nothing is there for the other words."""
    for word in arguments:
        yield Path(word.rpartition("=")[2] or word)


def _command(arguments: list[str]) -> list[str]:
    """The part of a command line that names the command, such as `data synth`."""
    groups = {group.name: group.typer_instance for group in app.registered_groups}
    level, command_words = app, []
    for word in arguments:
        names = {command.name or _name(command) for command in level.registered_commands} | set(groups)
        if word not in names:
            break
        command_words.append(word)
        level = groups.get(word) or level
    return command_words


def _name(command: CommandInfo) -> str:
    return command.callback.__name__ if command.callback else ""
