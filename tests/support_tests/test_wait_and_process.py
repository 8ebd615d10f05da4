"""wait_until and Process keep their promises."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from tests.support.process import Processes
from tests.support.wait import stays, wait_until

LOOP = "import time, sys; print('up', flush=True); time.sleep(60)"


def test_wait_until_returns_the_first_true_value():
    values = iter([0, "", None, "here"])
    assert wait_until(lambda: next(values), 5, every=0.001) == "here"


def test_wait_until_fails_with_its_message_and_the_last_error():
    def broken() -> bool:
        raise OSError("no route")

    with pytest.raises(AssertionError, match=r"the queue is empty \(last: OSError\('no route'\)\)"):
        wait_until(broken, 0.05, "the queue is empty", swallow=(OSError,))


def test_wait_until_lets_other_errors_through():
    with pytest.raises(ZeroDivisionError):
        wait_until(lambda: 1 / 0, 1)


def test_stays_fails_when_the_condition_ends():
    end = time.monotonic() + 0.1
    with pytest.raises(AssertionError, match="gone"):
        stays(lambda: time.monotonic() < end, 2, "gone", every=0.01)


def test_a_killed_process_is_gone_and_its_output_kept(processes: Processes):
    process = processes.python("-c", LOOP)
    process.wait_for_log("^up$")
    process.kill()
    assert process.returncode == -signal.SIGKILL
    assert not process.alive
    assert "up" in process.tail()


def test_a_process_that_ends_without_the_line_fails_at_once(processes: Processes):
    process = processes.python("-c", "print('sorry')")
    begun = time.monotonic()
    with pytest.raises(AssertionError, match="ended before it wrote"):
        process.wait_for_log("never", 30)
    assert time.monotonic() - begun < 10


def test_a_paused_process_writes_nothing_until_it_is_resumed(processes: Processes):
    code = "import time\nfor n in range(10**6):\n    print(n, flush=True)\n    time.sleep(0.005)"
    process = processes.python("-c", code)
    process.wait_for_log("^3$")
    process.pause()
    wait_until(lambda: _state(process.pid) == "T", 5, "it is stopped")
    before = process.text
    stays(lambda: process.text == before, 0.2, "it wrote while stopped")
    process.resume()
    wait_until(lambda: len(process.text) > len(before), 5, "it goes on")


def test_the_end_reaches_grandchildren(processes: Processes):
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print('child', child.pid, flush=True)\n"
        "time.sleep(60)"
    )
    process = processes.python("-c", code)
    grandchild = int(process.wait_for_log(r"^child (\d+)$")[1])
    processes.end()
    wait_until(lambda: _state(grandchild) in ("", "Z"), 5, "the grandchild is gone")


def test_a_polite_end_answers_the_exit_status(processes: Processes):
    polite = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))"
    code = f"{polite}\n{LOOP}"
    process = processes.python("-c", code)
    process.wait_for_log("^up$")
    assert process.terminate() == 3


def test_celery_starts_with_an_app_from_the_test_directory(processes: Processes, tmp_path):
    (tmp_path / "proj.py").write_text("from celery import Celery\napp = Celery('proj', broker='memory://')\n")
    report = processes.celery("proj:app", "report", name="report")
    assert report.wait(30) == 0
    assert "broker_url" in report.text


def _state(pid: int) -> str:
    """The state letter of a process, empty if there is none; works where there is no /proc."""
    with os.popen(f"ps -o stat= -p {pid}") as listed:
        return listed.read().strip()[:1]


def test_python_is_this_interpreter(processes: Processes):
    process = processes.python("-c", "import sys; print(sys.executable)")
    assert process.wait() == 0
    assert process.text.strip() == sys.executable
