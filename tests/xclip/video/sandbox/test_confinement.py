"""What a process that decodes a stranger's file cannot do, tried from inside it."""

import ctypes
import errno
import json
import mmap
import os
import platform
import socket
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from xclip.errors import DecoderLost, DecodeTimeout
from xclip.video.sandbox.child import decode_in_child, probe_confinement
from xclip.video.sandbox.process import ConfinedProcess, open_upload
from xclip.video.sandbox.seccomp import _ALLOWED, _MACHINES, _filter, filter_system_calls

LENGTH = struct.Struct("<I")
MEMORY = 512 << 20

libc = ctypes.CDLL(None, use_errno=True)
X86_64 = platform.machine() == "x86_64"

# x86_64's numbers of calls that Python has no function for, or wraps.
RAW_CALLS = {
    "openat2": 437,
    "creat": 85,
    "socketpair": 53,
    "sendmsg": 46,
    "execve": 59,
    "execveat": 322,
    "vfork": 58,
    "ptrace": 101,
    "chmod": 90,
    "chown": 92,
    "truncate": 76,
    "mount": 165,
    "bpf": 321,
    "perf_event_open": 298,
    "io_uring_setup": 425,
    "userfaultfd": 323,
    "process_vm_readv": 310,
    "process_vm_writev": 311,
    "keyctl": 250,
    "add_key": 248,
    "unshare": 272,
    "setns": 308,
    "memfd_create": 319,
    "pidfd_open": 434,
    "pidfd_send_signal": 424,
    "tkill": 200,
    "ioctl": 16,
    "fcntl": 72,
    "prctl": 157,
    "prlimit64": 302,
    "setuid": 105,
    "stat": 4,
    "chdir": 80,
    "getppid": 110,
    "shmget": 29,
    "personality": 135,
}


def raw(number, *arguments):
    """One system call past the C library; raises OSError."""
    ctypes.set_errno(0)
    answer = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
    if answer == -1:
        raise OSError(ctypes.get_errno(), "refused")
    return answer


def executable_memory():
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)


ATTEMPTS = {
    "open a file": lambda: Path("/etc/passwd").read_bytes(),
    "write a file": lambda: Path("/tmp/from-the-cage").write_bytes(b"x"),
    "list a folder": lambda: list(Path("/").iterdir()),
    "look at a file": lambda: Path("/etc/passwd").stat(),
    "internet socket": socket.socket,
    "local socket": lambda: socket.socket(socket.AF_UNIX),
    "fork": os.fork,
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "unlink": lambda: Path("/tmp/anything").unlink(),
    "rename": lambda: Path("/tmp/a").rename("/tmp/b"),
    "mkdir": lambda: Path("/tmp/from-the-cage").mkdir(),
    "link": lambda: os.link("/etc/passwd", "/tmp/from-the-cage"),
    "symlink": lambda: Path("/tmp/from-the-cage").symlink_to("/etc/passwd"),
    "duplicate a descriptor": lambda: os.dup(0),
    "make a pipe": os.pipe,
    "signal another process": lambda: os.kill(1, 0),
    "executable memory": executable_memory,
    "become root": lambda: os.setresuid(0, 0, 0),
    **(
        {name: lambda number=number: raw(number) for name, number in RAW_CALLS.items()}
        if X86_64
        else {}
    ),
}


def try_everything(file, pipe, refused):
    """In the cage: each attempt's name and the number of the error it ended with."""
    outcomes = {}
    for name, attempt in ATTEMPTS.items():
        try:
            attempt()
        except OSError as error:
            outcomes[name] = error.errno
        else:
            outcomes[name] = 0
    reply(pipe, outcomes)


def reply(pipe, message):
    encoded = json.dumps(message).encode()
    pipe.write(LENGTH.pack(len(encoded)) + encoded)
    pipe.flush()


