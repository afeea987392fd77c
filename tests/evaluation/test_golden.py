"""Every number of the golden evaluation, which comes from the published code in float64."""

from pathlib import Path

import numpy as np
import pytest

from owkd.evaluation import center_validation_accuracy, evaluate_embeddings

pytestmark = pytest.mark.numeric

GOLDEN = Path(__file__).parents[1] / "golden" / "evaluation.npz"
PROTOCOLS = ("merged", "center", "standard")

# Float32 only enters the distances; all that follows counts ranks in whole numbers and averages in float64. It can thus
# change nothing unless two distances agree to 6 digits, and in these data none do: one tolerance fits both.
TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as archive:
        return dict(archive)


def test_every_key_is_compared(golden):
    compared = {"embeddings", "identities", "center_validation_accuracy", "standard/mean_inverse_negative_penalty"}
    compared |= {f"{p}/{name}" for p in PROTOCOLS for name in ("average_precision", "mean_average_precision", "cmc")}
    assert set(golden) == compared


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_protocol_equals_the_published_code(golden, protocol, dtype):
    result = evaluate_embeddings(golden["embeddings"].astype(dtype), golden["identities"], protocol)
    assert result.protocol == protocol
    assert result.skipped == 0
    np.testing.assert_allclose(result.average_precision, golden[f"{protocol}/average_precision"], rtol=TOLERANCE)
    np.testing.assert_allclose(result.cmc, golden[f"{protocol}/cmc"], rtol=TOLERANCE)
    assert result.mean_average_precision == pytest.approx(
        float(golden[f"{protocol}/mean_average_precision"]), rel=TOLERANCE
    )
    if protocol == "standard":
        expected = float(golden["standard/mean_inverse_negative_penalty"])
        assert result.mean_inverse_negative_penalty == pytest.approx(expected, rel=TOLERANCE)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_center_validation_accuracy_equals_the_published_code(golden, dtype):
    accuracy = center_validation_accuracy(golden["embeddings"].astype(dtype), golden["identities"])
    assert accuracy == pytest.approx(float(golden["center_validation_accuracy"]), rel=TOLERANCE)
