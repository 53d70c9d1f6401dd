"""A file is decoded in a process that can hang, crash or swell without hurting its caller."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from xclip.errors import (
    DecoderCrashed,
    DecoderLost,
    DecodeTimeout,
    EmptyFile,
    NeedsMoreMemory,
    UnreadableVideo,
    VideoTooLarge,
)
from xclip.video.cut import CutRequest
from xclip.video.decode import decode_segments
from xclip.video.probe import VideoInfo
from xclip.video.sandbox.child import cut_in_child, decode_in_child
from xclip.video.sandbox.process import retried, start_fork_server, stop_fork_server

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module", autouse=True)
def _fork_server():
    start_fork_server()


@pytest.fixture
def clip(clips, tmp_path):
    """Ten seconds: nine segments of 2 s, far more than a pipe holds."""
    path = tmp_path / "clip"
    path.write_bytes(clips.numbered(250))
    return path


@pytest.fixture
def slow_clip(clips, tmp_path):
    """Ten minutes whose decoding takes many seconds."""
    path = tmp_path / "slow"
    path.write_bytes(clips.endless_gif(6000, edge=3000))
    return path


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def descriptors_held():
    return sorted(int(entry.name) for entry in Path("/proc/self/fd").iterdir())


def wait_until_gone(pids, patience_s=10.0):
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if not any(map(is_running, pids)):
            return True
        time.sleep(0.02)
    return False


def test_a_process_gives_the_same_as_the_function(clip, make_request):
    """First the facts, then every segment, then the end."""
    request = make_request()
    with clip.open("rb") as file:
        expected = list(decode_segments(file, request))

    with decode_in_child(clip, request, wall_clock_s=60) as decoding:
        info, *segments = decoding

    assert isinstance(info, VideoInfo)
    assert info.duration_s == pytest.approx(10.0)
    assert len(segments) == len(expected) == 9
    for ours, theirs in zip(segments, expected, strict=True):
        assert (ours.index, ours.start, ours.end) == (theirs.index, theirs.start, theirs.end)
        np.testing.assert_array_equal(ours.frames, theirs.frames)
        np.testing.assert_array_equal(ours.thumbnail, theirs.thumbnail)


def test_the_process_is_gone_after_the_last_segment(clip, make_request):
    """Nothing is left behind, and asking again keeps saying it is over."""
    with decode_in_child(clip, make_request(), wall_clock_s=60) as decoding:
        list(decoding)

        assert wait_until_gone([decoding.pid])
        assert next(decoding, None) is None


def test_leaving_early_ends_the_process(slow_clip, make_request):
    """Whoever wants only the facts need not wait for the rest."""
    with decode_in_child(slow_clip, make_request(), wall_clock_s=60) as decoding:
        assert isinstance(next(decoding), VideoInfo)
        assert is_running(decoding.pid)

    assert not is_running(decoding.pid)


def test_many_threads_decode_at_once(clip, make_request):
    """Each with its own process; no results are mixed up."""
    lengths = []

    def work():
        with decode_in_child(clip, make_request(), wall_clock_s=60) as decoding:
            lengths.append([type(item).__name__ for item in decoding])

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert lengths == [["VideoInfo"] + ["DecodedSegment"] * 9] * 6


def test_no_descriptor_is_leaked(clip, make_request):
    """After success, early leave and error the caller holds what it held before."""
    empty = clip.with_name("empty")
    empty.touch()

    def use_all():
        with decode_in_child(clip, make_request(), wall_clock_s=60) as decoding:
            list(decoding)
        with decode_in_child(clip, make_request(), wall_clock_s=60) as decoding:
            next(decoding)
        with (
            pytest.raises(EmptyFile),
            decode_in_child(empty, make_request(), wall_clock_s=60) as decoding,
        ):
            next(decoding)

    use_all()
    before = descriptors_held()
    use_all()

    assert descriptors_held() == before


@pytest.mark.parametrize(
    ("content", "error"), [(b"", EmptyFile), (b"ffconcat version 1.0\nfile x\n", UnreadableVideo)]
)
def test_what_is_wrong_with_a_file_is_raised_here(tmp_path, make_request, content, error):
    """The errors of the file arrive as themselves."""
    path = tmp_path / "upload"
    path.write_bytes(content)

    with (
        decode_in_child(path, make_request(), wall_clock_s=60) as decoding,
        pytest.raises(error),
    ):
        next(decoding)


def test_a_decode_that_takes_too_long_is_killed(slow_clip, make_request):
    """The wall clock ends it, also in the middle of one library call."""
    started = time.monotonic()
    with decode_in_child(slow_clip, make_request(), wall_clock_s=0.5) as decoding:
        with pytest.raises(DecodeTimeout):
            list(decoding)

        assert not is_running(decoding.pid)
    assert time.monotonic() - started < 30  # a busy machine may be slow to start the process


def test_only_waiting_counts_against_the_wall_clock(clip, make_request):
    """A caller that is busy with each segment does not run out of time."""
    with decode_in_child(clip, make_request(), wall_clock_s=2.0) as decoding:
        count = 0
        for _ in decoding:
            count += 1
            time.sleep(0.25)

    assert count == 10


def test_processor_time_is_limited_while_the_caller_does_not_read(slow_clip, make_request):
    """The kernel ends a process that computes on although its caller is away."""
    one_segment = make_request(window_s=1000.0, stride_s=1000.0)
    with decode_in_child(slow_clip, one_segment, wall_clock_s=1.0) as decoding:
        assert wait_until_gone([decoding.pid], patience_s=60)

        with pytest.raises(DecodeTimeout):
            list(decoding)


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGKILL", "SIGTERM"])
def test_a_decoder_that_a_signal_ends_is_lost(slow_clip, make_request, name):
    """It says nothing of the file, which can have caused a crash and no other signal."""
    with decode_in_child(slow_clip, make_request(), wall_clock_s=60) as decoding:
        next(decoding)
        os.kill(decoding.pid, signal.Signals[name])

        with pytest.raises(DecoderLost, match=name) as lost:
            list(decoding)
    assert lost.value.from_outside is (name != "SIGSEGV")
    with decode_in_child(slow_clip, make_request(), wall_clock_s=60) as decoding:
        assert isinstance(next(decoding), VideoInfo)


def test_a_fork_server_that_dies_is_started_again(slow_clip, make_request):
    """Its processes are lost with it; the next file is decoded as before."""
    with decode_in_child(slow_clip, make_request(), wall_clock_s=60) as decoding:
        next(decoding)
        stop_fork_server()

        with pytest.raises(DecoderLost) as lost:
            list(decoding)
    assert lost.value.from_outside
    with decode_in_child(slow_clip, make_request(), wall_clock_s=60) as decoding:
        assert isinstance(next(decoding), VideoInfo)


def test_what_was_lost_is_begun_anew_a_few_times():
    """A caller without a queue gets what the next attempt gives, or the last attempt's error."""
    tries: list[int] = []

    def lost_twice() -> int:
        tries.append(len(tries))
        if len(tries) % 3:
            raise DecoderLost("The signal SIGKILL ended the decoder process.")
        return len(tries)

    def lost_always() -> None:
        tries.append(len(tries))
        raise DecoderLost("The signal SIGKILL ended the decoder process.")

    assert retried(lost_twice) == 3
    with pytest.raises(DecoderLost):
        retried(lost_always)
    assert len(tries) == 6


