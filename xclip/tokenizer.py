"""Tokenizer: CLIP's lower-cased byte-level BPE, run by the `tokenizers` library.

The text tower reads a sentence's meaning at its first `<|endoftext|>`. A person who types that
very string would cut their own sentence, so the text of a special token is always read as plain
characters and the two special ids are added here, never found in the input.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.processors import RobertaProcessing
from torch import Tensor

from xclip.errors import TokenizerError
from xclip.inputs import ModelInputs, require_torch

START = "<|startoftext|>"
END = "<|endoftext|>"
TOKENIZER_FILE = "tokenizer.json"
VOCABULARY_FILE = "vocab.json"
MERGES_FILE = "merges.txt"
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
DEFAULT_MAX_LENGTH = 77
SPECIAL_TOKENS = 2  # of every row: its start and its end

_WORD_END = "</w>"
_PRE_TOKENS = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)


class XCLIPTokenizer:
    """Encodes texts for the text tower and decodes ids back to text.

    Made by `from_folder` (a checkpoint's files) or `build_tokenizer` (a fresh small vocabulary).
    """

    def __init__(
        self, tokenizer: Tokenizer, max_length: int = DEFAULT_MAX_LENGTH, pad_token: str = END
    ) -> None:
        self.start_id = _special_id(tokenizer, START)
        self.end_id = _special_id(tokenizer, END)
        self.pad_id = _special_id(tokenizer, pad_token)
        if max_length < SPECIAL_TOKENS:
            raise TokenizerError(f"max_length={max_length} has no room for the two special tokens")
        tokenizer.no_padding()
        tokenizer.no_truncation()
        tokenizer.encode_special_tokens = True
        self.max_length = max_length
        self._pad_token = pad_token
        self._tokenizer = tokenizer
        self._bytes = decoders.ByteLevel()

    @classmethod
    def from_folder(cls, path: str | Path, max_length: int | None = None) -> XCLIPTokenizer:
        """Load `tokenizer.json`, else `vocab.json` + `merges.txt`.

        max_length : int, optional
            Longest row in tokens, the model's `max_position_embeddings`. By default what
            `tokenizer_config.json` says, else 77.

        Raises TokenizerError when the files are missing or damaged.
        """
        folder = Path(path)
        settings = _read_object(folder / TOKENIZER_CONFIG_FILE)
        if max_length is None:
            stated = settings.get("model_max_length")
            # Files without a limit hold 1e30 there.
            known = isinstance(stated, int) and stated <= 1_000_000
            max_length = stated if known and isinstance(stated, int) else DEFAULT_MAX_LENGTH
        return cls(_load(folder), max_length, _pad_token(settings))

    @property
    def vocab_size(self) -> int:
        """Number of ids, special ones included: rows the token embedding must have."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    @property
    def vocabulary(self) -> dict[str, int]:
        """The id of each token."""
        return dict(self._tokenizer.get_vocab(with_added_tokens=True))

    def encode(
        self, text: str, *, max_length: int | None = None, truncation: bool = True
    ) -> list[int]:
        """Ids of one text at its true length, start and end included; a long one loses its tail.

        Raises TypeError for what is no text, ValueError for a max_length below 2.
        """
        if not isinstance(text, str):
            raise TypeError(f"a text must be a str, not {type(text).__name__}")
        if max_length is not None and max_length < SPECIAL_TOKENS:
            raise ValueError(f"max_length={max_length} has no room for the two special tokens")
        # JSON may carry half of a surrogate pair, which has no bytes.
        text = text.encode("utf-8", "replace").decode("utf-8")
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        # A vocabulary without all 256 bytes answers with its unknown token, which is END.
        words = [token for token in ids if token not in (self.start_id, self.end_id)]
        if truncation:
            words = words[
                : (self.max_length if max_length is None else max_length) - SPECIAL_TOKENS
            ]
        return [self.start_id, *words, self.end_id]

    def __call__(
        self,
        texts: str | Sequence[str],
        *,
        padding: bool | str = True,
        truncation: bool = True,
        max_length: int | None = None,
        return_tensors: str = "pt",
    ) -> ModelInputs:
        """Encode texts to equal rows, padded on the right.

        returns : input_ids and attention_mask (1 on tokens, 0 on padding), int64, shape = (N, L)
        padding : True or "longest" (to the longest text), "max_length", or False (texts must then
            be equally long)

        Raises ValueError for no texts, for unequal lengths without padding, for a max_length
        below 2.
        """
        require_torch(return_tensors)
        if padding not in (True, False, "longest", "max_length", "do_not_pad"):
            raise ValueError(
                f"padding={padding!r} is not one of True, False, 'longest', 'max_length'"
            )
        batch = [texts] if isinstance(texts, str) else list(texts)
        if not batch:
            raise ValueError("no texts to encode")
        rows = [self.encode(text, max_length=max_length, truncation=truncation) for text in batch]
        lengths = [len(row) for row in rows]
        width = max(lengths)
        if padding == "max_length":
            width = max(width, self.max_length if max_length is None else max_length)
        if padding in (False, "do_not_pad") and min(lengths) != width:
            raise ValueError(f"texts of {min(lengths)} to {width} tokens need padding=True")
        ids = [row + [self.pad_id] * (width - len(row)) for row in rows]
        mask = [[1] * length + [0] * (width - length) for length in lengths]
        return ModelInputs(input_ids=torch.tensor(ids), attention_mask=torch.tensor(mask))

    def decode(self, ids: Iterable[int] | Tensor, skip_special_tokens: bool = False) -> str:
        """Text of one row of ids, one space between words; ValueError for an unknown id."""
        special = {self.start_id, self.end_id, self.pad_id}
        symbols: list[str] = []
        for token in ids.tolist() if isinstance(ids, Tensor) else ids:
            if skip_special_tokens and token in special:
                continue
            symbol = self._tokenizer.id_to_token(int(token))
            if symbol is None:
                raise ValueError(f"id {token} is not in the vocabulary of {self.vocab_size}")
            # "Ġ" is how the byte alphabet writes a space.
            symbols.append(
                symbol[: -len(_WORD_END)] + "Ġ" if symbol.endswith(_WORD_END) else symbol
            )
        text: str = self._bytes.decode(symbols)
        return text.strip()

    def batch_decode(
        self, rows: Iterable[Iterable[int]] | Tensor, skip_special_tokens: bool = False
    ) -> list[str]:
        """Text of each row of ids."""
        listed = rows.tolist() if isinstance(rows, Tensor) else rows
        return [self.decode(row, skip_special_tokens) for row in listed]

    def save(self, folder: str | Path) -> None:
        """Write the files this class and every version of transformers' CLIPTokenizer load."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        content = json.loads(self._tokenizer.to_str())
        _write_object(target / TOKENIZER_FILE, content)
        model = content["model"]
        by_id = sorted(self._tokenizer.get_vocab().items(), key=lambda entry: entry[1])
        _write_object(target / VOCABULARY_FILE, dict(by_id))
        lines = (pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"])
        merges = "\n".join(("#version: 0.2", *lines)) + "\n"
        (target / MERGES_FILE).write_text(merges, encoding="utf-8")
        _write_object(
            target / TOKENIZER_CONFIG_FILE,
            {
                "tokenizer_class": "CLIPTokenizer",
                "processor_class": "XCLIPProcessor",
                "bos_token": START,
                "eos_token": END,
                "unk_token": END,
                "pad_token": self._pad_token,
                "model_max_length": self.max_length,
            },
        )


def build_tokenizer(words: Iterable[str], max_length: int = DEFAULT_MAX_LENGTH) -> XCLIPTokenizer:
    """A small vocabulary in which each of `words` is one token and any other text still encodes.

    Ids: 256 bytes, 256 word-final bytes, then merges, then start, then end, the largest, where the
    text tower pools. The same set of words in any order gives the same vocabulary. A "word" the
    pre-tokenizer splits ("top-left", "4k") becomes one token per part, digits one each.
    """
    alphabet = _byte_alphabet()
    vocabulary = {symbol: i for i, symbol in enumerate(alphabet)}
    vocabulary |= {symbol + _WORD_END: 256 + i for i, symbol in enumerate(alphabet)}
    bare = _assemble(vocabulary, [])
    parts = sorted(
        {
            part
            for word in words
            for part, _ in bare.pre_tokenizer.pre_tokenize_str(bare.normalizer.normalize_str(word))
        }
    )
    ranks: dict[tuple[str, str], int] = {}
    for part in parts:
        # Earlier words keep their merges: a new merge ranks last, and BPE applies the lowest rank.
        while len(symbols := _apply_merges(part, ranks)) > 1:
            ranks[symbols[0], symbols[1]] = len(ranks)
            vocabulary.setdefault(symbols[0] + symbols[1], len(vocabulary))
    vocabulary[START] = len(vocabulary)
    vocabulary[END] = len(vocabulary)
    return XCLIPTokenizer(_assemble(vocabulary, list(ranks)), max_length)


def _apply_merges(part: str, ranks: Mapping[tuple[str, str], int]) -> list[str]:
    """Split a word as BPE does: always merge the leftmost pair of the lowest rank."""
    symbols = [*part[:-1], part[-1] + _WORD_END]
    while True:
        known = [
            (ranks[pair], position)
            for position, pair in enumerate(pairwise(symbols))
            if pair in ranks
        ]
        if not known:
            return symbols
        position = min(known)[1]
        symbols[position : position + 2] = [symbols[position] + symbols[position + 1]]


def _byte_alphabet() -> list[str]:
    """One printable character per byte, in the order of GPT-2's table: printable bytes first."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]


def _assemble(vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> Tokenizer:
    """A CLIP tokenizer around a vocabulary: NFC, one space for any blank run, lower case, bytes."""
    known_specials = START in vocabulary and END in vocabulary
    model = BPE(
        vocab=vocabulary,
        merges=merges,
        unk_token=END if known_specials else None,
        continuing_subword_prefix="",
        end_of_word_suffix=_WORD_END,
        fuse_unk=False,
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PRE_TOKENS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    if known_specials:
        tokenizer.add_special_tokens([AddedToken(token, special=True) for token in (START, END)])
        tokenizer.post_processor = RobertaProcessing(
            (END, vocabulary[END]), (START, vocabulary[START]), False, False
        )
    return tokenizer


def _load(folder: Path) -> Tokenizer:
    whole, vocabulary, merges = (
        folder / name for name in (TOKENIZER_FILE, VOCABULARY_FILE, MERGES_FILE)
    )
    try:
        if whole.is_file():
            return Tokenizer.from_file(str(whole))
        if vocabulary.is_file() and merges.is_file():
            ids, pairs = BPE.read_file(str(vocabulary), str(merges))
            return _assemble(ids, pairs)
    except Exception as error:  # `tokenizers` raises bare Exception for any damage
        raise TokenizerError(f"the tokenizer in {folder} cannot be read: {error}") from error
    raise TokenizerError(
        f"{folder} holds neither {TOKENIZER_FILE} nor {VOCABULARY_FILE} and {MERGES_FILE}"
    )


def _special_id(tokenizer: Tokenizer, token: str) -> int:
    found = tokenizer.token_to_id(token)
    if found is None:
        raise TokenizerError(f"the vocabulary has no {token!r}; this is not a CLIP tokenizer")
    return int(found)


def _pad_token(settings: Mapping[str, object]) -> str:
    stated = settings.get("pad_token")
    # Older files store an object with the text under "content".
    content = stated.get("content") if isinstance(stated, Mapping) else stated
    return content if isinstance(content, str) else END


def _read_object(path: Path) -> Mapping[str, object]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TokenizerError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise TokenizerError(f"{path} holds {type(content).__name__}, not an object")
    return content


def _write_object(path: Path, content: Mapping[str, object]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
