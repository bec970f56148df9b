"""Processes of one job that end together: what one of them meets, the others say and end with.

They tell each other through the store of keys that JAX's coordinator, process 0, keeps. A thread of
each watches it, as the main thread may be in a collective that waits for a process that has ended.
Process 0 knows of one that can tell nobody by its line (runtime/lifelines.py).
"""

import atexit
import contextlib
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent import futures
from typing import Any

from vreason_jax.errors import UserError, shown
from vreason_jax.runtime import lifelines

# Names of the environment: how many processes a launcher started, and what it also sets then.
_LAUNCHERS = {
    "SLURM_NTASKS": "SLURM_STEP_NODELIST",
    "OMPI_COMM_WORLD_SIZE": "OMPI_MCA_orte_hnp_uri",
}
_KEYS = "vreason_jax"
# Public JAX has barriers of devices alone, which watchdogs end, and no store.
_STATE = "jax._src.distributed"
_EVERY = 0.5  # seconds between two looks
_SILENT_AFTER = 60  # looks without a sign of life
_LAST_WORDS = 1.0  # seconds for what a process said before its line was cut
_LAST_SECONDS = 4.0  # that an ending process waits for the others to have seen it
_UNTIL_MET = 10.0  # seconds that it waits for others to come
_INTERRUPTED = 130  # the exit code after Ctrl-C, by which a person waits
_LONGEST_WAIT = 30 * 24 * 3600  # seconds; the end of another process ends the wait
_LATEST_END = 20.0  # seconds, imports included, for telling of an end before the others were met
_ENDING = """
import json, sys
from vreason_jax.runtime import distributed
distributed.end_with_others(*json.loads(sys.argv[1]))
"""
_DONE = -1  # in place of the count of one that is alive
_ending = threading.Lock()  # of the one thread that ends this process
_living = threading.Lock()  # of the one thread that says whether this process is alive
_done = threading.Event()  # this process has ended well, or is about to
_over = threading.Event()  # nothing is to be watched any more
_lines: list[Any] = []  # held as long as this process lives
_meetings: list[futures.Future] = []  # of this process and the others: one, where it has begun


def launched_together() -> bool:
    """Returns whether Slurm or Open MPI has started this process among several."""
    return any(
        os.environ.get(count, "1") not in ("", "1") and other in os.environ
        for count, other in _LAUNCHERS.items()
    )


def meet(initialize: Callable[[], None]) -> None:
    """Meets the other processes by JAX's own function, and watches them up to the end of this one.

    A thread calls it, so that nothing that befalls this one, as Ctrl-C, leaves it half done: `end`
    can still tell the others. Raises what the function raises.
    """
    meeting = futures.Future()

    def run() -> None:
        try:
            meeting.set_result(initialize())
        except BaseException as error:
            meeting.set_exception(error)

    _meetings.append(meeting)
    threading.Thread(target=run, daemon=True).start()
    meeting.result()
    _begin_to_watch()


def begun() -> bool:
    """Returns whether this process has met the others or is about to: it has to `end` with them."""
    return joined() or not all(meeting.done() for meeting in _meetings)


def joined() -> bool:
    """Returns whether there are several processes; one that has not loaded JAX is alone."""
    # Not imported here: what this process has met may be JAX itself.
    state = getattr(sys.modules.get(_STATE), "global_state", None)
    if state is None or state.client is None or state.num_processes == 1:
        return False
    # JAX aborts a process that uses a client before it is connected.
    return all(meeting.done() and not meeting.exception() for meeting in _meetings)


def _begin_to_watch() -> None:
    thread = threading.Thread(target=_watch, daemon=True)
    thread.start()

    def stop() -> None:
        # Python ends a thread that is within JAX's C++ code by an abort.
        _over.set()
        thread.join(_LAST_SECONDS)

    atexit.register(stop)


def end(code: int, text: str, seconds: float = _LAST_SECONDS) -> None:
    """Ends all processes: this one with a text, the others with the text's last line.

    Where another one has ended before, it is its line that all say. Waits at most so many seconds
    for the others to have seen it, and before for those that are still to come. Does not return.
    """
    _ending.acquire()
    futures.wait(_meetings, _LAST_SECONDS if code == _INTERRUPTED else _UNTIL_MET)
    if not joined():
        last_line(text)
        os._exit(code)  # JAX would abort a thread of its own
    ended = _read("ended")
    if ended:
        code, text = _told(ended)
    else:
        _set("ended", {"code": code, "line": text.strip().splitlines()[-1]})
    _leave(code, text, seconds)


def tell_of_end(code: int, text: str, *hosts: str | int | None) -> None:
    """Tells the others of an end before this process has joined them, who would wait for it.

    `hosts` are as for `distributed.start`. Another process does it, as JAX aborts one that finds
    nobody.
    """
    command = [sys.executable, "-c", _ENDING, json.dumps([code, text, *hosts])]
    nowhere = subprocess.DEVNULL
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(command, timeout=_LATEST_END, stdin=nowhere, stdout=nowhere, stderr=nowhere)


def end_well() -> None:
    """Waits until the others have ended well too; where one has not, this one ends as it does."""
    if joined():
        with _living:  # a sign of life that comes after would never be followed by another
            _done.set()
            _set("alive", _DONE)
        while list(_read("alive").values()).count(_DONE) < _state().num_processes:
            _end_with(_read("ended"))
            time.sleep(0.05)


