"""Encrypted videos are named as such, in every container that can say so."""

import io

import pytest

from xclip.errors import EncryptedVideo
from xclip.video.containers import Limits
from xclip.video.encryption import is_encrypted
from xclip.video.probe import probe

ORDINARY = [
    ("mp4", "libx264"),
    ("webm", "libvpx-vp9"),
    ("asf", "wmv2"),
    ("mpegts", "libx264"),
    ("avi", "mpeg4"),
    ("gif", "gif"),
]
ASF_HEADER_END = 30
CONTENT_ENCRYPTION = bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e")


def refused(content):
    with pytest.raises(EncryptedVideo, match=r"encrypted .*[.]$"):
        probe(io.BytesIO(content), Limits())


@pytest.mark.parametrize(("container", "codec"), ORDINARY)
def test_ordinary_videos_are_not_encrypted(clips, container, codec):
    """They are read as before."""
    content = clips.numbered(5, container=container, codec=codec, b_frames=0)
    assert not is_encrypted(io.BytesIO(content))


@pytest.mark.parametrize("entry", [b"encv", b"drmi"])
@pytest.mark.parametrize("options", [{}, {"movflags": "frag_keyframe"}])
def test_an_encrypted_mp4_is_named(clips, entry, options):
    """By Common Encryption's or FairPlay's sample entry, wherever the index is."""
    content = clips.numbered(5, container_options=options)
    refused(content.replace(b"avc1\0\0\0\0", entry + b"\0\0\0\0"))


def test_an_encrypted_webm_is_named(clips):
    """By the track's content encoding."""
    encryption = b"\x6d\x80\x8a\x62\x40\x87\x50\x35\x84\x47\xe1\x81\5"
    content = clips.numbered(5, container="webm", codec="libvpx-vp9", b_frames=0)
    refused(with_element_in_track(content, encryption))


def with_element_in_track(content, element):
    """Every size that changes is written with eight bytes."""
    named = content.index(b"\x16\x54\xae\x6b")  # in the list of what is where
    tracks = content.index(b"\x16\x54\xae\x6b", named + 1)
    _, begin, end = sized(content, tracks + 4)
    begin += 6 * (content[begin] == 0xBF)  # a checksum
    assert content[begin] == 0xAE
    _, inner, inner_end = sized(content, begin + 1)
    assert inner_end == end, "one track"
    track = long(b"\xae", element + content[inner:inner_end])
    return content[:tracks] + long(b"\x16\x54\xae\x6b", track) + content[end:]


def sized(content, at):
    length = 9 - content[at].bit_length()
    size = int.from_bytes(content[at : at + length]) - (1 << 7 * length)
    return size, at + length, at + length + size


def long(kind, content):
    return kind + (len(content) | 1 << 56).to_bytes(8) + content


def test_a_wmv_with_rights_management_is_named(clips):
    """Its frames would decode to noise."""
    content = clips.numbered(5, container="asf", codec="wmv2", b_frames=0)
    size = int.from_bytes(content[16:24], "little")
    extra = CONTENT_ENCRYPTION + (40).to_bytes(8, "little") + bytes(16)
    refused(
        content[:16]
        + (size + len(extra)).to_bytes(8, "little")
        + content[24:ASF_HEADER_END]
        + extra
        + content[ASF_HEADER_END:]
    )


def test_a_scrambled_broadcast_is_named(clips):
    """Its packets say so, one by one."""
    content = bytearray(clips.numbered(50, container="mpegts"))
    content[3::188] = bytes(each | 0x80 for each in content[3::188])
    refused(bytes(content))


def test_damaged_headers_are_looked_at_without_harm(clips):
    """Cut anywhere, in any container."""
    for container, codec in ORDINARY:
        content = clips.numbered(5, container=container, codec=codec, b_frames=0)
        for end in range(0, min(len(content), 3000), 7):
            assert not is_encrypted(io.BytesIO(content[:end]))


def test_sizes_that_lead_out_of_the_file_are_looked_at_without_harm(tmp_path):
    """Of eight bytes each, so that no file could be sought there."""
    huge = b"\x7f" + b"\xff" * 7
    path = tmp_path / "file"
    mp4 = b"\0\0\0\1moov" + huge + (b"\0\0\0\1trak" + huge) * 3
    webm = bytes.fromhex("1a45dfa3 80 18538067 01ffffffffffffff 1549a966 01fffffffffffffe")
    asf = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + b"\xff" * 8 + bytes(22) + huge
    for content in (mp4, webm + bytes(50), asf + bytes(50)):
        path.write_bytes(content)
        with path.open("rb") as file:
            assert not is_encrypted(file)
