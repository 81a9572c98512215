"""Memory, open files and the cost of checkpoints over a long run of the smallest model.

    python -m tests.bench.bench_long_run --steps 20000

Prints what the process holds after each twentieth of the run, and which share of its time went to
checkpoints at the default --save-interval. On Linux.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import train_mlm
from beautybert.training.checkpoints import Saver
from beautybert.training.runlog import RunLog
from tests.conftest import product_texts


def resident_mib() -> float:
    """The memory that the process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=20_000)
    steps = parser.parse_args().steps
    held: list[tuple[int, float, int]] = []
    saving: list[float] = []
    save = Saver.save

    def timed_save(self, progress):
        started = time.perf_counter()
        save(self, progress)
        saving.append(time.perf_counter() - started)

    def look(self, step, text):
        if step % (steps // 20) == 0:
            held.append((step, resident_mib(), len(os.listdir("/proc/self/fd"))))

    Saver.save = timed_save
    RunLog.show_progress = look
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "texts.txt"
        data.write_text("\n".join(product_texts(2000)))
        config = train_mlm.MlmConfig(
            data=(str(data),),
            max_steps=steps,
            max_length=32,
            vocab_size=300,
            batch_tokens=64,
            micro_batch_tokens=64,
            eval_interval=0,
            cache_dir=f"{folder}/cache",
            out=f"{folder}/run",
        )
        started = time.perf_counter()
        train_mlm.main(config)
        seconds = time.perf_counter() - started
    print(f"\n{steps:,} steps in {seconds:.0f} s")
    print(f"{len(saving)} checkpoints took {sum(saving):.1f} s, {sum(saving) / seconds:.2%}\n")
    print("| step | memory, MiB | open files |\n|---|---|---|")
    for step, memory, num_open in held:
        print(f"| {step:,} | {memory:.1f} | {num_open} |")


if __name__ == "__main__":
    main()
