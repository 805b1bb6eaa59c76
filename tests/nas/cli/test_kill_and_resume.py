"""A search killed with signal 9 at random moments, again and again, ends with the trials of an undisturbed one."""

import random
import signal
import subprocess
import sys
import time

import pytest

from nas.rundir import RunDirectory

SETTINGS = ["--space", "asvit", "--trials", "30", "--image-size", "32", "--scale-to", "params<=4e6", "--workers", "2"]
SETTINGS += ["--set", "metrics.length.repeats=2", "--set", "metrics.ntk.repeats=1"]


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "nas", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # a shell that runs the tests in the background has them, and their children, ignore Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def trials(path):
    journal = RunDirectory.open(path).journal
    return [(t.phase, t.architecture, t.values()) for phase in ("search", "scale") for t in journal.read(phase)]


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path):
    whole, parts = str(tmp_path / "whole"), str(tmp_path / "parts")
    assert start("search", *SETTINGS, "--out", whole).wait() == 0
    rng = random.Random(0)
    process, kills = start("search", *SETTINGS, "--out", parts), 0
    while True:
        deadline = time.monotonic() + rng.uniform(3.0, 9.0)
        while process.poll() is None and (kills >= 3 or time.monotonic() < deadline):
            time.sleep(0.01)
        if process.poll() is not None:
            assert process.returncode == 0, process.stderr.read()
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        command = (
            ["resume", parts]
            if (tmp_path / "parts" / "config.yaml").exists()
            else ["search", *SETTINGS, "--out", parts]
        )
        process = start(*command)
    assert kills >= 1
    assert trials(parts) == trials(whole)
    for name in ("best.json", "seed.json"):
        first, second = ((tmp_path / run / name).read_text() for run in ("parts", "whole"))
        assert first.replace('"parts"', '"whole"') == second


@pytest.mark.slow
def test_ctrl_c_ends_cleanly(tmp_path):
    run = tmp_path / "run"
    process = start("search", *SETTINGS, "--trials", "2000", "--out", str(run))
    for _ in range(600):
        if run.joinpath("trials.journal").exists() and run.joinpath("trials.journal").read_bytes().count(b"\n") > 12:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert f"Continue with: nas resume {run}" in err
    assert (run / "best.json").is_file()
    assert (run / "report.html").is_file()
