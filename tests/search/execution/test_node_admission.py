"""A node that joins late and cannot serve: it trains nothing, and costs no trial anything but a start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import ray
from ray import cloudpickle

from owkd.config import DataConfig
from owkd.errors import OwkdError
from search.execution.node_admission import UNFIT, NodeAdmission, placement_request, require_admitted, unfit_message
from search.execution.resources import TrialResources
from search.results.tables import read_epochs, read_trials
from search.retrain.test_evaluation import CheckpointRef, evaluate_on_test
from search.trials.job import Message
from tests.support.fake_training import fake_evaluate

TRIALS = 24
"""enough that some are left when both late nodes have joined, on a busy machine too"""

PROGRAM = Path(__file__).parents[1] / "programs" / "late_nodes.py"


@pytest.mark.cluster
@pytest.mark.timeout(240)
def test_a_late_node_that_cannot_serve_is_left_out_and_a_sound_one_is_not(tmp_path: Path) -> None:
    """No failure is allowed (`max_failures` 0), and none is counted."""
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root), "FAKE_EPOCH_S": "0.4"}
    command = [sys.executable, str(PROGRAM), str(tmp_path), str(TRIALS)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=220, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [excluded_nodes] = [line for line in done.stdout.splitlines() if "left out" in line]
    assert "until it is mended and its Ray started again: data must be readable; put it there" in excluded_nodes
    results = tmp_path / "runs" / "fake" / "results"
    rows = read_trials(results).to_pylist()
    assert [row["state"] for row in rows] == ["complete"] * TRIALS, done.stdout
    assert sorted(row["attempt"] for row in rows) == [1] * (TRIALS - 1) + [2]
    assert len(read_epochs(results)) == 6 * TRIALS


def test_a_task_of_the_final_stage_is_refused_on_an_unfit_node_that_joined_late(connect) -> None:
    """This machine's one node: known to the first gate, a late one to the others."""
    with connect():
        here = str(ray.get_runtime_context().get_node_id())
        faulty, sound = cloudpickle.dumps(lambda: "data must be readable"), cloudpickle.dumps(str)
        require_admitted(NodeAdmission(faulty, frozenset({here})))
        require_admitted(NodeAdmission(sound, frozenset()))
        require_admitted(None)
        checkpoints = {"model": CheckpointRef("none", "Fold1")}
        data = DataConfig(root="/data", dataset="D")
        share = TrialResources(1.0, 0.0, 1)
        admission = NodeAdmission(faulty, frozenset())
        with pytest.raises(OwkdError, match=r"could not be evaluated.*\n.*data must be readable"):
            list(
                evaluate_on_test(
                    checkpoints, data, evaluate=fake_evaluate, resources=share, device="cpu", admission=admission
                )
            )


def test_a_refusal_is_a_message() -> None:
    """The gate writes its fields by hand, for a node that may not have the class."""
    message = Message.of(unfit_message("trial-00003", "no data"))
    assert (message.key, message.state, message.error_text) == ("trial-00003", UNFIT, "no data")
    assert message.score is None


def test_an_attempt_asks_for_any_node_but_those_left_out() -> None:
    assert placement_request({"CPU": 1}, "").bundles == [{"CPU": 1.0}]
    asked = placement_request({"CPU": 1}, "aa,bb")
    assert asked.bundles == [{"CPU": 1.0}]
    assert asked._bound.arguments["bundle_label_selector"] == [{"ray.io/node-id": "!in(aa,bb)"}]
