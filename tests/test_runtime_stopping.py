"""A signal ends the process, whatever has become of its terminal."""

import signal
import subprocess
import sys
import time

import pytest

WAITING = """
import os, time
from vreason_jax.runtime.stopping import Stop

stop = Stop()
with stop:
    reader, writer = os.pipe()
    os.close(reader)
    os.dup2(writer, 2)  # whoever read stderr has ended
    print("ready", flush=True)
    while True:
        with stop.write():
            time.sleep(0.01)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_a_signal_ends_a_process_whose_stderr_nobody_reads_any_more(number, code):
    command = [sys.executable, "-c", WAITING]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "ready\n"
        began = time.monotonic()
        process.send_signal(number)
        try:
            assert process.wait(timeout=20) == code
        finally:
            process.kill()
        assert time.monotonic() - began < 10
