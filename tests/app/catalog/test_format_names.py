"""Codecs and containers are found by the names that people use."""

from __future__ import annotations

import pytest

from app.catalog.format_names import codec_name, container_name


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        *((name, "hevc") for name in ("h265", "H.265", "HEVC", "x265", "hvc1", "hev1", "h-265")),
        *((name, "h264") for name in ("avc", "AVC1", "x264", "H.264", "MPEG-4 AVC", "video/h264")),
        *((name, "av1") for name in ("AV1", "av01", "AV-1")),
        *((name, "vp9") for name in ("VP9", "vp09", "libvpx-vp9")),
        *((name, "mpeg2video") for name in ("mpeg2", "MPEG-2", "H.262")),
        ("Motion JPEG", "mjpeg"),
        ("none such", "none such"),
        ("", ""),
    ],
)
def test_a_codec_has_one_name(written: str, stored: str) -> None:
    """Whatever its case and its signs; what is unknown stays as it is."""
    assert codec_name(written) == stored


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        *((name, "mp4") for name in ("MP4", ".mp4", "mov", "QuickTime", "video/mp4", "m4v")),
        *((name, "matroska") for name in ("mkv", "WebM", "video/x-matroska", "Matroska")),
        *((name, "mpegts") for name in ("ts", "m2ts", "MPEG-TS", "video/mp2t")),
        ("video/x-msvideo", "avi"),
        ("video/x-ms-wmv", "asf"),
        ("none such", "none such"),
    ],
)
def test_a_container_has_one_name(written: str, stored: str) -> None:
    """By suffix, media type or name."""
    assert container_name(written) == stored
