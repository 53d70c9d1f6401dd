"""Only what the wanted frames need is decoded, and nothing that they need is left out."""

import io
import itertools

import av
import numpy as np
import pytest
from av.packet import Packet
from hypothesis import given
from hypothesis import strategies as st

from xclip.video.decode_plan import PacketOrder, Run, is_entry, plan


def order_of(stamps, entries):
    return PacketOrder(np.array(stamps, dtype=np.int64), np.array(entries, dtype=np.int64))


def planned(order, *due):
    return plan(order, np.array(due, dtype=np.int64))


# Groups of ten frames, shown in the order in which they lie in the file.
GROUPS = order_of(range(100), range(0, 100, 10))


def test_one_frame_is_decoded_from_the_entry_before_it():
    """And no further than to itself."""
    assert planned(GROUPS, 57) == [Run(50, 57, frozenset({57}))]


def test_an_entry_itself_is_enough():
    """One packet."""
    assert planned(GROUPS, 50) == [Run(50, 50, frozenset({50}))]


def test_frames_of_one_group_share_a_run():
    """Also when one is requested twice."""
    assert planned(GROUPS, 52, 55, 55, 58) == [Run(50, 58, frozenset({52, 55, 58}))]


def test_what_lies_between_groups_is_passed_over():
    """The rest of the one and all in between; a step too small to be worth it is decoded."""
    assert planned(GROUPS, 22, 75) == [
        Run(20, 22, frozenset({22})),
        Run(70, 75, frozenset({75})),
    ]
    assert planned(GROUPS, 18, 22) == [Run(10, 22, frozenset({18, 22}))]


def test_a_frame_that_lies_behind_a_later_one_is_reached():
    """Frames that refer to both sides come after what they refer to."""
    reordered = order_of([0, 1, 2, 3, 14, 10, 12, 11, 13], [0, 4])

    assert planned(reordered, 3, 11) == []  # all but one packet
    assert planned(order_of([*range(10), 14, 10, 12, 11, 13], [0, 9]), 11, 12) == [
        Run(9, 13, frozenset({11, 12}))
    ]


def test_frames_shown_before_their_entry_take_the_entry_before():
    """The leading frames of an open group refer to the group before."""
    open_group = order_of([0, 1, 2, 3, 4, 5, 8, 6, 7, 9, *range(10, 30)], [0, 3, 6, 10])

    assert planned(open_group, 7) == [Run(3, 8, frozenset({7}))]


@pytest.mark.parametrize(
    ("order", "due"),
    [
        (GROUPS, range(0, 100, 2)),
        (order_of(range(100), []), [57]),
        (order_of(range(100), [20]), [10, 57]),
        (order_of(range(100), [0]), [99]),
        (order_of([0, 50, 2, 10, 11, 12], [0, 1, 3]), [11]),
    ],
    ids=["dense", "no entry", "none before the first", "one group", "entries out of order"],
)
def test_there_is_no_plan_where_a_full_pass_is_as_good_or_safer(order, due):
    """Then the file is decoded from its start."""
    assert planned(order, *due) == []


@given(
    groups=st.lists(st.integers(1, 12), min_size=1, max_size=20),
    shares=st.lists(st.floats(0, 0.999), min_size=1, max_size=12),
)
def test_every_wanted_frame_is_in_one_run_that_begins_at_an_entry(groups, shares):
    """Runs ascend without overlap."""
    entries = np.cumsum([0, *groups[:-1]])
    order = order_of(range(sum(groups)), entries)
    due = sorted(int(share * sum(groups)) for share in shares)

    runs = planned(order, *due)

    assert [stamp for run in runs for stamp in sorted(run.due)] in ([], sorted(set(due)))
    assert all(run.first in entries for run in runs)
    assert all(run.first <= min(run.due) and max(run.due) == run.last for run in runs)
    assert all(one.last < other.first for one, other in itertools.pairwise(runs))


def entries_in(content):
    with av.open(io.BytesIO(content)) as container:
        stream = container.streams.video[0]
        read = [packet for packet in container.demux(stream) if packet.size]
        return (
            [packet.pts for packet in read if packet.is_keyframe],
            [packet.pts for packet in read if is_entry(packet, stream.codec_context)],
        )


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts", "flv", "avi"])
def test_key_frames_of_h264_are_entries_however_their_parts_are_delimited(clips, container):
    """By lengths or by start codes."""
    keys, entries = entries_in(clips.numbered(50, container=container, gop=12))

    assert len(keys) >= 4
    assert entries == keys


def test_a_point_to_recover_from_is_no_entry(clips):
    """With periodic refresh, x264 marks frames as keys of which only a part is coded anew."""
    content = clips.numbered(
        50, container="matroska", gop=12, options={"x264-params": "intra-refresh=1"}, b_frames=0
    )

    keys, entries = entries_in(content)

    assert len(keys) > 1
    assert entries == keys[:1]


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts"])
def test_key_frames_of_hevc_are_entries_in_open_groups_too(clips, container):
    """Its rules forbid that anything behind refers to what lies before."""
    keys, entries = entries_in(clips.numbered(50, container=container, codec="libx265", gop=12))

    assert len(keys) >= 4
    assert entries == keys


@pytest.mark.parametrize("length_size", [0, 4])
@given(noise=st.binary(max_size=200))
def test_damaged_key_frames_are_looked_at_without_harm(length_size, noise):
    """Lengths that lie lead nowhere."""
    context = av.CodecContext.create("h264", "r")
    if length_size:
        context.extradata = bytes([1, 66, 0, 30, 0xFF, 0xE0, 0])
    packet = Packet(noise)
    packet.is_keyframe = True

    assert is_entry(packet, context) in (True, False)
