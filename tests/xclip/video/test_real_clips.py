"""Real, odd and damaged files: each gives segments that cover it, or one clear refusal."""

import csv
import io
from dataclasses import dataclass

import av
import numpy as np
import pytest

from xclip.errors import VideoError
from xclip.preprocess import FrameGeometry, resize_and_crop
from xclip.video.decode import DecodeRequest, decode_segments
from xclip.video.probe import VideoInfo
from xclip.video.sampling import Segmentation, instants
from xclip.video.sandbox.child import decode_in_child

REQUEST = DecodeRequest(Segmentation(), 8, FrameGeometry(224, 224))


@pytest.fixture(scope="module")
def manifest(real_clips):
    with (real_clips / "manifest.csv").open(newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


@dataclass(frozen=True)
class Outcome:
    """What became of one file: facts and segments, or an error."""

    info: VideoInfo | None = None
    spans: tuple[tuple[float, float], ...] = ()
    shapes: frozenset[tuple[int, ...]] = frozenset()
    thumbnail: np.ndarray | None = None
    error: VideoError | None = None

    def covers_its_duration(self):
        starts, ends = zip(*self.spans, strict=True)
        touching = all(start <= end for start, end in zip(starts[1:], ends, strict=False))
        return starts[0] == 0 and touching and ends[-1] == self.info.duration_s > 0


def outcome_of(path):
    try:
        with decode_in_child(path, REQUEST, wall_clock_s=60) as decoding:
            info, *segments = decoding
    except VideoError as error:
        return Outcome(error=error)
    return Outcome(
        info,
        tuple((segment.start, segment.end) for segment in segments),
        frozenset(segment.frames.shape for segment in segments),
        segments[0].thumbnail,
    )


@pytest.fixture(scope="module")
def outcomes(real_clips, manifest):
    """Every file of the folder, each through a process of its own."""
    return {name: outcome_of(real_clips / name) for name in manifest}


def decodable(manifest):
    return {name for name, row in manifest.items() if int(row["frames_decoded"] or 0) > 0}


@pytest.mark.timeout(300)
def test_every_decodable_file_is_covered_by_segments(outcomes, manifest):
    """From its first frame to the end of its last, with frames of the model's size."""
    names = decodable(manifest)

    refused = {name: outcomes[name].error for name in names if outcomes[name].error}
    assert not refused
    assert {name for name in names if not outcomes[name].covers_its_duration()} == set()
    assert {shape for name in names for shape in outcomes[name].shapes} == {(8, 224, 224, 3)}


def test_every_other_file_is_refused_with_a_code_and_a_sentence(outcomes, manifest):
    """No crash, no timeout: what is wrong is the file."""
    others = set(manifest) - decodable(manifest)

    codes = {outcomes[name].error.code for name in others}
    assert codes <= {
        *("empty_file", "encrypted", "unreadable_video", "no_video_stream", "no_decodable_frame")
    }
    assert all(str(outcomes[name].error).endswith(".") for name in others)


# Headers that lie: an edit list that starts late, one frame with the duration of a film.
LYING_HEADERS = {
    "axm__edit_list_positive_shift.mp4",
    "lwm__blockgroup_block_ends_beyond_blockgroup.mkv",
}


def test_durations_are_those_of_the_frames(outcomes, manifest):
    """Within 0.2 s of the header wherever that is honest (it may count the sound)."""
    differences = {
        name: abs(outcomes[name].info.duration_s - float(manifest[name]["duration_s"]))
        for name in decodable(manifest) - LYING_HEADERS
        if manifest[name]["duration_s"]
    }

    assert {name for name, difference in differences.items() if difference > 0.2} == set()


def test_one_frame_with_the_duration_of_a_film_is_one_frame_long(outcomes):
    """The packets' evidence counts, not the header's 1809 s."""
    info = outcomes["lwm__blockgroup_block_ends_beyond_blockgroup.mkv"].info

    assert info.duration_s < 0.1


@pytest.mark.parametrize(
    "name",
    [
        "axm__bbb_800x640_768kbps_30fps_avc_pyramid_3b.mp4",
        "axm__h265_bframes.mp4",
        "mmaction2__test.mp4",
        "mmaction2__test.avi",
        "axm__sample_edit_list_only_preroll_sync_sample.mp4",
        "imageio-bi__newtonscradle.gif",
        "tc__av1_video.mkv",
    ],
)
def test_frames_are_those_of_a_full_decode(real_clips, name):
    """Bit by bit equal to decoding everything in order and picking by time."""
    content = (real_clips / name).read_bytes()
    with av.open(io.BytesIO(content)) as container:
        frames = [
            (frame.pts * frame.time_base, frame.to_ndarray(format="rgb24"))
            for frame in container.decode(video=0)
        ]
    begins = sorted(float(time - min(time for time, _ in frames)) for time, _ in frames)

    for segment in decode_segments(io.BytesIO(content), REQUEST):
        for frame, moment in zip(segment.frames, instants(segment, 8), strict=True):
            shown = np.searchsorted(begins, moment + 1e-6, side="right") - 1
            expected = resize_and_crop(frames[shown][1], REQUEST.geometry)
            np.testing.assert_array_equal(frame, expected)


def test_phones_held_upright_give_upright_frames(outcomes):
    """The display matrix turns the frame: the same scene, stored in three ways."""
    shapes = {}
    for degrees in (0, 90, 180):
        found = outcomes[f"decord__video_{degrees}.mov"]
        assert found.info.rotation == degrees
        shapes[degrees] = found.thumbnail.shape

    assert shapes == {0: (180, 320, 3), 90: (180, 101, 3), 180: (180, 320, 3)}
