"""Ranking: 3,368 queries x 15,913 images against a Python loop, then 100,000 images in bounded memory.

The sizes of the first are those of Market-1501's test split; embeddings are random, around a centre for each identity.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import measure, reference
from owkd.evaluation.ranking import Images, condition, rank_queries

COMMAND = "python -m benchmarks.bench_ranking"
SIGNAL = 0.4  # how far apart identities lie, in standard deviations of their images: a middling mAP


@dataclass(frozen=True)
class Sizes:
    """How many images are ranked for how many queries; the queries are the first of the images."""

    queries: int
    images: int
    dimensions: int
    identities: int
    threads: int = 1
    device: str = "cpu"


MARKET = Sizes(queries=3_368, images=15_913, dimensions=512, identities=751)
# Memory does not grow with the queries, time does: `--all-queries` takes 20 times as long.
LARGE = Sizes(queries=5_000, images=100_000, dimensions=512, identities=5_000)
QUICK, QUICK_LARGE = Sizes(200, 1_000, 64, 50), Sizes(4_000, 4_000, 64, 200)


@dataclass(frozen=True)
class Ranked:
    """What one way of ranking found, and how long it took."""

    mean_average_precision: float
    rank_1: float
    seconds: float


def crowd(sizes: Sizes) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Embeddings (n, d) and identities (n,)."""
    rng = np.random.default_rng(0)
    identities = np.arange(sizes.images) % sizes.identities
    centres = rng.standard_normal((sizes.identities, sizes.dimensions), dtype=np.float32)
    embeddings = rng.standard_normal((sizes.images, sizes.dimensions), dtype=np.float32)
    for start in range(0, sizes.images, 10_000):
        embeddings[start : start + 10_000] += SIGNAL * centres[identities[start : start + 10_000]]
    return embeddings, identities


def ours(sizes: Sizes) -> Ranked:
    """All queries, chunk by chunk; the time is that of ranking, from embeddings to numbers."""
    torch.set_num_threads(sizes.threads)
    embeddings, identities = crowd(sizes)
    values = torch.from_numpy(embeddings).to(sizes.device)
    start = measure.clock()
    images = Images(condition(values), torch.from_numpy(identities).to(sizes.device))
    ranks = rank_queries(images, torch.arange(sizes.queries, device=sizes.device))
    average_precision = ranks.average_precision[ranks.matches > 0]
    first = ranks.first[ranks.matches > 0]
    return Ranked(float(average_precision.mean()), float((first == 1).double().mean()), measure.clock() - start)


def python_loop(sizes: Sizes) -> Ranked:
    """A loop over queries, each with a full sort and a walk down its list."""
    torch.set_num_threads(sizes.threads)
    embeddings, identities = crowd(sizes)
    own = np.arange(sizes.queries)
    start = measure.clock()
    precision, rank_1 = reference.mean_average_precision(
        embeddings[own], identities[own], embeddings, identities, own=own
    )
    return Ranked(precision, rank_1, measure.clock() - start)


def inputs_only(sizes: Sizes) -> None:
    """What is there before any ranking: libraries and embeddings."""
    crowd(sizes)


def report(sizes: Sizes, large: Sizes) -> str:
    """The section: the comparison, then the large one's memory."""
    slow, slow_peak = measure.in_new_process(python_loop, sizes)
    fast, fast_peak = measure.in_new_process(ours, sizes)
    rows = [
        [
            name,
            measure.duration(ranked.seconds),
            f"{slow.seconds / ranked.seconds:.1f} x",
            f"{ranked.mean_average_precision:.9f}",
            f"{ranked.rank_1:.6f}",
            f"{peak / measure.MIB:.0f} MiB",
        ]
        for name, ranked, peak in (("Python loop", slow, slow_peak), ("ours", fast, fast_peak))
    ]
    columns = [f"{sizes.queries:,} x {sizes.images:,} x {sizes.dimensions}", "time", "speed", "mAP", "rank-1", "memory"]
    return "\n\n".join([measure.CLOCK, measure.table(columns, rows), _bounded(large)])


def _bounded(large: Sizes) -> str:
    ranked, peak = measure.in_new_process(ours, large)
    idle = measure.in_new_process(inputs_only, large)[1]
    embeddings = large.images * large.dimensions * 4
    distances = large.images**2 * 8
    return (
        f"{large.queries:,} x {large.images:,} x {large.dimensions}: {measure.duration(ranked.seconds)}, memory peak "
        f"{peak / measure.MIB:,.0f} MiB, of which {idle / measure.MIB:,.0f} MiB are there before ranking (libraries, "
        f"embeddings of {embeddings / measure.MIB:,.0f} MiB). All distances between the images, in float64, "
        f"would take {distances / measure.MIB:,.0f} MiB. mAP {ranked.mean_average_precision:.6f}."
    )


def main() -> None:
    """Command line."""
    parser = measure.parser(__doc__ or "")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--all-queries", action="store_true", help="all 100,000 images are queries too")
    arguments = parser.parse_args()
    large = replace(LARGE, queries=LARGE.images) if arguments.all_queries else LARGE
    chosen = (QUICK, QUICK_LARGE) if arguments.quick else (MARKET, large)
    both = [replace(sizes, threads=arguments.threads, device=arguments.device) for sizes in chosen]
    command = measure.command(COMMAND, arguments) + (" --device cuda" if arguments.device == "cuda" else "")
    measure.publish("bench_ranking", report(*both), command, arguments.threads, arguments.record)


if __name__ == "__main__":
    main()
