"""Jobs on a cluster, as they are shown."""

from __future__ import annotations

from launch.cluster.jobs import RAY_LOG_LINE


def test_what_ray_writes_into_a_log_is_left_out() -> None:
    log = "2026-11-26 09:31:05,450\tINFO job_manager.py:581 -- Runtime env is setting up.\ntrial 1 started\n"
    assert RAY_LOG_LINE.sub("", log) == "trial 1 started\n"
