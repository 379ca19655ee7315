"""The checks that guard every other test are themselves seen to catch what they are for."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading

import anyio.lowlevel
import anyio.to_thread
import pytest

from tests.support import leaks, loopback

# One leak through each door that the check watches; `quiet` is the control of the control.
LEAKING_SUITE = """
import logging, subprocess, sys
import pytest

class CarrierError(Exception):
    pass

CarrierError.__module__ = "asyncllm.errors"

def test_quiet(secret_key, tmp_path, caplog):
    (tmp_path / "config.toml").write_text(secret_key)
    logging.getLogger("asyncllm").warning("nothing to see")

def test_stdout(secret_key):
    print(secret_key)

def test_captured(secret_key, capsys):
    print(secret_key)
    capsys.readouterr()

def test_log(secret_key):
    logging.getLogger("asyncllm").debug("with %s", secret_key)

def test_log_extra(secret_key):
    logging.getLogger("elsewhere").warning("fine", extra={"headers": {"authorization": secret_key}})

def test_file(secret_key, tmp_path):
    (tmp_path / "out.jsonl").write_text(secret_key)

def test_expected_error(secret_key):
    with pytest.raises(ValueError):
        raise ValueError(f"bad key {secret_key}")

def test_suppressed_context(secret_key):
    with pytest.raises(ValueError):
        try:
            raise KeyError(secret_key)
        except KeyError:
            raise ValueError("clean") from None

def test_kept_alive(secret_key):
    class Request:
        def __init__(self):
            self.headers = {"authorization": secret_key}
    error = CarrierError("clean")
    error.request = Request()
    with pytest.raises(CarrierError):
        raise error

def test_died_of_it(secret_key):
    raise RuntimeError(secret_key)

def test_child_process(secret_key):
    subprocess.run([sys.executable, "-c", "import sys; print(sys.argv[1])", secret_key], capture_output=True)
"""


def test_a_key_leaked_on_purpose_is_caught_at_every_door(
    pytester: pytest.Pytester, pytestconfig: pytest.Config
) -> None:
    """Each test that lets the key out fails and says where; the one that keeps it passes."""
    pytester.makeconftest('pytest_plugins = ["tests.support.secrets"]')
    pytester.makepyfile(LEAKING_SUITE)
    # Without captured output, source lines and the reasons of failures, the inner report itself carries no key.
    quiet = ["--show-capture=no", "--tb=no", "--log-level=DEBUG", "-rp", "-p", "no:cacheprovider"]
    result = pytester.runpytest_subprocess(*quiet, "-o", f"pythonpath={pytestconfig.rootpath}")
    result.assert_outcomes(passed=1, failed=LEAKING_SUITE.count("def test_") - 1)
    result.stdout.fnmatch_lines(["PASSED *::test_quiet"])


def test_the_network_guard_refuses_and_names_the_address() -> None:
    """A connection that would leave the machine is refused before any packet, with the address in the error."""
    with socket.socket() as sock, pytest.raises(loopback.NetworkRefusedError, match="192\\.0\\.2\\.1"):
        sock.connect(("192.0.2.1", 443))
    with pytest.raises(loopback.NetworkRefusedError, match="example\\.com"):
        socket.getaddrinfo("example.com", 443)
    assert len(loopback.REFUSED) == 2
    loopback.REFUSED.clear()


def test_the_network_guard_holds_in_threads_and_child_processes() -> None:
    """No way around the guard leads through another thread or a Python process that a test starts."""
    refused: list[str] = []

    def connect() -> None:
        try:
            socket.create_connection(("192.0.2.1", 443), timeout=1)
        except loopback.NetworkRefusedError as error:
            refused.append(str(error))

    thread = threading.Thread(target=connect)
    thread.start()
    thread.join()
    assert len(refused) == 1
    loopback.REFUSED.clear()
    code = "import socket; socket.create_connection(('192.0.2.1', 443), timeout=1)"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "NetworkRefusedError: tests may reach loopback only" in child.stderr


def test_the_network_guard_lets_loopback_through() -> None:
    """Loopback by number and by name stays reachable, and a name that never resolves says so."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(("localhost", server.getsockname()[1]), timeout=5).close()
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("provider.invalid", 443)


def test_a_leaked_thread_and_descriptor_are_named() -> None:
    """What a test would leave behind is listed by name, and the list is empty once it is closed."""
    before = leaks.Held.now()
    release = threading.Event()
    thread = threading.Thread(target=release.wait, name="left-running")
    thread.start()
    sock = socket.socket()
    left = leaks.left_since(before, timeout_s=0)
    release.set()
    thread.join()
    sock.close()
    assert any("left-running" in line for line in left)
    assert any("socket" in line for line in left)
    assert leaks.left_since(before) == []


@pytest.mark.leaks
@pytest.mark.anyio
async def test_a_loop_of_either_backend_leaves_nothing_behind() -> None:
    """The check itself tolerates what the test runner opens and closes around an async test."""
    await anyio.lowlevel.checkpoint()
    assert await anyio.to_thread.run_sync(threading.get_ident) != threading.get_ident()
