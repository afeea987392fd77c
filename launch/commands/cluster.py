"""Commands on clusters: describe one, start it, give it searches, look at it, take it down."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from launch.commands.arguments import Address, Runs
from launch.configuration import load_checked
from launch.output.console import console

app = typer.Typer(no_args_is_help=True, help="Start a Ray cluster, search on it, take it down.")

ClusterPath = Annotated[Path, typer.Argument(metavar="[FILE]", help="What `ray up` reads; see docs/cluster.md.")]
DEFAULT = Path("cluster.yaml")


@app.command()
def init(
    kind: Annotated[Literal["aws", "local", "kuberay", "slurm"], typer.Argument(help="local: machines that you have.")],
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Where; cluster.yaml, or slurm.sh, when unset.")
    ] = None,
) -> None:
    """Write a file to start from; every line that needs an edit is marked."""
    from launch.cluster import write_template

    file = file or (Path("slurm.sh") if kind == "slurm" else DEFAULT)
    write_template(kind, file)
    console.print(f"written: {file}; edit it, then: owkd cluster check {file}", soft_wrap=True)


@app.command()
def check(file: ClusterPath = DEFAULT) -> None:
    """Name every line that is still the template's, and what Ray would refuse."""
    from launch.cluster import check_cluster

    check_cluster(file)


@app.command()
def up(file: ClusterPath = DEFAULT) -> None:
    """Start the cluster, or bring a running one up to date; on machines of one's own, wait for a worker."""
    from launch.cluster import await_workers, start_cluster

    start_cluster(file)
    await_workers(file)


@app.command(context_settings={"ignore_unknown_options": True})
def submit(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="[FILE] -- COMMAND ...", help="search CONFIG, resume RUN, retrain RUN or doctor, as always."
        ),
    ],
    detach: Annotated[bool, typer.Option("--detach", help="Do not show the log.")] = False,
) -> None:
    """Run an owkd command on the head, where it survives a closed terminal, and show its log. Ctrl-C only detaches."""
    from launch.cluster import COMMANDS, submit_job

    words = [word for word in arguments if word != "--"]
    names_file = bool(words) and words[0] not in COMMANDS
    submit_job(Path(words[0]) if names_file else DEFAULT, words[names_file:], follow=not detach)


@app.command()
def status(
    file: ClusterPath = DEFAULT,
    follow: Annotated[bool, typer.Option("--follow", help="Show the log of a job until it ends.")] = False,
    job: Annotated[str | None, typer.Option(help="Which job to follow; the newest when unset.")] = None,
) -> None:
    """List nodes, jobs and how far they are; or come back to a job with --follow."""
    from launch.cluster import follow_job, print_status

    if follow or job:
        follow_job(file, job)
    else:
        print_status(file)


@app.command()
def down(
    file: ClusterPath = DEFAULT,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Take the cluster down; what is on shared or object storage stays."""
    from launch.cluster import stop_cluster

    if not yes:
        typer.confirm(f"Take down the cluster of {file}, with every job on it?", abort=True)
    stop_cluster(file)


def doctor(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="A run whose files are looked at, in place of nodes.")
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair what can be of RUN; what is replaced is set aside, not deleted.")
    ] = False,
    config: Annotated[
        Path | None, typer.Option(help="YAML configuration whose data and teachers every node must read.")
    ] = None,
    address: Address = None,
    runs: Runs = "runs",
) -> None:
    """Look at every node of a cluster, or at this machine: versions, GPUs, data, teachers, storage, disk, clock.

    With RUN: whether each file of that run is whole, and what to do where it is not.
    """
    from launch.doctor import check_run, run_doctor

    if run is not None:
        check_run(run, mend=repair)
        return
    if repair:
        raise typer.BadParameter("--repair needs the RUN that is to be repaired")
    run_doctor(load_checked(config) if config else None, address, runs)
