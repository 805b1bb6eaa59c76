"""Workers, nodes and drivers killed with signal 9 at random moments on a cluster of several nodes."""

import contextlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import ray
import toy
from ray.cluster_utils import Cluster

from evaluators import get_metric
from nas.config import resolve
from nas.executors import Evaluation, ExecutorOptions, make_executor
from nas.rundir import RunDirectory
from nas.study import Study
from searchspaces import NasError, get_space

psutil = pytest.importorskip("psutil")  # comes with Ray, which shows it once it is imported
pytestmark = pytest.mark.slow

MAIN = (
    f"import sys; sys.path.insert(0, {str(Path(toy.__file__).parent)!r}); import toy; from nas.cli import main; main()"
)
SMALL = {"object_store_memory": 78 * 2**20, "include_dashboard": False}
SETTINGS = {
    "space": "toy",
    "image_size": 8,
    "maximize": ["toy_score"],
    "trials": 60,
    "metrics": {"toy_score": {"seconds": 0.1}},
    "strategy_options": {"population": 20, "children": 20},
}
FLAGS = ["--space", "toy", "--image-size", "8", "--maximize", "toy_score", "--trials", "60"]
FLAGS += ["--set", "metrics.toy_score.seconds=0.1"]
FLAGS += ["--set", "strategy_options.population=20", "--set", "strategy_options.children=20"]


