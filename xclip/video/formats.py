"""Container formats: the demuxers that files are opened with, and the suffixes of such files.

Imports nothing, so that the command line can ask without libav.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# By demuxer as libav spells it, the suffixes that files of the format have. Not here on purpose:
# hls, concat, dash, sdp, image2, tty and the raw elementary streams, which carry no timestamps.
FORMAT_SUFFIXES: Final[Mapping[str, tuple[str, ...]]] = {
    "mov": (".mov", ".qt"),
    "mp4": (".mp4", ".m4v", ".f4v"),
    "m4a": (),
    "3gp": (".3gp",),
    "3g2": (".3g2",),
    "mj2": (".mj2",),
    "matroska": (".mkv",),
    "webm": (".webm",),
    "avi": (".avi", ".divx"),
    "mpegts": (".ts", ".mts", ".m2ts"),
    "mpeg": (".mpg", ".mpeg", ".vob"),
    "flv": (".flv",),
    "asf": (".wmv", ".asf"),
    "ogg": (".ogv", ".ogg"),
    "gif": (".gif",),
    "mxf": (".mxf",),
    "ivf": (".ivf",),
    "dv": (".dv", ".dif"),
}
FORMATS: Final = tuple(FORMAT_SUFFIXES)
SUFFIXES: Final = frozenset(suffix for each in FORMAT_SUFFIXES.values() for suffix in each)
TRANSPORT_STREAM_SUFFIXES: Final = frozenset(FORMAT_SUFFIXES["mpegts"])

# Videos that are not read: raw elementary streams, and containers without a demuxer in the list.
SUFFIXES_NOT_READ: Final = frozenset(
    {".h264", ".264", ".avc", ".h265", ".265", ".hevc", ".m1v", ".m2v", ".mpv", ".obu"}
    | {".h261", ".261", ".h263", ".263", ".h266", ".266", ".vvc", ".cavs", ".avs2", ".avs3"}
    | {".mjpeg", ".mjpg", ".drc", ".dnxhd", ".apv"}
    | {".y4m", ".rm", ".rmvb", ".swf", ".nut", ".wtv", ".dvr-ms"}
    | {".gxf", ".lxf", ".nsv", ".bik", ".bk2", ".smk", ".flc", ".fli", ".mng", ".dav", ".tivo"}
    | {".braw", ".r3d", ".ari", ".crm"}
)
