"""What a node may lack: named with the node, and given a remedy, before a search starts."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from launch import doctor, driver, library
from launch.cli import run_command
from launch.doctor import ClusterReport, Fault, NodeReport, examine_this_machine, refuse_faults
from launch.doctor.node_checks import find_faults
from launch.doctor.node_facts import FAILED, Facts, gather_facts
from launch.doctor.node_table import node_table
from launch.doctor.preflight import make_question
from owkd.errors import UserError
from owkd.machine import this_machine
from search.runs.layout import RunFolder
from search.storage.address import Address
from tests.support.small_training import small_config

ROOT = Path(__file__).parents[3]
PROGRAM = Path(__file__).parents[1] / "programs" / "survey_of_one_node.py"


def facts(**changed: object) -> Facts:
    answer: Facts = {
        "host": "w1",
        "machine": "8 CPUs, 16.0 GiB of memory",
        "versions": {"python": "3.11.7", "owkd": "0.1.0", "torch": "2.13.0", "ray": "2.60.0", "cuda": "13.0"},
        "gpus": [("NVIDIA L4", 24 * 2**30)],
        "gpu_error": "",
        "disk_free": {"/tmp": 50 * 2**30},
        "too_full": [],
        "files": {"data Fold1/train": "aa", "data Fold1/validation": "bb", "teacher /t": "cc"},
        "clock": 0.0,
    }
    return {**answer, **changed}  # type: ignore[typeddict-item]


SOUND = NodeReport("10.0.0.2", facts(), gpus=1)
OLD = {**facts()["versions"], "owkd": "0.0.9"}


def files(**changed: str) -> dict[str, str]:
    return {**facts()["files"], **{"data Fold1/train": "aa"}, **changed}


FAULTY: dict[str, tuple[NodeReport, str, tuple[str, ...]]] = {
    "another owkd": (replace(SOUND, facts=facts(versions=OLD)), "owkd", ("must be 0.1.0", "got 0.0.9", "cluster up")),
    "no owkd": (replace(SOUND, facts=facts(versions={})), "owkd", ("got not installed",)),
    "no data": (
        replace(SOUND, facts=facts(files={**files(), "data Fold1/train": FAILED + "/data is not a folder"})),
        "data",
        ("data Fold1/train must be readable", "/data is not a folder", "under the same path"),
    ),
    "other data": (
        replace(SOUND, facts=facts(files={**files(), "data Fold1/validation": "xx"})),
        "data",
        ("must be the driver's (bb)", "got xx", "rsync -a"),
    ),
    "other teacher": (
        replace(SOUND, facts=facts(files={**files(), "teacher /t": "dd"})),
        "teacher",
        ("teacher /t must be the driver's (cc)",),
    ),
    "storage not there": (
        replace(SOUND, facts=facts(files={**files(), "storage": FAILED + "no such file"}), storage_seen=False),
        "storage",
        ("no such file", "--runs"),
    ),
    "storage not shared": (replace(SOUND, storage_seen=False), "storage", ("the driver does not see its file",)),
    "GPU without driver": (
        replace(SOUND, facts=facts(gpus=[], gpu_error="driver too old")),
        "GPUs",
        ("the 1 GPUs that Ray counts", "sees 0: driver too old", "CUDA 13.0"),
    ),
    "full disk": (replace(SOUND, facts=facts(disk_free={"/tmp": 2**30})), "disk", ("/tmp must have 2 GiB", "has 1.0")),
    "no room": (
        replace(SOUND, facts=facts(too_full=[("/cache", 9 * 10**9, 2 * 10**9, "decoded images", "data.cache")])),
        "disk",
        ("/cache must have room for 9.0 GB (decoded images)", "has 2.0 GB", "set data.cache to another disk"),
    ),
    "clock": (replace(SOUND, skew_s=-61.0), "clock", ("off by -61.0 s", "chrony")),
    "silence": (replace(SOUND, facts=None, failure="it gave no answer within 90 s"), "answer", ("no answer", "logs")),
}


def test_a_sound_node_has_no_fault() -> None:
    assert list(find_faults(facts(), SOUND)) == []


@pytest.mark.parametrize("case", FAULTY)
def test_a_fault_names_rule_value_remedy_and_node(case: str) -> None:
    node, column, words = FAULTY[case]
    faults = [fault for fault in find_faults(facts(), node) if fault.column == column]
    assert len(faults) == 1
    for word in words:
        assert word in faults[0].text
    assert "10.0.0.2" in faults[0].node
    if case != "no owkd":
        assert [fault.column for fault in find_faults(facts(), node)] == [column]
    with pytest.raises(UserError, match=r"there is 1 fault:\n  - .*10\.0\.0\.2"):
        refuse_faults(ClusterReport((node,), tuple(faults)))


def test_the_table_marks_what_is_at_fault() -> None:
    node, *_ = FAULTY["another owkd"]
    report = ClusterReport((replace(SOUND, address="10.0.0.1"), node), tuple(find_faults(facts(), node)))
    console = Console(width=120, force_terminal=True, color_system="standard", record=True)
    console.print(node_table(report))
    styled = console.export_text(styles=True)
    assert "\x1b[31m0.0.9" in styled
    assert "\x1b[31m0.1.0" not in styled
    assert "24 GiB" in styled


def test_this_machine_is_asked_about_data_teachers_and_storage(root: Path, tmp_path: Path) -> None:
    config = small_config(root)
    report = examine_this_machine(config, Address.of(tmp_path / "runs"))
    assert report.faults == ()
    its_facts = report.nodes[0].facts
    assert its_facts is not None
    assert sorted(name.partition(" ")[0] for name in its_facts["files"]) == ["data", "data", "storage", "teacher"]
    assert list(tmp_path.iterdir()) == []  # the question left nothing behind


def test_the_driver_s_own_facts_differ_when_the_data_do(root: Path) -> None:
    before = gather_facts(make_question(small_config(root), None, gpus=False))
    image = next((root / "Synthetic_thermal" / "Fold1" / "train").rglob("*.png"))
    status = image.stat()
    os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    try:
        after = gather_facts(make_question(small_config(root), None, gpus=False))
    finally:
        os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns))
    differ = [name for name in before["files"] if before["files"][name] != after["files"][name]]
    assert differ == ["data Fold1/train"]


def test_a_driver_without_a_storage_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"place of runs must be writable.*--runs"):
        examine_this_machine(None, Address.of(tmp_path / "file"))


def test_doctor_on_this_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert run_command(["doctor", "--runs", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "1 node can serve" in printed
    assert f"(this machine): {this_machine()}" in printed
    assert "GPUs: those of CUDA_VISIBLE_DEVICES=''" in printed


def test_a_search_is_refused_before_it_leaves_anything(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, *_ = FAULTY["another owkd"]
    fault = Fault(node.name, "owkd", "owkd must be 0.1.0")
    monkeypatch.setattr(library, "connection", lambda address: nullcontext)
    monkeypatch.setattr(doctor, "admit_nodes", lambda config, run: refuse_faults(ClusterReport((node,), (fault,))))
    space = {"distill.logit": {"type": "float", "low": 0.01, "high": 1.0}}
    config = small_config(root, search={"space": space, "trials": 2, "scheduler": {"name": "none"}})
    with pytest.raises(UserError, match=r"w1 \(10\.0\.0\.2\): owkd must be 0\.1\.0"):
        driver.run_search(config, tmp_path, "10.0.0.1:6379")
    assert not RunFolder(tmp_path / config.name).root.exists()


def test_a_real_node_answers_and_a_silent_one_is_named(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command: list[str | Path] = [sys.executable, PROGRAM, tmp_path]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=110, check=False)
    assert done.stdout.split()[-1:] == ["surveyed"], done.stderr
    assert list(tmp_path.iterdir()) == []
