"""What was tried, shown after the tests, and runs of the scripts that can be killed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.fixture
def tried(request):
    """Call it with a line about what a test has tried."""
    return lambda line: request.node.user_properties.append(("tried", line))


# Reads a line of JSON for each run: script, options. Answers with the process's number, then with
# its exit code; the imports, which take longer than such a run, are done once.
SERVER = """
import json, os, sys
os.environ["TOKENIZERS_PARALLELISM"] = "false"
import resource, signal
import train_cls, train_mlm
from beautybert.training import options
CONFIGS = {"train_mlm": train_mlm.MlmConfig, "train_cls": train_cls.ClsConfig}
for line in sys.stdin:
    asked = json.loads(line)
    pid = os.fork()
    if not pid:
        log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for number in (1, 2):
            os.dup2(log, number)
        if asked["file_size"]:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (asked["file_size"],) * 2)
        sys.argv = [asked["script"], "--config", asked["options"]]
        code = 1
        try:
            script = sys.modules[asked["script"]]
            code = options.run_command(CONFIGS[asked["script"]], None, script.main)
        except SystemExit as ended:
            code = ended.code
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code or 0)
    print(pid, flush=True)
    _, status = os.waitpid(pid, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


class Runner:
    """Runs the scripts, one after the other, in processes that are quick to start and to kill."""

    def __init__(self, folder: Path):
        self.folder = folder
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        command = [sys.executable, "-c", SERVER]
        self.server = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=-1, stdout=-1, text=True
        )

    def run(self, config, kill_after=None, number=signal.SIGKILL, file_size=None):
        """Run a config's script; returns its exit code, what it printed and its seconds.

        kill_after: seconds after which it gets the signal. file_size: bytes of the largest file
        that it may write.
        """
        options, log = self.folder / "options.json", self.folder / "log.txt"
        options.write_text(json.dumps(vars(config)))
        asked = {
            "script": type(config).__module__,
            "options": str(options),
            "log": str(log),
            "file_size": file_size,
        }
        started = time.monotonic()
        self.server.stdin.write(json.dumps(asked) + "\n")
        self.server.stdin.flush()
        pid = int(self.server.stdout.readline())
        if kill_after is not None:
            time.sleep(max(0.0, started + kill_after - time.monotonic()))
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        code = int(self.server.stdout.readline())
        return code, log.read_text(), time.monotonic() - started

    def close(self):
        self.server.stdin.close()
        self.server.wait()


@pytest.fixture(scope="session")
def runner(tmp_path_factory):
    if not hasattr(os, "fork"):
        pytest.skip("no fork here")
    runner = Runner(tmp_path_factory.mktemp("runner"))
    yield runner
    runner.close()


def instants(count: int, seed: int) -> list[float]:
    """Shares of a run's time, spread over all of it."""
    order = random.Random(seed)
    return [(i + order.random()) / count for i in range(count)]
