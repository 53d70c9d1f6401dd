"""Errors of `xclip`, each leaf with a stable `code`.

XCLIPError
├── ConfigError            config_invalid
├── WeightsError           weights_invalid
├── TokenizerError         tokenizer_invalid
├── TextFileError          text_invalid
├── UnknownModelType       model_type_unknown
├── DeviceUnavailable      device_unavailable
└── VideoError
    ├── EmptyFile          empty_file
    ├── UnreadableVideo    unreadable_video
    ├── EncryptedVideo     encrypted
    ├── NoVideoStream      no_video_stream
    ├── UnsupportedCodec   unsupported_codec
    ├── NoDecodableFrame   no_decodable_frame
    ├── NotCuttable        not_cuttable
    ├── VideoTooLarge      too_large
    │   └── NeedsMoreMemory  the same code
    ├── DecodeTimeout      decode_timeout
    ├── DecoderCrashed     decoder_crashed
    └── DecoderLost        decoder_lost
"""

from __future__ import annotations

from typing import ClassVar


class XCLIPError(Exception):
    """Root of the package's errors; `code` never changes once published."""

    code: ClassVar[str] = "xclip_error"


class ConfigError(XCLIPError, ValueError):
    """A model configuration that cannot describe a network."""

    code = "config_invalid"


class WeightsError(XCLIPError):
    """Weights that are missing, unreadable or do not fit the configuration."""

    code = "weights_invalid"


class TokenizerError(XCLIPError):
    """A tokenizer that is missing, unreadable or does not fit the text tower."""

    code = "tokenizer_invalid"


class TextFileError(XCLIPError, ValueError):
    """A file of texts that is not UTF-8."""

    code = "text_invalid"


class UnknownModelType(XCLIPError):
    """A checkpoint whose config.json names an architecture that no encoder is registered for."""

    code = "model_type_unknown"


class DeviceUnavailable(XCLIPError):
    """A device that PyTorch cannot use on this machine."""

    code = "device_unavailable"


class VideoError(XCLIPError):
    """A file whose frames are not available; the message is a sentence for its sender."""

    code = "video_error"


class EmptyFile(VideoError):
    """The file holds no bytes."""

    code = "empty_file"


class UnreadableVideo(VideoError):
    """No allowed container format recognises the bytes, or the container is damaged."""

    code = "unreadable_video"


class EncryptedVideo(VideoError):
    """The container says that the video is encrypted, as for digital rights management."""

    code = "encrypted"


class NoVideoStream(VideoError):
    """The container holds no video (audio only, or cover art)."""

    code = "no_video_stream"


class UnsupportedCodec(VideoError):
    """The video stream's codec is unknown or not on the allow-list."""

    code = "unsupported_codec"


class NoDecodableFrame(VideoError):
    """The stream was found, but not one frame of it could be decoded."""

    code = "no_decodable_frame"


class NotCuttable(VideoError):
    """No clip can hold the frames as they are coded."""

    code = "not_cuttable"


class VideoTooLarge(VideoError):
    """Pixels, packets, duration or memory exceed the limits."""

    code = "too_large"


class NeedsMoreMemory(VideoTooLarge):
    """Decoding was refused memory, which may be that of a limit or all that there is."""


class DecodeTimeout(VideoError):
    """Decoding did not end within its wall-clock limit and was killed."""

    code = "decode_timeout"


class DecoderCrashed(VideoError):
    """The decoder failed over this file in a way that it has no name for."""

    code = "decoder_crashed"


class DecoderLost(VideoError):
    """The decoder process ended without a word about the file; the next attempt may succeed.

    The kernel's out-of-memory killer ends processes that did nothing wrong, and a fork server that
    dies takes all of its processes with it.

    from_outside : whether no file can have been the cause: something else killed the process, or it
        could not be started
    """

    code = "decoder_lost"

    def __init__(self, message: str, *, from_outside: bool = False) -> None:
        super().__init__(message)
        self.from_outside = from_outside
