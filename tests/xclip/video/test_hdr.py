"""A scene recorded in HDR looks as if it had been recorded for ordinary screens.

The clips are made by BT.2100's formulas, in double precision, from one scene: light in whites (203
cd/m²), BT.709 primaries.
"""

import io

import av
import numpy as np
import pytest
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from xclip.preprocess import FrameGeometry
from xclip.video.decode import DecodeRequest, decode_segments
from xclip.video.hdr import ToneMapper, is_hdr
from xclip.video.sampling import Segmentation
from xclip.video.sandbox.child import decode_in_child
from xclip.video.sandbox.process import start_fork_server

REQUEST = DecodeRequest(Segmentation(), 2, FrameGeometry(96, 96), thumbnail_height=64)
TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
FROM_BT2020 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
)
PAINTS = [
    (0.18, 0.18, 0.18),
    (0.5, 0.1, 0.08),
    (0.1, 0.4, 0.12),
    (0.05, 0.1, 0.45),
    (0.6, 0.45, 0.1),
]
CODECS = [("matroska", "ffv1"), ("mp4", "libx265"), ("mp4", "libsvtav1")]


def scene(brightest=1.0):
    """Patches of paint above a ramp from black to `brightest`; shape = (192, 320, 3)."""
    light = np.zeros((192, 320, 3))
    for number, paint in enumerate(PAINTS):
        light[:96, 64 * number : 64 * (number + 1)] = paint
    light[96:] = (np.linspace(0, 1, 320) ** 2.4 * brightest)[None, :, None]
    return light


def pq(light):
    """What a camera writes, from 0 to 1."""
    power = (np.clip(light @ TO_BT2020.T, 0, None) * 203 / 10_000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def hlg(light):
    """The same; the display's gamma, which depends on luminance, is taken back first."""
    shown = np.clip(light @ TO_BT2020.T, 0, None) * 203 / 1000
    luminance = np.clip(shown @ [0.2627, 0.678, 0.0593], 1e-9, None)[..., None]
    seen = shown * luminance ** (1 / 1.2 - 1)
    bright = 0.17883277 * np.log(np.clip(12 * seen - 0.28466892, 1e-9, None)) + 0.55991073
    return np.where(seen <= 1 / 12, np.sqrt(3 * seen), bright)


def ordinary(light):
    return np.clip(light, 0, 1) ** (1 / 2.4)


WRITTEN_AS = {"PQ": (ColorTrc.SMPTE2084, pq), "HLG": (ColorTrc.ARIB_STD_B67, hlg)}


def clip(signal, transfer, *, container="matroska", codec="ffv1", count=3):
    """Three equal frames of ten bits, or for BT.709 eight, with their tags."""
    hdr = transfer != ColorTrc.BT709
    pix_fmt = "yuv420p10le" if hdr else "yuv420p"
    colorspace = Colorspace.BT2020 if hdr else Colorspace.ITU709
    primaries = ColorPrimaries.BT2020 if hdr else ColorPrimaries.BT709
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=25)
        stream.height, stream.width = signal.shape[:2]
        stream.pix_fmt = pix_fmt
        context = stream.codec_context
        context.color_trc, context.color_primaries = transfer, primaries
        context.colorspace, context.color_range = colorspace, ColorRange.MPEG
        image = av.VideoFrame.from_ndarray(np.round(signal * 65535).astype(np.uint16), "rgb48le")
        for number in range(count):
            frame = image.reformat(
                format=pix_fmt, dst_colorspace=colorspace, dst_color_range=ColorRange.MPEG
            )
            frame.color_trc, frame.color_primaries = transfer, primaries
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def first_frame(content):
    with av.open(io.BytesIO(content)) as container:
        return next(container.decode(video=0))


def shown(content):
    """The first segment's first frame and its thumbnail, as numbers that can be subtracted."""
    (segment,) = decode_segments(io.BytesIO(content), REQUEST)
    return segment.frames[0].astype(int), segment.thumbnail.astype(int)


def mean_difference(one, other):
    return np.abs(one.astype(int) - other).mean()


@pytest.mark.parametrize(("container", "codec"), CODECS)
@pytest.mark.parametrize("kind", WRITTEN_AS)
def test_an_hdr_recording_looks_like_its_ordinary_twin(kind, container, codec):
    """In what the model sees and in the thumbnail: a tenth of the difference is left."""
    transfer, written = WRITTEN_AS[kind]
    light = scene()
    content = clip(written(light), transfer, container=container, codec=codec)
    frame, thumbnail = shown(content)
    twin_frame, twin_thumbnail = shown(clip(ordinary(light), ColorTrc.BT709))

    untreated = first_frame(content).to_ndarray(format="rgb24", width=160, height=96)[:, 32:128]
    assert mean_difference(frame, twin_frame) < 1.5
    assert mean_difference(thumbnail, twin_thumbnail) < 2.5
    assert mean_difference(untreated, twin_frame) > 15.0


def test_light_up_to_the_knee_agrees_with_libswscale():
    """Whose own conversion knows the same standards; above, it cuts off."""
    frame = first_frame(clip(hlg(scene(brightest=0.6)), ColorTrc.ARIB_STD_B67))

    theirs = frame.reformat(
        format="rgb24",
        dst_colorspace=Colorspace.ITU709,
        dst_color_trc=ColorTrc.BT709,
        dst_color_primaries=ColorPrimaries.BT709,
    ).to_ndarray()

    assert mean_difference(ToneMapper().rgb(frame, 192), theirs) < 2.0