def test_memory_is_limited(slow_clip, make_request):
    """Frames of 9 megapixels do not fit in 32 MiB, but in the default."""
    with (
        decode_in_child(
            slow_clip, make_request(), wall_clock_s=60, memory_bytes=32 << 20
        ) as decoding,
        pytest.raises(VideoTooLarge),
    ):
        list(decoding)

    with decode_in_child(slow_clip, make_request(), wall_clock_s=60) as decoding:
        assert isinstance(next(decoding), VideoInfo)


@pytest.fixture(scope="module")
def large_clip(clips, tmp_path_factory):
    """Three frames of 4K in H.264, whose decoder calls a lack of memory invalid data."""
    path = tmp_path_factory.mktemp("large") / "clip"
    options = {"preset": "ultrafast", "x264-params": "log-level=none"}
    path.write_bytes(clips.numbered(3, width=3840, height=2160, rate=2, options=options))
    return path


def test_a_lack_of_memory_is_never_taken_for_damage(large_clip, make_request):
    """Whatever step the memory ends at, the video needs more; with enough of it nothing is lost."""
    for megabytes in (24, 32, 44):
        with (
            decode_in_child(
                large_clip, make_request(), wall_clock_s=300, memory_bytes=megabytes << 20
            ) as decoding,
            pytest.raises(NeedsMoreMemory),
        ):
            list(decoding)
    with decode_in_child(large_clip, make_request(), wall_clock_s=300) as decoding:
        assert len(list(decoding)) == 2
        assert decoding.lost_s == 0