def take_two_gigabytes(file, pipe, refused):
    errors = []
    for take in (lambda: bytearray(2 << 30), lambda: torch.empty(2 << 30, dtype=torch.uint8)):
        try:
            take()
        except (MemoryError, RuntimeError) as error:
            errors.append(type(error).__name__)
    reply(pipe, errors)


def use_threads(file, pipe, refused):
    results = []
    threads = [threading.Thread(target=results.append, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reply(pipe, sorted(results))


def read_the_upload(file, pipe, refused):
    file.seek(4)
    reply(pipe, file.read(4).decode())


def filter_again(file, pipe, refused):
    reply(pipe, filter_system_calls())


def crash(file, pipe, refused):
    ctypes.string_at(0)


def abort(file, pipe, refused):
    os.abort()


def call_by_another_table(file, pipe, refused):
    raw(0x40000000 + 39)  # x32's getpid


def compute_for_ever(file, pipe, refused):
    while True:
        np.ones(1000).sum()


def write_without_end(file, pipe, refused):
    while True:
        pipe.write(bytes(1 << 20))


def start(path, work, wall_clock_s=30.0):
    upload = open_upload(path)
    try:
        return ConfinedProcess(upload, work, wall_clock_s=wall_clock_s, memory_bytes=MEMORY)
    finally:
        os.close(upload)


@pytest.fixture
def upload(tmp_path):
    path = tmp_path / "upload"
    path.write_bytes(b"one two three")
    return path


def answer(path, work, **limits):
    """What `work` replies from inside the confinement."""
    with start(path, work, **limits) as process:
        length = bytearray(LENGTH.size)
        process.read_into(memoryview(length))
        message = bytearray(*LENGTH.unpack(length))
        process.read_into(memoryview(message))
        return json.loads(message)


def test_this_machine_confines_completely():
    """The other tests here would not say anything elsewhere."""
    assert probe_confinement() == ()


def test_nothing_but_computing_is_possible(upload):
    """Every attempt ends with EPERM: files, sockets, processes, signals, privileges, the kernel."""
    outcomes = answer(upload, try_everything)

    assert outcomes == dict.fromkeys(ATTEMPTS, errno.EPERM)
    assert not Path("/tmp/from-the-cage").exists()


def test_the_attempts_would_succeed_outside():
    """Guards the test above: here the same calls do not fail by EPERM."""
    ATTEMPTS["open a file"]()
    ATTEMPTS["list a folder"]()
    ATTEMPTS["internet socket"]().close()
    if X86_64:
        assert raw(RAW_CALLS["getppid"]) == os.getppid()


def test_memory_is_refused_not_given(upload):
    """Two gigabytes, requested by Python and by PyTorch."""
    assert answer(upload, take_two_gigabytes) == ["MemoryError", "RuntimeError"]


def test_the_upload_can_be_read_and_threads_can_run(upload):
    """What decoders need still works."""
    assert answer(upload, read_the_upload) == "two "
    assert answer(upload, use_threads) == [0, 1, 2, 3]


def test_the_filter_cannot_be_replaced(upload):
    """Not even by a stricter one: the calls that install filters are gone."""
    assert "not permitted" in answer(upload, filter_again)


@pytest.mark.parametrize(
    ("work", "ended_by"),
    [
        (crash, "SIGSEGV"),
        (abort, "SIGABRT"),
        pytest.param(
            call_by_another_table,
            "SIGSYS",
            marks=pytest.mark.skipif(not X86_64, reason="only x86_64 has a second table"),
        ),
    ],
)
def test_a_crash_inside_is_an_error_here(upload, work, ended_by):
    """A real segmentation fault, an abort, and a call of the x32 table, which ends the process."""
    with pytest.raises(DecoderLost, match=ended_by):
        answer(upload, work)


def test_computing_for_ever_is_a_timeout(upload):
    """By the reader's clock, also when nothing is ever written."""
    with pytest.raises(DecodeTimeout):
        answer(upload, compute_for_ever, wall_clock_s=0.3)


def test_a_process_that_never_stops_writing_is_cut_off(upload):
    """It blocks on its pipe and is killed; nothing of it is kept."""
    with start(upload, write_without_end) as process:
        some = bytearray(1 << 20)
        process.read_into(memoryview(some))

    assert process.closed


def test_a_process_at_work_is_as_small_as_it_was_made(clips, make_request, tmp_path):
    """A process in the middle of its work, as the kernel sees it: filtered, alone, and without
    rights, so that a worker that runs as root does not pass that on to its decoders."""
    path = tmp_path / "clip"
    path.write_bytes(clips.endless_gif(600, edge=1000))
    with decode_in_child(path, make_request(), wall_clock_s=60) as decoding:
        next(decoding)
        status = dict(
            line.split(":", 1)
            for line in Path(f"/proc/{decoding.pid}/status").read_text().splitlines()
        )
        limits = Path(f"/proc/{decoding.pid}/limits").read_text()

    assert status["Seccomp"].strip() == "2"  # a filter
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Threads"].strip() == "1"
    assert int(status["CapEff"], 16) == 0
    assert {int(user) for user in status["Uid"].split()} == {os.geteuid() or 65534}
    assert {int(group) for group in status["Gid"].split()} == {os.getegid() or 65534}
    assert limits.partition("Max open files")[2].split()[:2] == ["3", "3"]


def test_both_tables_allow_different_calls_once():
    """A slip in the table of the machine that tests do not run on would show as a double."""
    for machine in _MACHINES.values():
        special = [machine.clone, machine.clone3, machine.mmap, machine.mprotect, machine.tgkill]
        numbers = [pair[machine.column] for pair in _ALLOWED.values()] + special
        assert len(set(numbers)) == len(numbers)


def verdict(program, *, architecture, number, arguments=()):
    """What the kernel would answer: the filter, interpreted."""
    call = struct.pack("<IIQ6Q", number, architecture, 0, *arguments, *[0] * (6 - len(arguments)))
    at = accumulator = 0
    while True:
        code, jump_if, jump_else, operand = struct.unpack_from("<HBBI", program, 8 * at)
        at += 1
        match code:
            case 0x06:
                return operand
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", call, operand)
            case 0x15:
                at += jump_if if accumulator == operand else jump_else
            case 0x35:
                at += jump_if if accumulator >= operand else jump_else
            case 0x45:
                at += jump_if if accumulator & operand else jump_else


@pytest.mark.parametrize("name", _MACHINES)
def test_the_filter_says_the_same_on_every_machine(name):
    """Call by call, also for the machine that tests do not run on."""
    machine = _MACHINES[name]
    program = _filter(machine, 4242)
    allow, kill, refuse, absent = 0x7FFF0000, 0x80000000, 0x50001, 0x50026

    def answer_to(number, *arguments, architecture=machine.audit):
        return verdict(program, architecture=architecture, number=number, arguments=arguments)

    allowed = {pair[machine.column] for pair in _ALLOWED.values()}
    special = {machine.clone, machine.clone3, machine.mmap, machine.mprotect, machine.tgkill}
    assert {number for number in range(600) if answer_to(number) == allow} >= allowed
    assert {answer_to(number) for number in set(range(600)) - allowed - special} == {refuse}
    assert answer_to(0, architecture=0x40000003) == kill  # i386
    assert answer_to(0x40000000) == kill
    assert answer_to(machine.mmap, 0, 4096, 3) == allow
    assert answer_to(machine.mmap, 0, 4096, 7) == refuse
    assert answer_to(machine.mprotect, 0, 4096, 5) == refuse
    assert answer_to(machine.clone3) == absent
    assert answer_to(machine.clone, 0x3D0F00) == allow  # a thread
    assert answer_to(machine.clone, 17) == refuse  # a process: SIGCHLD
    assert answer_to(machine.clone, 0x3D0F00 | 0x10000000) == refuse  # in a user namespace
    assert answer_to(machine.tgkill, 4242, 4242, 6) == allow
    assert answer_to(machine.tgkill, 1, 1, 9) == refuse
