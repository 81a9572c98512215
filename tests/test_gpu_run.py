"""tests/gpu/run.sh where there is no GPU, and with a stand-in for Python that claims to see one."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.gpu.summary import counts_of_pytest, printed_rows, table
from tests.gpu.texts import joined

# It does what run.sh asks for, in no time: one test fails, the speeds of 512 tokens fail to come.
STAND_IN = """#!/usr/bin/env bash
case "$*" in
    *'"yes" if'*) echo yes ;;
    *get_device_name*) echo a GPU ;;
    '-m pytest'*) echo '== 1 failed, 2 passed in 3.21s ==' && exit 1 ;;
    '-m tests.gpu.texts'*) : ;;
    *'--max-length 512'*) echo 'CUDA error' && exit 3 ;;
    '-m tests.bench.bench_mlm'*)
        printf '%s\\n' 'a GPU' '| contestant | real tokens/s |' '|---|---|' '| ours | 800,000 |' ;;
    '-m tests.gpu.ten_epochs'*)
        printf '%s\\n' '| contestant | seconds |' '|---|---|' '| ours | 40 |' ;;
    '-m tests.bench.bench_cls'*) echo quick ;;
    '-m tests.gpu.summary'*) exec "$REAL_PYTHON" "$@" ;;
    *) echo "unexpected: $*" && exit 9 ;;
esac
"""


def run(tmp_path, **environment) -> tuple[subprocess.CompletedProcess, dict[str, str], str]:
    """The process, each stage's outcome, and results.md."""
    done = subprocess.run(
        [ROOT / "tests" / "gpu" / "run.sh", "--out", tmp_path / "out"],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", **environment},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
    )
    lines = (tmp_path / "out" / "stages.tsv").read_text().splitlines()
    outcomes = {name: outcome for name, outcome, _ in (line.split("\t") for line in lines)}
    return done, outcomes, (tmp_path / "out" / "results.md").read_text()


linux = pytest.mark.skipif(sys.platform != "linux", reason="run.sh needs GNU's tools")


@pytest.mark.slow
@linux
def test_without_a_gpu_everything_is_skipped_by_name(tmp_path):
    done, outcomes, results = run(tmp_path, PYTHON=sys.executable)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(outcomes) >= 5
    assert all(outcome.startswith("skipped: ") for outcome in outcomes.values()), outcomes
    assert (
        "test_one_rank_through_nccl_gives_the_losses_of_none SKIPPED (needs a GPU)" in done.stdout
    )
    assert "failed" not in results and " skipped |" in results


@linux
def test_a_stage_that_fails_is_named_and_the_others_still_run(tmp_path):
    stand_in = tmp_path / "python"
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)
    done, outcomes, results = run(tmp_path, PYTHON=str(stand_in), REAL_PYTHON=sys.executable)
    assert done.returncode == 1, done.stdout + done.stderr
    failed = {name: outcome for name, outcome in outcomes.items() if outcome != "passed"}
    failed.pop("bench-cls", None)  # skipped where there is no such module
    assert failed == {"tests": "failed: exit code 1", "bench-512": "failed: exit code 3"}
    assert "| tests | failed: exit code 1: 1 failed, 2 passed |" in results
    assert results.count("| ours | 800,000 |") == 2 and "| ours |  | 40 |" in results


def test_the_stages_of_run_sh_end_within_nine_minutes():
    """The deadline, what a stage takes to be killed, and the summary."""
    script = (ROOT / "tests" / "gpu" / "run.sh").read_text()
    (deadline,) = (line.split()[0] for line in script.splitlines() if line.startswith("deadline="))
    assert int(deadline.removeprefix("deadline=")) + 5 + 10 <= 9 * 60


# ---- the table ---------------------------------------------------------------------------------


def test_tables_of_several_stages_become_one_with_all_their_columns():
    logs = {
        "tests": "collected\n===== 20 passed, 1 skipped in 61.20s (0:01:01) =====\n",
        "bench": "H100\n\n| contestant | speed |\n|---|---|\n| ours | 9 |\n| theirs | 3 |\n",
        "epochs": "step 1\n| contestant | seconds |\n|---|---|\n| ours | 40 |\n",
    }
    stages = [("tests", "passed", "61"), ("bench", "passed", "100"), ("epochs", "passed", "50")]
    assert table([*stages, ("last", "skipped", "0")], logs).splitlines() == [
        "| stage | outcome | seconds of the stage | contestant | speed | seconds |",
        "| --- | --- | --- | --- | --- | --- |",
        "| tests | passed: 20 passed, 1 skipped | 61 |  |  |  |",
        "| bench | passed | 100 |  |  |  |",
        "|  |  |  | ours | 9 |  |",
        "|  |  |  | theirs | 3 |  |",
        "| epochs | passed | 50 |  |  |  |",
        "|  |  |  | ours |  | 40 |",
        "| last | skipped | 0 |  |  |  |",
    ]


def test_a_second_table_of_a_stage_has_a_header_of_its_own():
    text = "| a |\n|---|\n| 1 |\ntext\n| b |\n|---|\n| 2 |"
    assert printed_rows(text) == [{"a": "1"}, {"b": "2"}]


def test_what_is_no_table_has_no_rows():
    assert printed_rows("step 5 | loss\n|---|\nno | table | here |") == []
    assert counts_of_pytest("no tests ran") == ""


def test_texts_are_joined_in_order_up_to_a_number_of_words():
    texts = ["a b", "c", "d e f g h", "i", "j k l m"]
    assert list(joined(texts, 4)) == ["a b c", "d e f g h", "i", "j k l m"]
    assert list(joined([], 4)) == []
