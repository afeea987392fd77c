"""Errors of a machine are told from those of a trial, by a worker, and a search that has no machine left is resumed."""

from __future__ import annotations

import errno
import io
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from ray.exceptions import RayTaskError
from rich.console import Console

from owkd.config import parse_config
from owkd.data.index import read_split
from owkd.errors import CheckpointError, ConfigError, DataError, DivergedError, OwkdError
from search.execution.nodes import fault_in_words, is_node_fault
from search.execution.worker import work
from search.results.tables import read_epochs, read_trials
from search.run_search import Work, resume, search
from search.trials.job import Job, Message, Part
from tests.support.fake_training import fake_check, fake_config, fake_run, make_plan


def system_error(number: int) -> OSError:
    return OSError(number, "of the system", "/data/x")


def raised_from(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def cuda(text: str) -> RuntimeError:
    return RuntimeError(
        f"CUDA error: {text}\nCUDA kernel errors might be asynchronously reported at some other API call"
    )


OF_THE_MACHINE = {
    **{errno.errorcode[number]: system_error(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EIO)},
    **{errno.errorcode[number]: system_error(number) for number in (errno.ESTALE, errno.ENOTCONN, errno.EROFS)},
    "mount that fell off": DataError("data.root must be a folder, but got /data; give the folder"),
    "teacher that is not there": raised_from(CheckpointError("no teacher"), system_error(errno.ENOENT)),
    "ECC": cuda("uncorrectable ECC error encountered"),
    "unspecified launch failure": cuda("unspecified launch failure"),
    "GPU that is gone": RuntimeError("No CUDA GPUs are available"),
    "cuBLAS": RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
    "of a task": RayTaskError("train", "Traceback", system_error(errno.ENOSPC)),
}
OF_THE_TRIAL = {
    "divergence": DivergedError("loss/total must be finite"),
    "teacher of another size": CheckpointError("teacher.safetensors cannot teach here"),
    "configuration": ConfigError(["train.batch_size must be a multiple"]),
    "bug": RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
    "label out of range": cuda("device-side assert triggered"),
    "memory": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"),
    "memory, asked for by CUDA": cuda("out of memory"),
    "memory, asked for by cuBLAS": RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
}


@pytest.mark.parametrize("name", OF_THE_MACHINE)
def test_an_error_of_a_machine(name: str) -> None:
    assert is_node_fault(OF_THE_MACHINE[name])
    assert "\n" not in fault_in_words(OF_THE_MACHINE[name])


@pytest.mark.parametrize("name", OF_THE_TRIAL)
def test_an_error_of_a_trial(name: str) -> None:
    assert not is_node_fault(OF_THE_TRIAL[name])


def test_a_worker_says_which_gpu_failed_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not raise: nothing is to be started again there."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")

    def train(*_: object, **__: object) -> None:
        raise cuda("uncorrectable ECC error encountered")

    sent: list[Message] = []
    job = Job("trial-00001", fake_config(tmp_path), (Part("Fold1", 0),), str(tmp_path / "work"))
    work(asdict(job), train=train, send=sent.append)  # type: ignore[arg-type]
    assert [(message.state, message.device) for message in sent] == [("node_fault", "3")]
    assert sent[0].error_text == "RuntimeError: CUDA error: uncorrectable ECC error encountered"


def test_data_that_fell_off_is_the_machines(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_split(tmp_path / "gone", "D", "Fold1", "train")
    assert is_node_fault(caught.value)


def test_a_full_disk_ends_a_search_on_one_machine_which_goes_on_when_there_is_room(tmp_path: Path, connect) -> None:
    fates = {f"trial-{number:05d}": "no room" for number in range(2, 6)}
    make_plan(tmp_path, fates)
    shown = io.StringIO()
    work = Work(fake_run, fake_check)
    run, console = tmp_path / "runs" / "fake", Console(file=shown, width=300)
    # One at a time: a neighbour that went on training would clear the disk.
    config = parse_config(fake_config(tmp_path, max_failures=0, max_concurrent=1))
    with pytest.raises(OwkdError, match=r"(?s)every node .* left out.*No space left on device.*owkd resume"):
        search(config, run, connect=connect, console=console, work=work)
    states = read_trials(run / "results")["state"].to_pylist()
    assert states[:2] == ["complete", "complete"]
    assert set(states[2:]) == {"running"}
    assert "its machine failed: " in shown.getvalue()
    make_plan(tmp_path, {})
    summary = resume(run, connect=connect, console=console, work=work)
    assert summary.counts == {"complete": 6}
    rows = read_epochs(run / "results").to_pylist()
    assert sorted((row["trial"], row["step"]) for row in rows) == [(n, s) for n in range(6) for s in range(1, 5)]
