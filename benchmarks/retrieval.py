"""Recall@K over as many embeddings as SOP's test has, beside faiss and a plain matrix product:
python benchmarks/retrieval.py"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from optathlon.tasks.metrics.recall import BUDGET, recall_at  # noqa: E402

KS, PER_CLASS, NOISE = (1, 10, 100, 1000), 5, 4.0


def embeddings(count: int, width: int) -> tuple[Tensor, Tensor]:
    """Unit vectors (count, width) around a center for each class of PER_CLASS, and labels."""
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(count) // PER_CLASS
    centers = torch.randn(int(labels[-1]) + 1, width, generator=random)
    noisy = centers[labels] + NOISE * torch.randn(count, width, generator=random)
    return torch.nn.functional.normalize(noisy), labels


def blocked(vectors: Tensor, labels: Tensor, ks: Sequence[int]) -> dict[int, float]:
    return recall_at(ks, vectors, labels)


def faiss_flat(vectors: Tensor, labels: Tensor, ks: Sequence[int]) -> dict[int, float]:
    """IndexFlatIP, asked for one more than the largest K, because the query finds itself."""
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors.numpy())
    _, found = index.search(vectors.numpy(), max(ks) + 1)
    return _among(torch.from_numpy(found), labels, ks)


def naive(vectors: Tensor, labels: Tensor, ks: Sequence[int]) -> dict[int, float]:
    """All similarities at once, and torch.topk."""
    similar = (vectors @ vectors.T).fill_diagonal_(-torch.inf)
    return _among(similar.topk(max(ks) + 1).indices, labels, ks)


def _among(hits: Tensor, labels: Tensor, ks: Sequence[int]) -> dict[int, float]:
    """Recalls from the found places (n, K + 1), of which the query's own does not count."""
    itself = hits == torch.arange(len(hits))[:, None]
    right = (labels[hits] == labels[:, None]) & ~itself
    place = torch.arange(hits.shape[1]) - itself.int().cumsum(1)
    first = torch.where(right, place, hits.shape[1]).amin(1)
    return {k: 100.0 * int((first < k).sum()) / len(hits) for k in ks}


METHODS: dict[str, Callable[[Tensor, Tensor, Sequence[int]], dict[int, float]]] = {
    "blocked": blocked,
    "faiss": faiss_flat,
    "naive": naive,
}


def resident() -> int:
    """Bytes of this process in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(method: str, count: int, width: int, ks: Sequence[int]) -> tuple[float, float, float, dict[int, float]]:
    """CPU seconds, seconds, MB at the most beyond what was there before, and the recalls of one method."""
    vectors, labels = embeddings(count, width)
    METHODS[method](vectors[:500], labels[:500], [1])
    before, peak, done = resident(), resident(), threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.005):
            peak = max(peak, resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start, work = time.perf_counter(), time.process_time()
    recalls = METHODS[method](vectors, labels, ks)
    seconds, work = time.perf_counter() - start, time.process_time() - work
    done.set()
    watcher.join()
    return work, seconds, (peak - before) / 1e6, recalls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=60_502)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["blocked", "faiss"])
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.one:
        ks = KS[: int(options.one[1])]
        *numbers, recalls = measure(options.one[0], options.count, options.width, ks)
        print(*numbers, *(f"{recalls[k]:.4f}" for k in ks))
        return
    print(
        f"{options.count} x {options.width}, {options.threads} thread(s),"
        f" median of {options.repeats}, {BUDGET >> 20} MiB"
    )
    for many in (1, len(KS)):
        rows: dict[str, list[list[str]]] = {method: [] for method in options.methods}
        for _ in range(options.repeats):  # in turn, so that a busy machine is busy for all of them
            for method in options.methods:
                argv = [sys.executable, __file__, "--one", method, str(many), "--count", str(options.count)]
                argv += ["--width", str(options.width), "--threads", str(options.threads)]
                said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
                rows[method].append(said.split())
        base = statistics.median(float(row[0]) for row in rows["blocked"]) if "blocked" in rows else None
        for method, measured in rows.items():
            work, seconds = (statistics.median(float(row[i]) for row in measured) for i in (0, 1))
            memory = max(float(row[2]) for row in measured)
            ratio = f"{work / base:.2f}" if base else "-"
            recalls = "  ".join(f"R@{k} {value}" for k, value in zip(KS, measured[0][3:], strict=False))
            print(
                f"{method:8} K <= {KS[many - 1]:<5} {work:8.1f} s of CPU  {ratio:>5} of blocked  {seconds:8.1f} s"
                f"  {memory:6.0f} MB  {recalls}",
                flush=True,
            )


if __name__ == "__main__":
    main()