@pytest.fixture(scope="module")
def cluster():
    """A head that computes nothing, and a node with two slots that stays."""
    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    config = {"health_check_period_ms": 500, "health_check_failure_threshold": 4}
    config |= {"automatic_object_spilling_enabled": False, "local_fs_capacity_threshold": 0.01}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "_system_config": config, **SMALL})
    cluster.add_node(num_cpus=2, **SMALL)
    yield cluster
    ray.shutdown()
    cluster.shutdown()
    patch.undo()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The trials of the search in one process."""
    path = tmp_path_factory.mktemp("runs") / "whole"
    with make_executor("inline", 1) as executor:
        Study(RunDirectory.create(path, resolve(SETTINGS)), executor).run()
    return trials(path)


def trials(path):
    return [(t.architecture, t.values(), t.failure) for t in RunDirectory.open(path).journal.read("search")]


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def search(cluster, path):
    return start("search", *FLAGS, "--executor", "ray", "--ray-address", cluster.address, "--out", path, "--json")


def wait_for_trials(path, count, process):
    """Wait until so many trials are in the journal; random moments are counted from there."""
    deadline = time.monotonic() + 120
    journal = path / "trials.journal"
    while not journal.exists() or journal.read_bytes().count(b"\n") < count:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def workers(cluster):
    """Return the processes that measure on the nodes of this very cluster; other Rays of the machine are not ours."""
    found = []
    for node in cluster.list_all_nodes():
        for raylet in node.all_processes.get("raylet", []):
            for child in psutil.Process(raylet.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):  # it ended while we looked
                    found += [child] if "ray::Worker" in " ".join(child.cmdline()) else []
    return found


def finish(process):
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    return json.loads(out)


def test_killed_workers_cost_nothing(cluster, undisturbed, tmp_path):
    rng, process = random.Random(0), search(cluster, tmp_path / "run")
    wait_for_trials(tmp_path / "run", 6, process)
    for _ in range(3):
        time.sleep(rng.uniform(0.0, 0.5))
        while not (alive := workers(cluster)) and process.poll() is None:
            time.sleep(0.02)  # the last one killed is not replaced yet
        if alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                rng.choice(alive).kill()
    finish(process)
    assert trials(tmp_path / "run") == undisturbed


def test_a_killed_node_costs_nothing(cluster, undisturbed, tmp_path):
    node = cluster.add_node(num_cpus=2, **SMALL)
    rng, process = random.Random(1), search(cluster, tmp_path / "run")
    wait_for_trials(tmp_path / "run", 6, process)
    time.sleep(rng.uniform(0.0, 0.5))
    cluster.remove_node(node, allow_graceful=False)
    finish(process)
    assert trials(tmp_path / "run") == undisturbed


def test_a_killed_driver_resumes(cluster, undisturbed, tmp_path):
    rng, process = random.Random(2), search(cluster, tmp_path / "run")
    wait_for_trials(tmp_path / "run", 6, process)
    time.sleep(rng.uniform(0.0, 1.0))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 0 < len(trials(tmp_path / "run")) < len(undisturbed)
    finish(start("resume", tmp_path / "run", "--json"))
    assert trials(tmp_path / "run") == undisturbed


def test_a_stopped_worker_is_timed_out(cluster, undisturbed, tmp_path):
    path = tmp_path / "run"
    flags = ["--executor", "ray", "--ray-address", cluster.address, "--timeout-per-trial", "3s"]
    process = start("search", *FLAGS, *flags, "--out", path, "--json")
    wait_for_trials(path, 6, process)
    stopped = workers(cluster)[0]
    stopped.send_signal(signal.SIGSTOP)  # it lives, and does nothing
    try:
        finish(process)
    finally:
        if stopped.is_running():
            stopped.kill()
    assert trials(path) == undisturbed


def test_a_node_that_joins_late_is_used(cluster):
    metric, network = get_metric("where_measured"), get_space("toy").smallest(image_size=8)
    with make_executor("ray", 0, ExecutorOptions(ray_address=cluster.address)) as executor:
        results = executor.map(Evaluation(metric, network, 0) for _ in itertools.count())
        first = {next(results).value for _ in range(20)}
        node = cluster.add_node(num_cpus=1, **SMALL)
        deadline = time.monotonic() + 90
        while (found := next(results).value) in first:
            assert time.monotonic() < deadline
        assert found is not None
        assert executor.active == 3
    cluster.remove_node(node)


def test_resources_that_no_node_has(cluster):
    with pytest.raises(NasError, match=r"resources='cpu=64': no node of the Ray cluster at .* has that"):
        make_executor("ray", 0, ExecutorOptions(ray_address=cluster.address, resources="cpu=64"))


def test_weights_are_carried_to_where_they_are_not(cluster, tmp_path, monkeypatch):
    from nas.executors.files import pack, unpack

    (tmp_path / "weights" / "inside").mkdir(parents=True)
    (tmp_path / "weights" / "inside" / "a.bin").write_bytes(b"abc" * 1000)
    packed = pack(str(tmp_path / "weights"))
    assert unpack(packed) == str(tmp_path / "weights")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "weights").rename(tmp_path / "gone")
    copy = unpack(packed)
    assert copy != packed.path
    assert (Path(copy) / "inside" / "a.bin").read_bytes() == b"abc" * 1000
    assert unpack(packed) == copy


def test_a_full_object_store_is_one_sentence(cluster, tmp_path):
    """The cluster is told that its disk is full, so that what exceeds the store cannot go there."""
    (tmp_path / "weights").mkdir()
    np.zeros(200 * 2**20, np.uint8).tofile(tmp_path / "weights" / "a.bin")
    metric = get_metric("supernet_accuracy", {"checkpoint": str(tmp_path / "weights")})
    task = Evaluation(metric, get_space("toy").smallest(image_size=8), 0)
    executor = make_executor("ray", 1, ExecutorOptions(ray_address=cluster.address))
    with executor, pytest.raises(NasError, match="weights does not fit into Ray's object store"):
        list(executor.map([task]))


def test_another_version_is_refused(cluster, tmp_path):
    from ray._private import ray_constants
    from ray._raylet import GcsClient

    client = GcsClient(address=cluster.address)
    space, key = ray_constants.KV_NAMESPACE_CLUSTER, b"CLUSTER_METADATA"
    there = client.internal_kv_get(key, space, timeout=10)
    other = json.dumps({**json.loads(there), "ray_version": "2.9.0"}).encode()
    client.internal_kv_put(key, other, True, space, timeout=10)
    try:
        process = search(cluster, tmp_path / "run")
        _, err = process.communicate(timeout=120)
        assert process.returncode == 2
        last = err.strip().splitlines()[-1]
        assert last.startswith("error: ray_address=")
        assert "Ray: 2.9.0" in last
        assert "install the same Ray and Python" in last
    finally:
        client.internal_kv_put(key, there, True, space, timeout=10)


def test_nothing_listens_outside_and_nothing_stays(tmp_path):
    """A local Ray binds to loopback, and ends with a driver that is killed."""
    process = start("search", *FLAGS, "--executor", "ray", "--workers", "2", "--out", tmp_path / "run")
    wait_for_trials(tmp_path / "run", 6, process)
    driver = psutil.Process(process.pid)
    family = [driver, *driver.children(recursive=True)]
    names = {member: member.name() for member in family}
    listening = [
        c.laddr.ip
        for member in family
        if member.is_running()
        for c in member.net_connections("inet")
        if c.status == psutil.CONN_LISTEN
    ]
    assert listening
    assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    # Ray's own helpers look after their node now and then only; they end within two minutes.
    _, alive = psutil.wait_procs([member for member in family if "Agent" not in names[member]], timeout=60)
    assert not alive
