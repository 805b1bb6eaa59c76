"""`nas status` and `nas dashboard`: a run seen from outside."""

import http.client
import importlib.util
import json
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest
import toy
from typer.testing import CliRunner

from nas.cli import app
from nas.config import resolve
from nas.executors import make_executor
from nas.rundir import RunDirectory
from nas.study import Observer, Study
from searchspaces import NasError

SETTINGS = {"space": "toy", "image_size": 8, "maximize": ["toy_score"], "trials": 20}


def search(path, observer=None):
    run = RunDirectory.create(path, resolve(SETTINGS))
    with make_executor("inline", 1) as executor, run.locked():
        Study(run, executor, observer).run()
    return run


def status(path):
    result = CliRunner().invoke(app, ["status", str(path), "--json"], catch_exceptions=False)
    return json.loads(result.stdout)


def test_a_finished_run(tmp_path):
    search(tmp_path / "run")
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    found = status(tmp_path / "run")
    assert (found["state"], found["trials"], found["planned"]) == ("finished", 20, 20)
    assert found["failed"] > 0
    assert found["best"]["toy_score"] > 0.5
    assert before == {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}


def test_a_run_that_goes_on_and_one_that_was_stopped(tmp_path):
    seen, go_on = threading.Event(), threading.Event()

    class Pause(Observer):
        """Waits after the fifth trial, then ends the search."""

        def trial(self, trial, best, replayed):
            if trial.number == 4:
                seen.set()
                go_on.wait(60)
                raise NasError("enough")

    def run():
        with pytest.raises(NasError, match="enough"):
            search(tmp_path / "run", Pause())

    thread = threading.Thread(target=run)
    thread.start()
    assert seen.wait(60)
    during = status(tmp_path / "run")
    go_on.set()
    thread.join()
    assert (during["state"], during["trials"], during["executor"]) == ("running", 5, "processes")
    assert status(tmp_path / "run")["state"] == "stopped"


def test_a_run_without_trials(tmp_path):
    RunDirectory.create(tmp_path / "run", resolve(SETTINGS))
    found = status(tmp_path / "run")
    assert (found["state"], found["trials"], found["best"]) == ("stopped", 0, None)
    assert not (tmp_path / "run" / "trials.journal").exists()


def test_for_people(tmp_path):
    search(tmp_path / "run")
    out = CliRunner().invoke(app, ["status", str(tmp_path / "run")]).stdout
    assert "state            finished" in out
    assert "best             trial=" in out


def test_the_dashboard_has_to_be_installed(tmp_path, monkeypatch):
    search(tmp_path / "run")
    monkeypatch.setattr(sys.modules["nas.cli.dashboard"], "find_spec", lambda name: None)
    with pytest.raises(NasError, match=r"install it with: pip install 'nas\[dashboard\]'"):
        CliRunner().invoke(app, ["dashboard", str(tmp_path / "run")], catch_exceptions=False)


@pytest.fixture
def served(tmp_path):
    """The address of a dashboard, and its run."""
    if importlib.util.find_spec("optuna_dashboard") is None:
        pytest.skip("optuna-dashboard is not installed")
    search(tmp_path / "run")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); import toy; from nas.cli import main; main()"
    folder = toy.__file__.rpartition("/")[0]
    command = [sys.executable, "-c", code, folder, "dashboard", str(tmp_path / "run"), "--port", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None
            time.sleep(0.1)
        yield port, tmp_path / "run"
    finally:
        process.terminate()
        process.wait(30)


def request(port, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
    answer = connection.getresponse()
    return answer.status, answer.read()


@pytest.mark.slow
def test_the_dashboard_shows_and_changes_nothing(served):
    port, run = served
    journal = (run / "trials.journal").read_bytes()
    _, studies = request(port, "GET", "/api/studies")
    assert [study["study_name"] for study in json.loads(studies)["study_summaries"]] == ["search"]
    answer, _ = request(port, "DELETE", "/api/studies/0", "{}")
    assert answer >= 400
    assert (run / "trials.journal").read_bytes() == journal


@pytest.mark.slow
@pytest.mark.browser
def test_the_dashboard_in_a_browser(served, tmp_path):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium")
    port, _ = served
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    address = f"http://127.0.0.1:{port}/dashboard/"
    command = [chromium, *flags, "--virtual-time-budget=20000", "--dump-dom", address]
    page = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout
    assert "search" in page
    assert "MAXIMIZE" in page.upper()