@pytest.mark.parametrize("kind", WRITTEN_AS)
def test_highlights_stay_apart(kind):
    """From black to 1000 cd/m² ever brighter, white paper at nine tenths, the top just white."""
    transfer, written = WRITTEN_AS[kind]
    frame = first_frame(clip(written(scene(brightest=1000 / 203)), transfer))

    ramp = ToneMapper().rgb(frame, 192)[150].astype(int)

    assert np.diff(ramp.mean(axis=1)[::20]).min() >= 1
    assert ramp[-1].tolist() == pytest.approx([255] * 3, abs=1)
    paper = int(320 * (203 / 1000) ** (1 / 2.4))
    assert ramp[paper].tolist() == pytest.approx([232] * 3, abs=3)


def test_hdr_is_reduced_before_it_is_converted_and_never_enlarged():
    """By the rule of the model's frames: the long edge is truncated."""
    frame = first_frame(clip(pq(scene()), ColorTrc.SMPTE2084))

    assert ToneMapper().rgb(frame, 100).shape == (100, 166, 3)
    assert ToneMapper().rgb(frame, 500).shape == (192, 320, 3)


@pytest.mark.parametrize("transposed", [False, True])
def test_the_middle_alone_is_as_in_the_whole(transposed):
    """One mapper gives the same pixels, whatever it was asked for before, upright frames too."""
    signal = hlg(scene())
    frame = first_frame(
        clip(signal.swapaxes(0, 1) if transposed else signal, ColorTrc.ARIB_STD_B67)
    )
    mapper = ToneMapper()

    small, middle, whole = (mapper.rgb(frame, *wanted) for wanted in ((50, 4), (100, 4), (100,)))

    if transposed:
        middle, whole = middle.swapaxes(0, 1), whole.swapaxes(0, 1)
    assert 50 in small.shape
    np.testing.assert_array_equal(middle[:, 29:-29], whole[:, 29:-29])
    assert not middle[:, :29].any()
    assert whole[:, :29].any()


@pytest.mark.parametrize("edge", [64, 96, 224])
def test_frames_without_a_thumbnail_look_like_those_with_one(edge):
    """What the model sees is resized from no pixel that was left out."""
    content = clip(pq(scene()), ColorTrc.SMPTE2084)
    request = DecodeRequest(Segmentation(), 2, FrameGeometry(edge, edge), thumbnail_height=180)

    (segment,) = decode_segments(io.BytesIO(content), request)

    np.testing.assert_array_equal(segment.frames[0], segment.frames[1])


def test_ten_bits_alone_are_not_hdr():
    """The transfer decides."""
    assert not is_hdr(first_frame(clip(ordinary(scene()), ColorTrc.BT2020_10)))
    assert is_hdr(first_frame(clip(hlg(scene()), ColorTrc.ARIB_STD_B67)))


def test_a_confined_process_converts_alike(tmp_path):
    """Nothing the conversion needs is loaded too late."""
    content = clip(hlg(scene()), ColorTrc.ARIB_STD_B67, codec="libx265")
    path = tmp_path / "clip"
    path.write_bytes(content)
    start_fork_server()

    with decode_in_child(path, REQUEST, wall_clock_s=60) as decoding:
        _, segment = decoding

    frame, thumbnail = shown(content)
    np.testing.assert_array_equal(segment.frames[0], frame)
    np.testing.assert_array_equal(segment.thumbnail, thumbnail)


def tone_mapped_exactly(signal, transfer):
    """What the module describes, step by step and in double precision."""
    if transfer == ColorTrc.SMPTE2084:
        root = signal ** (32 / 2523)
        light = (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (8192 / 1305)
        light = light * 10_000 / 203
    else:
        bright = (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12
        scene = np.where(signal <= 0.5, signal**2 / 3, bright)
        light = scene * (scene @ [0.2627, 0.678, 0.0593])[..., None] ** 0.2 * 1000 / 203
    light = np.maximum(light @ FROM_BT2020.T, 0)
    strongest = np.clip(light.max(axis=-1, keepdims=True), 1e-12, None)
    excess = (np.clip(strongest, 0.6, 1000 / 203) - 0.6) / 0.4
    brightest = (1000 / 203 - 0.6) / 0.4
    bent = excess * (1 + excess / brightest**2) / (1 + excess)
    return np.clip(light * (np.minimum(strongest, 0.6) + 0.4 * bent) / strongest, 0, 1) ** (1 / 2.4)


@pytest.mark.parametrize("kind", WRITTEN_AS)
def test_every_colour_is_right_to_one_level(kind):
    """Black, white and what lies outside the screen's colours too: shortcuts cost nothing seen."""
    transfer, _ = WRITTEN_AS[kind]
    signal = np.random.default_rng(7).integers(0, 1 << 16, (40, 50, 3)).astype(np.uint16)
    signal[0], signal[1] = 0, 65535
    signal[2:12] //= 8
    frame = av.VideoFrame.from_ndarray(signal, "rgb48le").reformat(format="gbrp16le")
    frame.color_trc = transfer

    shown = ToneMapper().rgb(frame, 224)

    assert np.abs(shown - 255 * tone_mapped_exactly(signal / 65535, transfer)).max() < 1.0