def test_a_clip_that_needs_more_memory_is_not_called_uncuttable(large_clip, tmp_path):
    """The interval could be cut where there is more."""
    with (tmp_path / "clip.mp4").open("w+b") as output, pytest.raises(NeedsMoreMemory):
        cut_in_child(
            large_clip,
            output.fileno(),
            CutRequest(0.0, 1.0, 1 << 20),
            wall_clock_s=300,
            memory_bytes=24 << 20,
        )


def test_memory_does_not_grow_with_the_video(slow_clip, make_request):
    """Frames of 36 MB each, of which twenty are looked at, in 400 MiB."""
    wanted = make_request(window_s=2.0, stride_s=2.0, num_frames=10)
    with decode_in_child(slow_clip, wanted, wall_clock_s=60, memory_bytes=400 << 20) as decoding:
        for _ in range(3):
            next(decoding)


def test_links_and_pipes_are_not_opened(clip, tmp_path, make_request):
    """A name of ours that became something else is not followed, and a pipe does not block."""
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(clip)
    os.mkfifo(pipe)

    with pytest.raises(OSError, match="symbolic links"):
        decode_in_child(link, make_request(), wall_clock_s=60)
    with pytest.raises(UnreadableVideo):
        decode_in_child(pipe, make_request(), wall_clock_s=60)


def test_the_process_holds_nothing_but_its_file_and_its_pipe(slow_clip, make_request):
    """No descriptor of the server's is in reach of a stranger's bytes."""
    with decode_in_child(slow_clip, make_request(), wall_clock_s=60) as decoding:
        next(decoding)
        descriptors = Path(f"/proc/{decoding.pid}/fd")
        held = sorted(str(entry.readlink()) for entry in descriptors.iterdir() if entry.name != "2")
        limits = Path(f"/proc/{decoding.pid}/limits").read_text()

    assert [name.partition(":")[0] for name in held if name != "/dev/null"] == [
        str(slow_clip),
        "pipe",
    ]
    for limited in ("Max file size", "Max core file size"):
        (line,) = (line for line in limits.splitlines() if line.startswith(limited))
        assert line.removeprefix(limited).split()[:2] == ["0", "0"]


def test_an_exception_in_the_process_reaches_the_log(clip, make_request, caplog):
    """With its traceback: stderr, where it is a file, is closed to a process that writes none."""
    impossible = make_request(thumbnail_height="tall")
    with (
        decode_in_child(clip, impossible, wall_clock_s=60) as decoding,
        pytest.raises(DecoderCrashed, match="the log says where"),
    ):
        list(decoding)

    assert "TypeError" in caplog.text
    assert "_thumbnail" in caplog.text


SERVER = """
import sys, threading, time
from pathlib import Path

print("imported", __name__, flush=True)

from xclip.preprocess import FrameGeometry
from xclip.video.sandbox.child import decode_in_child
from xclip.video.decode import DecodeRequest
from xclip.video.sampling import Segmentation

def work():
    request = DecodeRequest(Segmentation(1000.0, 1000.0), 4, FrameGeometry(32, 32))
    with decode_in_child(sys.argv[1], request, wall_clock_s=600) as decoding:
        parent = Path(f"/proc/{decoding.pid}/stat").read_text().rpartition(")")[2].split()[1]
        next(decoding)
        print("decoding", decoding.pid, parent, flush=True)
        list(decoding)

thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


@pytest.fixture
def server(slow_clip, tmp_path):
    """A plain script without a __main__ guard that decodes in a thread."""
    script = tmp_path / "server"
    script.write_text(SERVER)
    process = subprocess.Popen(
        [sys.executable, script, slow_clip],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        process.kill()


def test_everything_dies_with_a_server_killed_at_once(server):
    """SIGKILL leaves no time to clean up; still neither decoder nor fork server outlives it. The
    server's own script is not run again by its children."""
    assert server.stdout.readline().split() == ["imported", "__main__"]
    word, *pids = server.stdout.readline().split()
    assert word == "decoding"
    pids = [int(pid) for pid in pids]
    assert all(map(is_running, pids))

    server.send_signal(signal.SIGKILL)

    assert wait_until_gone(pids, patience_s=30.0)


def test_a_fork_server_that_is_stopped_does_not_finish_its_imports() -> None:
    """Its owner ends now; PyTorch would keep it for seconds."""
    script = (
        "import os, signal\n"
        "from xclip.video.sandbox import process\n"
        "process.stop_fork_server()  # there is none yet\n"
        "process.start_fork_server()\n"
        "pid = process._server._forkserver_pid\n"
        "process.stop_fork_server()\n"
        "assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
