"""Seccomp filter: the system calls that a decoding process may still make (Linux).

An allow-list in classic BPF, given to the kernel as it is: libseccomp is not on every machine, and
forty calls do not need it. What decoding uses was read from `strace` over the real clips. Whatever
is not listed fails with EPERM; a call of another architecture's table ends the process.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from dataclasses import dataclass

_PR_SET_NO_NEW_PRIVS = 38  # <linux/prctl.h>
_SECCOMP_SET_MODE_FILTER = 1  # <linux/seccomp.h>
_SECCOMP_FILTER_FLAG_TSYNC = 1  # every thread of the process
_KILL_PROCESS = 0x80000000
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | errno.EPERM
_NOT_THERE = 0x00050000 | errno.ENOSYS

# Offsets into struct seccomp_data; arguments are 64 bits each, little-endian on both machines.
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06

_PROT_EXEC = 0x4
_CLONE_THREAD = 0x00010000
# VM, FS, FILES, SIGHAND, THREAD, SYSVSEM, SETTLS, PARENT_SETTID, CHILD_CLEARTID, DETACHED: what C
# libraries ask for to start a thread.
_CLONE_OF_THREADS = 0x007D0F00
_X32 = 0x40000000

# Numbers from the kernel's tables, x86_64 and aarch64. Most frequent first: each call walks down.
_ALLOWED = {
    "read": (0, 63),
    "write": (1, 64),
    "lseek": (8, 62),
    "futex": (202, 98),
    "brk": (12, 214),
    "munmap": (11, 215),
    "madvise": (28, 233),
    "mremap": (25, 216),
    "close": (3, 57),
    "fstat": (5, 80),
    "readv": (19, 65),
    "writev": (20, 66),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "getcpu": (309, 168),
    "nanosleep": (35, 101),
    "clock_nanosleep": (230, 115),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "gettimeofday": (96, 169),
    "getrusage": (98, 165),
    "getrandom": (318, 278),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "membarrier": (324, 283),
    "exit": (60, 93),
    "exit_group": (231, 94),
}


@dataclass(frozen=True, slots=True)
class _Machine:
    """audit : how the kernel names the architecture; column : in the table above"""

    audit: int
    column: int
    seccomp: int
    clone: int
    clone3: int
    mmap: int
    mprotect: int
    tgkill: int


_MACHINES = {
    "x86_64": _Machine(0xC000003E, 0, 317, 56, 435, 9, 10, 234),
    "aarch64": _Machine(0xC00000B7, 1, 277, 220, 435, 222, 226, 131),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def filter_system_calls() -> str | None:
    """Give up, for good and for every thread, all system calls but those decoding needs.

    Returns None, or why the kernel or the machine does not allow it; then nothing has changed but
    that the process can gain no privileges.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return f"no_new_privs: {os.strerror(ctypes.get_errno())}"
    machine = _MACHINES.get(platform.machine())
    if machine is None or struct.calcsize("P") != 8:
        return f"no filter is written for {platform.machine()}"
    instructions = _filter(machine, os.getpid())
    program = _Program(len(instructions) // 8, instructions)
    numbers = (machine.seccomp, _SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_TSYNC)
    if libc.syscall(*map(ctypes.c_long, numbers), ctypes.byref(program)) != 0:
        return f"seccomp: {os.strerror(ctypes.get_errno())}"
    return None


def _filter(machine: _Machine, process_id: int) -> bytes:
    """The filter's instructions, eight bytes each."""
    program = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_EQUAL, machine.audit, 1, 0),
        _step(_RETURN, _KILL_PROCESS),
        _step(_LOAD, _NUMBER),
        # x86_64 alone has a second table, behind this bit; no number of the first reaches it.
        _step(_AT_LEAST, _X32, 0, 1),
        _step(_RETURN, _KILL_PROCESS),
    ]
    for numbers in _ALLOWED.values():
        program += _if_called(numbers[machine.column], [_step(_RETURN, _ALLOW)])
    unless_executable = [
        _argument(2),
        _step(_ANY_BIT, _PROT_EXEC, 1, 0),
        _step(_RETURN, _ALLOW),
        _step(_RETURN, _REFUSE),
    ]
    program += _if_called(machine.mmap, unless_executable)
    program += _if_called(machine.mprotect, unless_executable)
    # C libraries try clone3 first, whose flags lie in memory, out of a filter's sight.
    program += _if_called(machine.clone3, [_step(_RETURN, _NOT_THERE)])
    threads_only = [
        _argument(0),
        _step(_ANY_BIT, 0xFFFFFFFF ^ _CLONE_OF_THREADS, 2, 0),
        _step(_ANY_BIT, _CLONE_THREAD, 0, 1),
        _step(_RETURN, _ALLOW),
        _step(_RETURN, _REFUSE),
    ]
    program += _if_called(machine.clone, threads_only)
    to_itself = [_argument(0), _step(_EQUAL, process_id, 0, 1), _step(_RETURN, _ALLOW)]  # abort()
    program += _if_called(machine.tgkill, [*to_itself, _step(_RETURN, _REFUSE)])
    program.append(_step(_RETURN, _REFUSE))
    return b"".join(program)


def _if_called(number: int, answer: list[bytes]) -> list[bytes]:
    """`answer`, which must end by returning, for one call; others jump over it."""
    return [_step(_EQUAL, number, 0, len(answer)), *answer]


def _argument(position: int) -> bytes:
    """Load an argument's lower half."""
    return _step(_LOAD, _ARGUMENTS + 8 * position)


def _step(code: int, operand: int, jump_if: int = 0, jump_else: int = 0) -> bytes:
    """One struct sock_filter."""
    return struct.pack("<HBBI", code, jump_if, jump_else, operand)
