"""File type detection by magic numbers: what a file that is no readable video is instead.

Only to say it: what is read is decided by libav's demuxers alone.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

_decoder: Final = codecs.getincrementaldecoder("utf-8")
_decode_utf16: Final = codecs.lookup("utf-16").decode  # now: a confined process can load no codec

HEAD_BYTES: Final = 4096  # looked at

_RAW = "a raw {} stream without a container, which has no times: put it into an mp4 or mkv first"
_NOT_READ = "{}, which this service does not read"
_SOUND = "sound without a picture ({})"

# What follows "The file is"; the first that matches counts.
_KINDS: Final[tuple[tuple[str, str], ...]] = (
    (
        r"version https://git-lfs\.github\.com",
        "a Git LFS pointer, not the video that it stands for",
    ),
    (r"\xff\xd8\xff.*\xff\xd9\xff\xd8\xff", _RAW.format("Motion JPEG")),
    (r"\xff\xd8\xff", "a picture (JPEG)"),
    (r"\x89PNG\r\n", "a picture (PNG)"),
    (r"RIFF....WEBP", "a picture (WebP)"),
    (r"....ftyp(heic|heix|heim|heis|mif1|msf1|hevc|hevx)", "a picture (HEIF)"),
    (r"....ftyp(avif|avis)", "a picture (AVIF)"),
    (r"BM....\0\0\0\0", "a picture (BMP)"),
    (r"II\*\0|MM\0\*|II\+\0", "a picture (TIFF or a camera's raw format)"),
    (r"8BPS", "a picture (Photoshop)"),
    (r"\0\0\x01\0[\x01-\x20]\0", "a picture (icon)"),
    (r"\xff\x0a|\0\0\0\x0cJXL ", "a picture (JPEG XL)"),
    (r"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "a picture (JPEG 2000)"),
    (r"v/1\x01", "a picture (OpenEXR)"),
    (r"SDPX|XPDS", "a picture of a film (DPX)"),
    (r".{128}DICM", "a medical picture (DICOM)"),
    (r"FUJIFILMCCD-RAW|IIRO|IIRS|IIU\0", "a picture (a camera's raw format)"),
    (r"P[1-7]\s+[#\d]|qoif|DDS |gimp xcf|BPG\xfb|FORM....ILBM|SIMPLE  =", "a picture"),
    (r"%PDF-", "a PDF document"),
    (r"%!PS", "a PostScript document"),
    (r"\{\\rtf", "a text document (RTF)"),
    (r"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office document"),
    (r"PK(\x03\x04|\x05\x06|\x07\x08)", "a zip archive or an Office document"),
    (r"Rar!\x1a\x07", "an archive (RAR)"),
    (r"7z\xbc\xaf\x27\x1c", "an archive (7z)"),
    (r"\x1f\x8b", "compressed (gzip)"),
    (r"BZh[1-9]", "compressed (bzip2)"),
    (r"\xfd7zXZ\0", "compressed (xz)"),
    (r"\x28\xb5\x2f\xfd", "compressed (Zstandard)"),
    (r".{257}ustar", "an archive (tar)"),
    (r"MZ.{58}", "a program or a library (Windows)"),
    (r"\x7fELF", "a program or a library (ELF)"),
    (r"[\xca\xfe\xcf]\xfa[\xed\xba][\xfe\xbe]", "a program or a library (macOS)"),
    (r"SQLite format 3\0", "a database (SQLite)"),
    (r"d\d+:(announce|created)", "a torrent, not the video that it stands for"),
    (r"\0\x05\x16\x07", "an AppleDouble file (“._…”) of macOS, which holds no video"),
    (r"ID3|\xff[\xe2-\xe7\xf2-\xf7\xfa-\xfb]", _SOUND.format("MP3")),
    (r"\xff[\xf0\xf1\xf8\xf9]", _SOUND.format("AAC")),
    (r"(RIFF|RF64|RIFX)....WAVE", _SOUND.format("WAV")),
    (r"fLaC", _SOUND.format("FLAC")),
    (r"FORM....AIF", _SOUND.format("AIFF")),
    (r"#!AMR", _SOUND.format("AMR")),
    (r"OggS.{24,60}(\x01vorbis|OpusHead|Speex|\x7fFLAC)", _SOUND.format("Ogg")),
    (r"....ftyp(M4A|M4B|F4A)", _SOUND.format("M4A")),
    (r"MThd", "music notes (MIDI)"),
    (r"caff|MAC |wvpk|\.snd|\x0b\x77", _SOUND.format("not a video format")),
    (r"\x06\x0e\x2b\x34", "an MXF of a kind that this service does not read"),
    (r"DKIF", "an IVF of a kind that this service does not read"),
    (r"YUV4MPEG2", _NOT_READ.format("uncompressed video (Y4M)")),
    (r"\.RMF", _NOT_READ.format("a RealMedia video")),
    (r"\.R1M", "a playlist (RealMedia), which names a video and holds none"),
    (r"nut/multimedia", _NOT_READ.format("a NUT video")),
    (r"\xb7\xd8\0\x20\x37\x49\xda\x11", _NOT_READ.format("a recording of Windows (WTV)")),
    (r"TPOT|\xf5\x46\x7a\xbd", _NOT_READ.format("a recording of a TiVo")),
    (r"DHAV", _NOT_READ.format("a Dahua camera's recording (DAV)")),
    (r"HXVS|HXVF", _NOT_READ.format("a surveillance recorder's file (HXVS)")),
    (r"IMKH", _NOT_READ.format("a Hikvision camera's recording (IMKH)")),
    (r"NSV[fs]", _NOT_READ.format("a Nullsoft video (NSV)")),
    (r"\0{4}\x01\xbc", _NOT_READ.format("a GXF video")),
    (r"LEITCH\0\0", _NOT_READ.format("an LXF video")),
    (r"AV[\x01\x02].\x55", _NOT_READ.format("a PVA video")),
    (r"BIK[a-k]|KB2[a-n]|SMK[24]", _NOT_READ.format("a video of a game (Bink or Smacker)")),
    (
        r"THP\0|FILM\0|4XMV|RIFF....4XMV|\x84\x10\xff{4}|Interplay MVE File|\0\x0aSMJPEG",
        _NOT_READ.format("a video of a game"),
    ),
    (r"....[\x11\x12\x44]\xaf.{6}\x08\0", _NOT_READ.format("an animation (FLI or FLC)")),
    (r"\x8aMNG\r\n", _NOT_READ.format("an animation (MNG)")),
    (r"DVDVIDEO-(VTS|VMG)", "a DVD's table of contents (IFO); its videos are the VOB files"),
    (r"(MPLS|INDX|HDMV|MOBJ)0[123]00", "a Blu-ray's playlist or index, which holds no video"),
    (r"[FCZ]WS[\x01-\x32]", "a Flash program (SWF)"),
    (r"....(RED1|RED2|BRAW|braw)|CI\x2c\0", _NOT_READ.format("a camera's raw video")),
    (r"\0\0(\0)?\x01[\x40\x42\x44\x46\x4e]\x01", _RAW.format("HEVC")),
    (r"\0\0(\0)?\x01\0[\x61\x69\x71\x79\x81\xa1]", _RAW.format("VVC (H.266)")),
    (
        r"\0\0(\0)?\x01[\x67\x27\x47\x09\x06\x68\x28\x65\x25\x45\x61\x41\x21]",
        _RAW.format("H.264"),
    ),
    (r"\0\0(\0)?\x01\xb3", _RAW.format("MPEG-1 or MPEG-2")),
    (r"\0\0(\0)?\x01\xb0.(?!\0\0\x01)", _RAW.format("AVS")),
    (r"\0\0(\0)?\x01\x0f", _RAW.format("VC-1")),
    (r"\0\0(\0)?\x01[\xb0\xb5\xb6\x00-\x1f]", _RAW.format("MPEG-4")),
    (r"\0\0[\x80-\x83][\x02\x06\x0a\x0e\x12\x16\x1a\x1e]", _RAW.format("H.263")),
    (r"\0\x01[\0-\x0f][\x06\x0e\x16\x1e\x86\x8e\x96\x9e]", _RAW.format("H.261")),
    (r"\x12\0\x0a|.{2,6}?(\x01\x10|\x02\x12\0).{1,2}?[\x08\x0a]", _RAW.format("AV1")),
    (r"\0\0\x02\x80[\x01-\x03]", _RAW.format("DNxHD")),
    (r"....icpf", _RAW.format("ProRes")),
    (r"....aPv1", _RAW.format("APV")),
    (r"BBCD[\0\x10\x20\x30]", _RAW.format("Dirac or VC-2")),
    (r"\x80theora|\x81theora", _RAW.format("Theora")),
    (r"\0{512}", "full of zeros at its beginning, as after an interrupted copy"),
)
_TEXTS: Final[tuple[tuple[str, str], ...]] = (
    (r"<!doctype html|<html|<head|<body", "a web page"),
    (r"(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?(<!doctype svg[^>]*>\s*)?<svg", "a picture (SVG)"),
    (r"(<\?xml[^>]*>\s*)?<mpd", "a playlist (DASH), which names a video and holds none"),
    (r"<\?xml[^>]*>\s*<!doctype html|<\?xml[^>]*>\s*<html", "a web page"),
    (r"<\?xml|<error|<rss", "an XML document"),
    (r"webvtt", "subtitles (WebVTT)"),
    (r"\d+\s*\r?\n\d\d:\d\d:\d\d[,.]\d{3} -->", "subtitles (SubRip)"),
    (r"\[script info\]|\[v4\+? styles\]", "subtitles (ASS)"),
    (r"<sami|\{\d+\}\{\d+\}", "subtitles"),
    (r"#extm3u", "a playlist (HLS), which names videos and holds none"),
    (r"ffconcat version|\[playlist\]", "a playlist, which names videos and holds none"),
    (r"http/1\.[01] \d\d\d", "an answer of a web server, with its headers"),
    (r"[\[{]", "a text file (JSON, perhaps a service's error)"),
)
_PATTERNS: Final = [
    (re.compile(pattern.encode("latin-1"), re.DOTALL), kind) for pattern, kind in _KINDS
]
_TEXT_PATTERNS: Final = [
    (re.compile(pattern, re.DOTALL | re.IGNORECASE), kind) for pattern, kind in _TEXTS
]


def kind_of(head: bytes) -> str | None:
    """A sentence that says what a file with these first bytes is; None if they do not tell.

    head : at most `HEAD_BYTES`
    """
    found = next((kind for pattern, kind in _PATTERNS if pattern.match(head)), None)
    found = found or _kind_of_text(head)
    return None if found is None else f"The file is {found}."


def _kind_of_text(head: bytes) -> str | None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = _decode_utf16(head, "replace")[0]
    else:
        try:
            text = _decoder().decode(head.removeprefix(codecs.BOM_UTF8))  # the end may be cut off
        except UnicodeDecodeError:
            return None
    start = text.lstrip()
    kind = next((kind for pattern, kind in _TEXT_PATTERNS if pattern.match(start)), None)
    if kind is not None:
        return kind
    is_text = start != "" and all(each.isprintable() or each in "\t\r\n\f" for each in text)
    return "a text file" if is_text else None
