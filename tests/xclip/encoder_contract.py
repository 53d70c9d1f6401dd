"""What every encoder promises. To test one, subclass and override the fixture `encoder`."""

from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.typing import NDArray

from xclip.encoder import Encoder, StoredSegments

TEXTS = ["a red square moves left", "blue", "", "blue circle", "red"]


class EncoderContract:
    """Inherited by the tests of an encoder."""

    @pytest.fixture
    def encoder(self) -> Encoder:
        """The encoder under test, on the CPU."""
        raise NotImplementedError

    @pytest.fixture
    def frames(self, encoder: Encoder) -> NDArray[np.uint8]:
        """Three segments of noise, of the encoder's own shape."""
        edge = encoder.geometry.crop
        shape = (3, encoder.num_frames, edge, edge, 3)
        return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)

    def test_its_facts_are_usable(self, encoder: Encoder) -> None:
        """Names, sizes and the fingerprint have the forms that catalog and records rely on."""
        assert encoder.name
        assert re.fullmatch("[0-9a-f]{16}", encoder.fingerprint)
        assert re.fullmatch("[a-z_]+", encoder.score_kind)
        assert min(encoder.num_frames, encoder.dim, encoder.geometry.crop) >= 1
        assert encoder.dtype in ("float32", "bfloat16")
        assert encoder.device == "cpu"
        assert encoder.logit_scale > 0
        assert encoder.folder is None or encoder.folder.is_dir()
        assert all(isinstance(text, str) for text in encoder.bank)

    def test_names_of_stored_arrays_leave_those_of_records_free(self, encoder: Encoder) -> None:
        """A record keeps an embedding, scales and bank scores beside the arrays."""
        for name, shape in encoder.stored_arrays.items():
            assert name != "embedding"
            assert not name.startswith(("scale", "bank-"))
            assert len(shape) == 2

    def test_texts_are_encoded_alike_alone_and_together(self, encoder: Encoder) -> None:
        """Float32 (N, D), in the order given, whatever else is encoded."""
        together = encoder.encode_text(TEXTS)
        assert (together.dtype, together.shape) == (np.float32, (len(TEXTS), encoder.dim))
        for row, text in zip(together, TEXTS, strict=True):
            np.testing.assert_allclose(encoder.encode_text([text])[0], row, atol=1e-5)

    def test_tokens_are_counted(self, encoder: Encoder) -> None:
        """Each text has a start and an end, and more tokens the longer it is."""
        empty, word, words = encoder.tokenize(["", "red", "a red square moves left"])
        assert 1 <= len(empty.ids) < len(word.ids) < len(words.ids)
        assert not words.truncated

    def test_texts_of_the_same_tokens_are_one_to_it(self, encoder: Encoder) -> None:
        """What is cut off a text has no influence, and what is cut is said to be."""
        texts = [" ".join(["a red square moves left"] * 200 + [end]) for end in ("up", "down")]
        one, other = encoder.tokenize(texts)
        assert one.truncated == other.truncated
        if one.truncated:
            assert one.ids == other.ids
            np.testing.assert_array_equal(*encoder.encode_text(texts))

    def test_what_is_stored_has_the_shapes_it_says(
        self, encoder: Encoder, frames: NDArray[np.uint8]
    ) -> None:
        """An embedding of length 1 and the arrays named, all in float32."""
        stored = encoder.encode_video(frames)
        assert len(stored) == len(frames)
        assert (stored.embedding.dtype, stored.embedding.shape) == (np.float32, (3, encoder.dim))
        np.testing.assert_allclose(np.linalg.norm(stored.embedding, axis=1), 1, atol=1e-5)
        shapes = {name: array.shape[1:] for name, array in stored.arrays.items()}
        assert shapes == dict(encoder.stored_arrays)
        for array in stored.arrays.values():
            assert (array.dtype, len(array)) == (np.float32, 3)

    def test_a_batch_is_its_members(self, encoder: Encoder, frames: NDArray[np.uint8]) -> None:
        """A segment is stored alike whatever it is encoded with."""
        together = encoder.encode_video(frames)
        alone = [encoder.encode_video(frames[row : row + 1]) for row in range(3)]
        whole = StoredSegments.concatenate(alone)
        np.testing.assert_allclose(whole.embedding, together.embedding, atol=1e-5)
        for name, array in together.arrays.items():
            np.testing.assert_allclose(whole.arrays[name], array, atol=1e-4)

    def test_the_embedding_alone_is_the_one_stored(
        self, encoder: Encoder, frames: NDArray[np.uint8]
    ) -> None:
        """`embed_video` gives what `encode_video` does, in the same type."""
        alone = encoder.embed_video(frames)
        assert alone.dtype == np.float32
        np.testing.assert_allclose(alone, encoder.encode_video(frames).embedding, atol=1e-5)

    def test_read_only_frames_are_taken(self, encoder: Encoder, frames: NDArray[np.uint8]) -> None:
        """Frames come from a read-only buffer."""
        frames.flags.writeable = False
        assert len(encoder.encode_video(frames)) == 3

    def test_other_work_may_run_between(self, encoder: Encoder, frames: NDArray[np.uint8]) -> None:
        """`between` is called, and changes nothing."""
        calls: list[None] = []
        stored = encoder.encode_video(frames, lambda: calls.append(None))
        assert calls
        expected = encoder.encode_video(frames).embedding
        np.testing.assert_array_equal(stored.embedding, expected)

    def test_each_score_is_that_of_its_pair(
        self, encoder: Encoder, frames: NDArray[np.uint8]
    ) -> None:
        """Float32 (B, N), finite, and independent of the other texts and segments."""
        texts, stored = encoder.encode_text(TEXTS), encoder.encode_video(frames)
        scores = encoder.score(texts, stored)
        assert (scores.dtype, scores.shape) == (np.float32, (3, len(TEXTS)))
        assert np.isfinite(scores).all()
        for row in range(3):
            for column in range(len(TEXTS)):
                one = encoder.score(texts[column : column + 1], stored[row : row + 1])
                assert one[0, 0] == pytest.approx(scores[row, column], abs=1e-3)

    def test_nothing_is_an_input_too(self, encoder: Encoder, frames: NDArray[np.uint8]) -> None:
        """No texts or no segments give empty arrays of the right width."""
        texts, stored = encoder.encode_text(TEXTS), encoder.encode_video(frames)
        nothing = encoder.encode_text([])
        assert nothing.shape == (0, encoder.dim)
        assert encoder.score(nothing, stored).shape == (3, 0)
        assert encoder.score(texts, stored[:0]).shape == (0, len(TEXTS))

    def test_frames_of_another_shape_are_refused(
        self, encoder: Encoder, frames: NDArray[np.uint8]
    ) -> None:
        """ValueError, before anything is computed."""
        for wrong in (frames[:, :-1], frames[:, :, :-1], frames.astype(np.float32)):
            with pytest.raises(ValueError, match="uint8"):
                encoder.encode_video(wrong)
            with pytest.raises(ValueError, match="uint8"):
                encoder.embed_video(wrong)

    def test_rows_of_what_is_stored_are_views(
        self, encoder: Encoder, frames: NDArray[np.uint8]
    ) -> None:
        """Scoring in turns copies nothing."""
        stored = encoder.encode_video(frames)
        part = stored[1:]
        assert np.shares_memory(part.embedding, stored.embedding)
        for name, array in stored.arrays.items():
            assert np.shares_memory(part.arrays[name], array)
