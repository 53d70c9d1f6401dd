"""Decoders: which codecs the installed libav can decode."""

from __future__ import annotations

from av.codec import codecs_available

from xclip.video.containers import DECODERS


def missing_decoders() -> tuple[str, ...]:
    """The decoders that this libav was built without, by libav's names; best: nothing."""
    return tuple(sorted(DECODERS - codecs_available))
