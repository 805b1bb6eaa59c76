"""Joining a Ray cluster: what can be wrong with an address, told in one sentence, in time."""

import socket
import threading
import time

import pytest

from nas.executors import ExecutorOptions, make_executor
from nas.executors.ray_cluster import parse_resources
from searchspaces import NasError


def join(address, seconds=2.0):
    return make_executor("ray", 0, ExecutorOptions(ray_address=address, connect_timeout=seconds))


def test_resources():
    assert parse_resources("cpu=1") == {"CPU": 1.0}
    assert parse_resources("gpu=0.25, cpu=2, fast=1") == {"GPU": 0.25, "CPU": 2.0, "fast": 1.0}


@pytest.mark.parametrize("text", ["", "cpu", "cpu=", "cpu=0", "cpu=-1", "cpu=x", "cpu=1;gpu=1"])
def test_resources_that_are_none(text):
    with pytest.raises(NasError, match="is not of the form NAME=AMOUNT"):
        parse_resources(text)


def test_part_of_many():
    with pytest.raises(NasError, match="whole cpus above 1"):
        parse_resources("cpu=1.5")


@pytest.mark.parametrize("address", ["here", "host:", "host:x", "ray:/host:1", "host:99999", "http://host:1"])
def test_what_is_no_address(address):
    with pytest.raises(NasError, match="is no address; give auto, HOST:PORT or ray://HOST:PORT"):
        join(address)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_nobody_is_there(scheme):
    start = time.monotonic()
    with pytest.raises(NasError, match=r"cannot be reached \(Connection refused\); is Ray running there"):
        join(f"{scheme}127.0.0.1:{free_port()}")
    assert time.monotonic() - start < 2.0


def test_somebody_is_there_who_never_answers():
    server = socket.create_server(("127.0.0.1", 0))
    with server, pytest.raises(NasError, match=r"cannot be reached \(timed out\)"):
        join(f"127.0.0.1:{server.getsockname()[1]}", 0.3)


def test_somebody_else_is_there():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            connection.recv(100)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(NasError, match="answers, but is not Ray"):
            join(f"127.0.0.1:{server.getsockname()[1]}")
        thread.join()


def test_what_ray_says_is_one_sentence(monkeypatch):
    """Ray is not asked: a real `auto` would join whatever runs on this machine."""

    def nobody(**arguments):
        assert arguments["address"] == "auto"
        raise ConnectionError("Could not find any running Ray instance.\nPlease specify the one to connect to.")

    monkeypatch.setattr("ray.init", nobody)
    with pytest.raises(NasError, match="ray_address='auto': Could not find any running Ray instance") as caught:
        join("auto", 30.0)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("start one with `ray start --head`, or leave the address out")
