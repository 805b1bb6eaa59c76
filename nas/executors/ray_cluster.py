"""Joining a Ray cluster, or starting one that only this machine can reach."""

from __future__ import annotations

import logging
import math
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from nas.executors.base import ExecutorOptions
from searchspaces import NasError

LOCAL_STORE = 256 * 2**20  # bytes; a local Ray passes architectures and numbers only, which never get there
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "1",
}
_MENDS = {  # start of what Ray says: what it means and what to do
    "Version mismatch": "install the same Ray and Python here and on the cluster",
    "Could not find any running Ray instance": "start one with `ray start --head`, or leave the address out",
    "Can't find a node_ip_address.json": "run `ray start --address` on this machine first, or give ray://HOST:10001",
    "Failed to connect to Ray cluster": "is Ray up there, and is its token here (RAY_AUTH_MODE=token)?",
    "Authentication": "set RAY_AUTH_MODE=token, with the token of the cluster on this machine",
    "Ray Client requires": "install it with: pip install 'ray[client]'",
}


def parse_resources(text: str) -> dict[str, float]:
    """Return what one worker needs, by Ray's names.

    >>> parse_resources("cpu=1, gpu=0.25")
    {'CPU': 1.0, 'GPU': 0.25}

    Raises:
        NasError: another form, an amount that is not positive, or one of nothing.
    """
    need: dict[str, float] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*([A-Za-z_][\w:.-]*)\s*=\s*(\d+(?:\.\d+)?)\s*", part)
        if match is None or float(match[2]) <= 0:
            raise NasError(f"resources={text!r} is not of the form NAME=AMOUNT, such as cpu=1 or gpu=0.25")
        name, amount = match[1], float(match[2])
        if amount > 1 and not amount.is_integer():
            raise NasError(f"resources={text!r}: Ray gives out whole {name}s above 1, or a part of one")
        need[name.upper() if name.lower() in ("cpu", "gpu") else name] = amount
    return need


def actor_options(need: Mapping[str, float]) -> dict[str, Any]:
    """Return the need in the words of `ray.remote`."""
    others = {name: amount for name, amount in need.items() if name not in ("CPU", "GPU")}
    return {"num_cpus": need.get("CPU", 0), "num_gpus": need.get("GPU", 0), "resources": others}


def slots(need: Mapping[str, float]) -> int:
    """Return how many workers fit on the nodes that are alive now."""
    import ray

    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return sum(math.floor(min(has.get(name, 0.0) / n + 1e-9 for name, n in need.items())) for has in alive)


def connect(options: ExecutorOptions, workers: int) -> bool:
    """Join the cluster of `options.ray_address`, or start a local Ray with room for `workers`.

    Returns:
        Whether the cluster may have nodes besides this machine.

    Raises:
        NasError: no cluster answers in time, it has other versions, or no node has the resources.
    """
    os.environ.update({key: value for key, value in _QUIET.items() if key not in os.environ})
    need = parse_resources(options.resources)
    address = options.ray_address or os.environ.get("RAY_ADDRESS")  # `ray job submit` sets the latter
    if address:
        _join(address, options.connect_timeout)
    else:
        room = {name: math.ceil(amount * max(workers, 1)) for name, amount in need.items() if name != "GPU"}
        cpus = room.pop("CPU", 0) or 1
        _start({"address": "local", "num_cpus": cpus, "resources": room, "object_store_memory": LOCAL_STORE})
    _hush()
    if slots(need) == 0:
        import ray

        ray.shutdown()
        where = f"the Ray cluster at {address}" if address else "this machine"
        raise NasError(f"resources={options.resources!r}: no node of {where} has that; ask for less")
    return bool(address)


def _hush() -> None:
    """Keep what nodes say about lost workers off stdout, where results go; Ray has no setting for it."""
    import ray._private.worker as driver

    if hasattr(driver, "print_to_stdstream"):
        driver.print_to_stdstream = lambda *_, **__: None


def _start(arguments: Mapping[str, Any]) -> None:
    """Start a local Ray in this thread: its processes end with the thread that started them."""
    with _loopback(), _signals_kept():
        import ray

        try:
            ray.init(**arguments, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, RuntimeError, ValueError) as error:
            raise NasError(f"executor='ray': no local Ray could be started: {explain(error)}") from error


def _join(address: str, seconds: float) -> None:
    """Join a cluster from a thread of its own, since Ray itself knows no time limit."""
    _require_answer(address, seconds)
    errors: list[BaseException] = []

    def call() -> None:
        try:
            import ray

            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except BaseException as error:  # handed to the thread that waits
            errors.append(error)

    thread = threading.Thread(target=call, daemon=True)
    with _signals_kept():
        thread.start()
        thread.join(seconds)
    if thread.is_alive():
        raise NasError(
            f"ray_address={address!r} did not answer within {seconds:g} s; is Ray up there, and is its token here "
            "(RAY_AUTH_MODE=token)?"
        )
    if errors:
        raise NasError(f"ray_address={address!r}: {explain(errors[0])}") from errors[0]


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Put the signal handlers back: Ray's would end the process before results are written."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                signal.signal(number, handler)


def explain(error: BaseException) -> str:
    """Return what Ray says in one sentence, with what to do about it where that is known."""
    text = " ".join(str(error).split())
    for start, mend in _MENDS.items():
        if start in text:
            return f"{text[text.index(start) :].rstrip(' .')}: {mend}"
    return text or type(error).__name__


def _require_answer(address: str, seconds: float) -> None:
    """Check that something that speaks Ray's protocol (gRPC, so HTTP/2) answers at HOST:PORT or ray://HOST:PORT.

    Without this Ray itself would keep trying for most of a minute, and then end the process.

    Raises:
        NasError: if the address is no address, or nothing or something else answers.
    """
    if address in ("auto", "local"):
        return
    match = re.fullmatch(r"(?:ray://)?(\[[^\]]+\]|[^:/\s]+):(\d{1,5})/?", address)
    if match is None or not 0 < int(match[2]) < 65536:
        raise NasError(f"ray_address={address!r} is no address; give auto, HOST:PORT or ray://HOST:PORT")
    host, port = match[1].strip("[]"), int(match[2])
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))  # with an empty SETTINGS frame
    try:
        with socket.create_connection((host, port), timeout=seconds) as connection:
            connection.sendall(preface)
            answer = connection.recv(9)
    except OSError as error:
        reason = "timed out" if isinstance(error, TimeoutError) else error.strerror or str(error)
        raise NasError(f"ray_address={address!r} cannot be reached ({reason}); is Ray running there?") from error
    if len(answer) < 4 or answer[3] != 4:
        raise NasError(f"ray_address={address!r} answers, but is not Ray; its port is 6379, or 10001 for ray://")


@contextmanager
def _loopback() -> Iterator[None]:
    """Make Ray take 127.0.0.1 for this machine's address, so that it binds to nothing else.

    Ray has this switch for systems whose firewall asks about every open port, and no argument for it.
    """
    import ray._private.ray_constants as constants

    there, constants.ENABLE_RAY_CLUSTER = constants.ENABLE_RAY_CLUSTER, False
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = there
