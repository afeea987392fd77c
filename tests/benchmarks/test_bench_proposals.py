"""The cost of proposals is measured of the sampler that is meant."""

from collections.abc import Sequence
from typing import Any

import pytest

from benchmarks import bench_proposals
from search.samplers.gp import GaussianProcessSampler
from search.samplers.model import Beliefs


def test_each_slot_gets_a_proposal_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    inner = GaussianProcessSampler._best

    def best(sampler: GaussianProcessSampler, known: Beliefs, running: Sequence[Any]) -> Any:
        asked.append(len(running))
        return inner(sampler, known, running)

    monkeypatch.setattr(GaussianProcessSampler, "_best", best)
    text = bench_proposals.report((8,), slots=3)
    assert asked == [2, 2, 2]
    assert "3 slots that come free at once" in text