def pass_on(number: int) -> None:
    """Sends a signal that this process got to the others."""
    if joined():
        _set("signal", number)


def leave_after_signal(seconds: float) -> None:
    """Waits for the others, which got the signal, too, and may need this process till they end."""
    if joined():
        _wait_for_others(seconds)


def wait_for_all(stage: str) -> None:
    """Waits until all processes have come here, which may be hours apart; once for each stage."""
    if joined():
        _state().client.wait_at_barrier(f"{_KEYS}/{stage}", int(_LONGEST_WAIT * 1000))


def of_first(name: str, value: Any) -> Any:
    """Returns the value that process 0 calls with, once for each name."""
    if not joined():
        return value
    if _state().process_id == 0:
        _set(name, value)
    key = f"{_KEYS}/{name}/0"
    return json.loads(_state().client.blocking_key_value_get(key, int(_LONGEST_WAIT * 1000)))


def check_same(name: str, values: Mapping[str, Any]) -> None:
    """Raises UserError in the processes whose values differ from those of process 0."""
    mine = json.loads(json.dumps(values, default=str))
    first = of_first(name, mine)
    differences = [
        f"{key}: {shown(first.get(key))} in process 0, {shown(mine[key])} in process {_me()}"
        for key in mine
        if mine[key] != first.get(key)
    ]
    if differences:
        raise UserError(f"expected the same {name} in all processes, got {'; '.join(differences)}")


def _watch() -> None:
    if _me() == 0:
        with contextlib.suppress(OSError):  # where no line is possible, silence tells, later
            _set("line", lifelines.listen(_cut))
    signs: dict[int, tuple[Any, int]] = {}
    signalled = False
    for count in itertools.count():
        if _over.wait(_EVERY):
            return
        with _living:
            if not _done.is_set():
                _set("alive", count)
        ended, signals, silent = _read("ended"), _read("signal"), _silent(signs, count)
        _end_with(ended)
        if _me() != 0 and not _lines:
            _lines.extend(_line(place) for place in _read("line").values())
        if signals and not signalled:
            signalled = True
            if _me() not in signals:
                os.kill(os.getpid(), next(iter(signals.values())))
        if silent is not None:
            seconds = _SILENT_AFTER * _EVERY
            end(1, f"error: process {silent} gave no sign of life for {seconds:.0f} seconds")


def _line(place: list) -> Any:
    """Returns this process's line to process 0, or None where there is no way."""
    host = _state().coordinator_address.rpartition(":")[0].strip("[]")
    try:
        return lifelines.connect(host, lifelines.Place(*place), _me())
    except OSError:
        return None


def _cut(process: int) -> None:
    """Ends all, where a process has ended and neither said so nor was told to."""
    time.sleep(_LAST_WORDS)
    well = _read("alive").get(process) == _DONE
    if not (well or _read("ended") or _read("signal") or _over.is_set()):
        end(1, f"error: process {process} has ended without a word")


def _silent(signs: dict[int, tuple[Any, int]], look: int) -> int | None:
    """Returns a process that has not counted on for many looks; `signs` are the last ones seen.

    Looks are counted, not seconds: this process may have been held up itself, as by Ctrl-Z.
    """
    for process, count in _read("alive").items():
        if signs.get(process, (None, 0))[0] != count:
            signs[process] = count, look
        elif count != _DONE and look - signs[process][1] > _SILENT_AFTER:
            return process
    return None


def _told(ended: Mapping[int, Any]) -> tuple[int, str]:
    process, how = next(iter(ended.items()))
    line = how["line"].removeprefix("error: ")
    return how["code"], f"error: process {process}: {line}"


def _end_with(ended: Mapping[int, Any]) -> None:
    """Ends this process, where another one has ended, with its line."""
    if ended:
        _ending.acquire()
        _leave(*_told(ended))


def _leave(code: int, text: str, seconds: float = _LAST_SECONDS) -> None:
    _wait_for_others(seconds)
    last_line(text)  # behind whatever the main thread still says
    os._exit(code)


def last_line(text: str) -> None:
    """Prints a line on stderr, where that is still open: whoever read it may have ended first."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)


def _wait_for_others(seconds: float) -> None:
    """Waits till all know of the end; the coordinator, without which JAX aborts, goes last."""
    _set("seen", True)
    until = time.monotonic() + seconds
    while time.monotonic() < until and len(_read("seen")) < _state().num_processes:
        time.sleep(0.05)
    if _me() == 0:
        time.sleep(_EVERY)


def _set(what: str, value: Any) -> None:
    key = f"{_KEYS}/{what}/{_me()}"
    with contextlib.suppress(Exception):  # the coordinator is gone: JAX ends this process
        _state().client.key_value_set(key, json.dumps(value), allow_overwrite=True)


def _read(what: str) -> dict[int, Any]:
    """Returns what processes have set, by their numbers."""
    try:
        pairs = _state().client.key_value_dir_get(f"{_KEYS}/{what}/")
    except Exception:
        return {}
    return {int(key.rsplit("/", 1)[-1]): json.loads(value) for key, value in pairs}


def _me() -> int:
    return _state().process_id


def _state() -> Any:
    return sys.modules[_STATE].global_state
