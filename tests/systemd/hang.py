"""Stops one thread of a running process from outside, as a bug that hangs would: with ptrace, so that the daemon
needs no code for it and cannot tell."""

import ctypes
import os
import pathlib
import signal

from box import LIBC, wait_for

PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
WALL = 0x40000000
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
LIBC.ptrace.restype = ctypes.c_long


def thread_named(pid, name):
    """The id of the thread `name` of process `pid`."""
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().strip() == name:
            return int(task.name)
    raise AssertionError(f"process {pid} has no thread {name}")


def _ptrace(request, tid):
    if LIBC.ptrace(request, tid, None, None) != 0:
        raise OSError(ctypes.get_errno(), f"ptrace of thread {tid}: {os.strerror(ctypes.get_errno())}")


def hang(pid, name):
    """Stops the thread `name` of process `pid` for good. Returns a function that waits for its end, which has to be
    called: the kernel reports the end of a traced thread to nobody else."""
    tid = thread_named(pid, name)
    _ptrace(PTRACE_SEIZE, tid)
    _ptrace(PTRACE_INTERRUPT, tid)
    _, status = os.waitpid(tid, WALL)
    assert os.WIFSTOPPED(status), status

    def ended():
        _, status = os.waitpid(tid, WALL | os.WNOHANG)
        if os.WIFSTOPPED(status) and status:
            # A signal on its way to the thread; it goes on hanging.
            return None
        return os.WTERMSIG(status) if os.WIFSIGNALED(status) else None

    def wait():
        by = wait_for(f"thread {name} ends", ended)
        return signal.Signals(by).name

    return wait
