"""Answers are on the disk whole or not at all."""

import os
import signal
from threading import Thread

import pytest

from beautybert.cls.answer_files import output_file


@pytest.mark.parametrize("error", [OSError("No"), KeyboardInterrupt(), SystemExit(3)])
def test_nothing_is_left_of_answers_that_were_not_all_written(tmp_path, error):
    (tmp_path / "out.csv").write_text("before")
    with pytest.raises(type(error)), output_file(str(tmp_path / "out.csv")) as file:
        file.write("half")
        raise error
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"out.csv": "before"}


def test_nothing_is_left_of_answers_when_the_system_asks_for_the_end(tmp_path):
    handler = signal.getsignal(signal.SIGTERM)
    with (
        pytest.raises(SystemExit) as left,
        output_file(str(tmp_path / "out.csv")) as file,
    ):
        file.write("half")
        os.kill(os.getpid(), signal.SIGTERM)
        pytest.fail("went on after SIGTERM")
    assert left.value.code == 143
    assert not list(tmp_path.iterdir())
    assert signal.getsignal(signal.SIGTERM) == handler


def test_a_thread_may_write_answers(tmp_path):
    def write():
        with output_file(str(tmp_path / "out.csv")) as file:
            file.write("all")

    thread = Thread(target=write)
    thread.start()
    thread.join()
    assert (tmp_path / "out.csv").read_text() == "all"
