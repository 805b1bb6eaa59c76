"""What every executor must do; a new executor joins by its name."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import ray
import toy

from evaluators import get_metric
from nas.executors import Evaluation, ExecutorOptions, make_executor
from searchspaces import NasError, get_space

EXECUTORS = [("inline", 1), ("processes", 1), ("processes", 2), ("ray", 2)]
AHEAD = {"ray": 4 * 64}  # evaluations per worker that an executor may take ahead: batches on Ray


@pytest.fixture(scope="module")
def local_ray():
    """A Ray for the tests of this file: an executor uses what its process is connected to."""
    from nas.executors import ray_cluster

    ray_cluster.connect(ExecutorOptions(), 2)
    yield
    ray.shutdown()


@pytest.fixture(autouse=True)
def _ray_for_those_who_need_it(request):
    if "ray" in request.node.name or "everywhere" in request.node.name:
        request.getfixturevalue("local_ray")


def evaluations(metric, count=30):
    space, rng = get_space("toy"), np.random.default_rng(0)
    networks = [space.sample(rng, image_size=8) for _ in range(count)]
    return [Evaluation(metric, network, repeat) for network in networks for repeat in range(metric.repeats)]


@pytest.mark.parametrize(("name", "workers"), EXECUTORS)
def test_results_come_in_the_order_asked(name, workers):
    tasks = evaluations(get_metric("toy_score", {"seconds": 0.002}))
    expected = [task.run() for task in tasks]
    with make_executor(name, workers) as executor:
        found = list(executor.map(tasks))
    assert [(m.value, m.failure) for m in found] == [(m.value, m.failure) for m in expected]
    assert any(m.failure for m in found)
    assert any(m.value for m in found)


@pytest.mark.parametrize(("name", "workers"), EXECUTORS)
def test_a_pool_without_end_is_taken_a_little_at_a_time(name, workers):
    taken = 0

    def endless():
        nonlocal taken
        while True:
            for task in evaluations(get_metric("toy_score"), 1):
                taken += 1
                yield task

    with make_executor(name, workers) as executor:
        results = executor.map(endless())
        for _ in range(5):
            next(results)
        assert taken <= 5 + AHEAD.get(name, 4) * workers + 1


def test_real_proxies_give_the_same_bits_everywhere():
    metrics = [get_metric(name, {"image_size": 32, "repeats": 2}) for name in ("length", "ntk")]
    space, rng = get_space("asvit"), np.random.default_rng(1)
    networks = [space.sample(rng) for _ in range(3)]
    tasks = [Evaluation(m, a, r) for a in networks for m in metrics for r in range(2)]
    found = []
    for name, workers in EXECUTORS:
        with make_executor(name, workers) as executor:
            found.append([m.value for m in executor.map(tasks)])
    assert all(values == found[0] for values in found)
    assert all(value is not None for value in found[0])


@pytest.mark.parametrize("name", ["processes", "ray"])
def test_a_worker_that_dies_costs_only_its_own_evaluation(name):
    metric = get_metric("worker_killer")
    space = get_space("toy")
    networks = [space.smallest(image_size=8).replace(choices={"width": w}) for w in (4, 8, 16, 12, 4, 8)]
    with make_executor(name, 2) as executor:
        found = list(executor.map(Evaluation(metric, network, 0) for network in networks))
        after = list(executor.map([Evaluation(metric, networks[0], 0)]))
    assert [m.value for m in found] == [4.0, 8.0, None, 12.0, 4.0, 8.0]
    assert "the worker process died (out of memory?) 3 times" in found[2].failure
    assert after[0].value == 4.0


@pytest.mark.parametrize("name", ["processes", "ray"])
def test_a_worker_that_hangs_is_timed_out(name):
    networks = [get_space("toy").smallest(image_size=8).replace(choices={"width": w}) for w in (4, 16, 8, 12)]
    options = ExecutorOptions(timeout_seconds=2.0, max_retries=1)
    with make_executor(name, 2, options) as executor:
        found = list(executor.map(Evaluation(get_metric("sleeper"), network, 0) for network in networks))
    assert [m.value for m in found] == [4.0, None, 8.0, 12.0]
    assert found[1].failure == "the worker process hung for 2 s 2 times"


def test_workers_end_with_a_parent_that_is_killed():
    code = """
import os, sys
sys.path.insert(0, {tests!r})
from evaluators import get_metric
import toy
from nas.executors import Evaluation, make_executor
from searchspaces import get_space
if __name__ == "__main__":
    executor = make_executor("processes", 2)
    tasks = [Evaluation(get_metric("toy_score"), get_space("toy").smallest(image_size=8), 0)] * 4
    list(executor.map(tasks))
    print(*[p.pid for p in executor._pool._processes.values()], flush=True)
    os.kill(os.getpid(), 9)
"""
    tests = str(Path(toy.__file__).parent)
    out = subprocess.run(
        [sys.executable, "-c", code.format(tests=tests)], stdout=subprocess.PIPE, text=True, check=False
    )
    workers = [int(pid) for pid in out.stdout.split()]
    assert workers
    for _ in range(100):
        if not any(_alive(pid) for pid in workers):
            return
        time.sleep(0.1)
    pytest.fail("the workers outlived their parent")


def _alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_unknown_executors_are_named():
    with pytest.raises(NasError, match="unknown executor 'process'; did you mean 'processes'"):
        make_executor("process", 1)
