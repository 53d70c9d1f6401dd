"""Alias table: the catalog's names of codecs and containers, by the names that people use.

The decoder names both in its own way: `hevc` for H.265, `matroska` for WebM. Names differ in case
and in signs between letters, too, and come as media types and suffixes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_CODECS: Final[Mapping[str, str]] = {
    "h264": "avc avc1 avc3 x264 mpeg4avc mpeg4part10",
    "hevc": "h265 x265 hvc1 hev1 mpegh",
    "av1": "av01 aomav1 libaomav1 svtav1 dav1d",
    "vp9": "vp09 libvpxvp9",
    "vp8": "vp08 libvpx",
    "mpeg4": "mp4v xvid divx mpeg4part2",
    "mpeg2video": "mpeg2 mp2v h262",
    "mpeg1video": "mpeg1",
    "mjpeg": "mjpg motionjpeg",
    "prores": "appleprores apch apcn apcs apco ap4h ap4x",
    "dvvideo": "dv",
    "dnxhd": "dnxhr avidnxhd",
    "cfhd": "cineform",
    "wmv3": "wmv9",
    "vc1": "wvc1",
}
_CONTAINERS: Final[Mapping[str, str]] = {
    "mp4": "mov m4v qt quicktime 3gp 3gpp 3g2 3gpp2 isom f4v mj2",
    "matroska": "mkv webm xmatroska",
    "mpegts": "ts mts m2ts mp2t transportstream",
    "mpeg": "mpg mpegps vob programstream",
    "avi": "xmsvideo msvideo",
    "asf": "wmv xmswmv xmsasf",
    "ogg": "ogv",
    "flv": "xflv",
}
_SIGNS: Final = re.compile(r"[\W_]+")


def codec_name(text: str) -> str:
    """What the catalog calls the codec; an unknown name stays as it is."""
    return _known(text, _BY_CODEC)


def container_name(text: str) -> str:
    """What the catalog calls the container; an unknown name stays as it is."""
    return _known(text, _BY_CONTAINER)


def _known(text: str, names: Mapping[str, str]) -> str:
    plain = text.strip().casefold().removeprefix("video/")
    return names.get(_SIGNS.sub("", plain), text)


def _by_alias(names: Mapping[str, str]) -> dict[str, str]:
    return {alias: name for name, aliases in names.items() for alias in (name, *aliases.split())}


_BY_CODEC: Final = _by_alias(_CODECS)
_BY_CONTAINER: Final = _by_alias(_CONTAINERS)
