"""X-CLIP of a published size with random weights, and records that no video left."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from app.model_api.tensor_records import split_records
from index.protocol import Tensors
from xclip.config import XCLIPConfig, XCLIPTextConfig, XCLIPVisionConfig
from xclip.encoder import Encoder, StoredSegments
from xclip.model import XCLIPModel
from xclip.motion.world import vocabulary
from xclip.processor import XCLIPProcessor
from xclip.text_bank import GENERAL_BANK, bank_digest
from xclip.tokenizer import build_tokenizer
from xclip.weights import save_model
from xclip.xclip_encoder import XCLIPEncoder


def random_base(patch_size: int, seed: int = 0) -> tuple[XCLIPModel, XCLIPProcessor]:
    """Return xclip-base-patch32 or -patch16 with the vocabulary of the generated world.

    The prompt generator has the original's first weights (std 0.02), norms and biases are
    disturbed so that none is neutral, and the logit scale is a trained network's 100.
    """
    torch.manual_seed(seed)
    tokenizer = build_tokenizer(vocabulary())
    config = XCLIPConfig(
        XCLIPTextConfig(vocab_size=tokenizer.vocab_size), XCLIPVisionConfig(patch_size=patch_size)
    )
    model = XCLIPModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
        model.logit_scale.fill_(math.log(100))
    return model, XCLIPProcessor.for_model(config, tokenizer)


def random_encoder(patch_size: int, dtype: torch.dtype | None = None) -> XCLIPEncoder:
    """Return it as an encoder, named as the checkpoint whose size it has."""
    return as_encoder(*random_base(patch_size), f"random base-patch{patch_size}", dtype)


def as_encoder(
    model: XCLIPModel, processor: XCLIPProcessor, name: str, dtype: torch.dtype | None = None
) -> XCLIPEncoder:
    """Return an encoder with the bank of texts that published checkpoints get."""
    bank = GENERAL_BANK.read_text(encoding="utf-8").splitlines()
    return XCLIPEncoder(model, processor, name, bank=tuple(bank), dtype=dtype)


def save_random_base(folder: Path, patch_size: int) -> None:
    """Write it as a checkpoint folder."""
    folder.mkdir()
    model, processor = random_base(patch_size)
    save_model(model, folder)
    processor.save_pretrained(folder)


def random_records(
    encoder: Encoder, embeddings: NDArray[np.float32], prompts: NDArray[np.float32]
) -> list[Tensors]:
    """Return int8 records of segments that no video has, as large as real ones.

    embeddings : float32, shape = (N, D); prompts : float32, shape = (N, P, D)
    """
    bank = np.zeros((len(embeddings), len(encoder.bank)), np.float16)
    videos = StoredSegments(embeddings, {"prompt": prompts})
    return split_records(videos, "int8", bank_digest(encoder.bank), bank)


def unit_vectors(
    random: np.random.Generator, count: int, width: int, *, clusters: int = 0
) -> NDArray[np.float32]:
    """Draw directions, float32 (count, width): all alike, or around as many others as told."""
    vectors = random.standard_normal((count, width), np.float32)
    if clusters:
        centres = unit_vectors(random, clusters, width) * np.float32(np.sqrt(width))
        vectors += centres[random.integers(0, clusters, count)]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors
