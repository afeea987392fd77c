"""The command line: every command by name, and what an error turns into.

Exit codes: 0 done; 1 the work failed; 2 the input was refused; 130 interrupted (and resumable).
"""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from typer.models import CommandInfo

from launch.commands import cluster, configuration, data, models, published, runs, teacher
from launch.output.console import console, errors
from owkd.errors import OwkdError, UserError

app = typer.Typer(
    name="owkd",
    no_args_is_help=True,
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
for command in (
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
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: list[str]) -> int:
    """Runs one command line and returns its exit code."""
    try:
        code = app(args=arguments, prog_name="owkd", standalone_mode=False)
    except typer.TyperException as refused:
        if text := _escaped(refused):
            errors.print(f"[bold red]owkd:[/] {text}", soft_wrap=True)
            errors.print(
                f"{' '.join(['owkd', *_command(arguments), '--help'])} lists what is accepted.", soft_wrap=True
            )
        return 2
    except (KeyboardInterrupt, typer.Abort):
        errors.print("Interrupted.")
        return 130
    except UserError as error:
        errors.print(f"[bold red]owkd:[/] {_escaped(error)}", soft_wrap=True)
        return 2
    except OwkdError as error:
        errors.print(f"[bold red]owkd failed:[/] {_escaped(error)}", soft_wrap=True)
        return 1
    return code if isinstance(code, int) else 0


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


def _escaped(error: Exception) -> str:
    text = error.format_message() if isinstance(error, typer.TyperException) else str(error)
    return escape(text)
