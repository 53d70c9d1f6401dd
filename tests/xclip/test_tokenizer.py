"""Texts to ids and back, against transformers' CLIPTokenizer on the same files."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from xclip.errors import TokenizerError
from xclip.tokenizer import END, START, XCLIPTokenizer, build_tokenizer

WORDS = ("red", "green", "square", "triangle", "moves", "café", "banana", "abab", "re", "quare")

SENTENCES = [
    "a red square moves",
    "  RED\t\nSquare  ",
    "",
    "日本語のテキスト 🎉",
    "cafe\u0301 CAFÉ",
    "it's we'll 12 foo-bar!? top-left",
    "\u00a0no-break\u2003space\u200bzero",
    "İstanbul ẞ ſ",
    "</w> red</w>",
    "x" * 300,
    "red " * 100,
]

anything = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def built() -> XCLIPTokenizer:
    return build_tokenizer(WORDS)


@pytest.fixture(scope="module")
def folder(built: XCLIPTokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer")
    built.save(path)
    return path


@pytest.fixture(scope="module")
def twin(folder: Path) -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("text", SENTENCES)
def test_ids_and_texts_are_those_of_transformers(
    text: str, built: XCLIPTokenizer, twin: CLIPTokenizer
) -> None:
    """Encoding with truncation and decoding agree with CLIPTokenizer."""
    ids = built.encode(text)
    assert ids == twin(text, truncation=True).input_ids
    if "</w>" not in text:  # transformers swallows that text, ours does not
        for skip in (False, True):
            assert built.decode(ids, skip) == twin.decode(ids, skip_special_tokens=skip)


@anything
@given(text=st.text(max_size=60))
def test_any_text_encodes_as_in_transformers(
    text: str, built: XCLIPTokenizer, twin: CLIPTokenizer
) -> None:
    """Whatever Unicode a text holds, the ids agree; special tokens are tested below."""
    assume(START not in text.lower() and END not in text.lower())
    assert built.encode(text) == twin(text, truncation=True).input_ids


@anything
@given(
    parts=st.lists(
        st.sampled_from([START, END, END.upper(), "<|EndOfText|>", " ", "red", "<|", "|>", "a"]),
        max_size=8,
    )
)
def test_special_token_text_is_plain_text(parts: list[str], built: XCLIPTokenizer) -> None:
    """However a user spells special tokens, a row starts once and ends once, at its ends."""
    ids = built.encode("".join(parts))
    assert ids[0] == built.start_id
    assert ids[-1] == built.end_id
    assert not {built.start_id, built.end_id} & set(ids[1:-1])


def test_special_token_text_is_kept_as_characters(built: XCLIPTokenizer) -> None:
    """The characters are read, not dropped: the sentence goes on after them."""
    text = built.decode(built.encode(f"red {END} square"), skip_special_tokens=True)
    assert text.replace(" ", "") == "red<|endoftext|>square"


@pytest.mark.parametrize("lost", ["tokenizer.json", "merges.txt", "vocab.json"])
def test_either_set_of_files_is_enough(
    lost: str, folder: Path, tmp_path: Path, built: XCLIPTokenizer
) -> None:
    """`tokenizer.json` alone, or vocabulary and merges without it, give the same ids."""
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / lost).unlink()
    ours, theirs = XCLIPTokenizer.from_folder(copy), CLIPTokenizer.from_pretrained(copy)
    for text in SENTENCES:
        assert ours.encode(text) == theirs(text, truncation=True).input_ids == built.encode(text)
    for text in (END, f"a{END}b", f" {START} "):
        assert ours.encode(text) == built.encode(text)


def test_files_saved_by_transformers(folder: Path, tmp_path: Path, twin: CLIPTokenizer) -> None:
    """What transformers saves loads here, and saves and loads again."""
    twin.save_pretrained(tmp_path / "twin")
    ours = XCLIPTokenizer.from_folder(tmp_path / "twin")
    ours.save(tmp_path / "again")
    again = XCLIPTokenizer.from_folder(tmp_path / "again")
    for text in SENTENCES:
        assert ours.encode(text) == again.encode(text) == twin(text, truncation=True).input_ids
    assert again.max_length == ours.max_length == 77


@anything
@given(
    words=st.lists(st.text(st.characters(categories=["L"]), min_size=1, max_size=9), max_size=12)
)
def test_each_word_of_a_built_vocabulary_is_one_token(words: list[str]) -> None:
    """Whatever words are given, each becomes one token, and END has the largest id."""
    tokenizer = build_tokenizer(words)
    assert tokenizer.end_id == tokenizer.vocab_size - 1
    assert tokenizer.start_id == tokenizer.vocab_size - 2
    for word in words:
        words = tokenizer.decode(tokenizer.encode(word), skip_special_tokens=True).split()
        assert len(tokenizer.encode(word)) == len(words) + 2


def test_the_order_of_words_does_not_matter(tmp_path: Path) -> None:
    """The same set of words gives the same files, so training can be repeated."""
    words = [*WORDS, *WORDS[:3]]
    random.Random(1).shuffle(words)
    build_tokenizer(WORDS).save(tmp_path / "one")
    build_tokenizer(words).save(tmp_path / "other")
    for name in ("tokenizer.json", "vocab.json", "merges.txt"):
        one, other = (tmp_path / part / name for part in ("one", "other"))
        assert one.read_bytes() == other.read_bytes()


def test_truncation_keeps_the_end(folder: Path) -> None:
    """A long text loses words, never its last token; the limit is the text tower's."""
    tokenizer = XCLIPTokenizer.from_folder(folder, max_length=6)
    ids = tokenizer.encode("red " * 50)
    assert len(ids) == 6
    assert ids[-1] == tokenizer.end_id
    assert len(tokenizer.encode("red " * 50, truncation=False)) == 52
    assert len(tokenizer.encode("red " * 50, max_length=4)) == 4


@pytest.mark.parametrize("padding", [True, "max_length"])
def test_rows_are_padded_with_a_mask(
    padding: bool | str, built: XCLIPTokenizer, twin: CLIPTokenizer
) -> None:
    """A batch has equal rows and says which tokens are real, as in transformers."""
    texts = ["red", "a red square moves", ""]
    ours = built(texts, padding=padding)
    theirs = twin(texts, padding=padding, truncation=True, return_tensors="pt")
    assert torch.equal(ours.input_ids, theirs["input_ids"])
    assert torch.equal(ours.attention_mask, theirs["attention_mask"])
    assert ours.attention_mask.sum(1).tolist() == [len(built.encode(text)) for text in texts]


def test_unequal_rows_need_padding(built: XCLIPTokenizer) -> None:
    """Without padding, texts of one length pass and others are refused."""
    assert built(["red", "green"], padding=False).input_ids.shape == (2, 3)
    with pytest.raises(ValueError, match="padding=True"):
        built(["red", "red square"], padding=False)


def test_what_is_no_text(built: XCLIPTokenizer) -> None:
    """No texts, other types, unknown options and unknown ids are refused."""
    with pytest.raises(ValueError, match="no texts"):
        built([])
    with pytest.raises(TypeError, match="NoneType"):
        built.encode(None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="sideways"):
        built("red", padding="sideways")
    with pytest.raises(ValueError, match="tf"):
        built("red", return_tensors="tf")
    with pytest.raises(ValueError, match="99999"):
        built.decode([99999])


@pytest.mark.parametrize("max_length", [1, 0, -3])
def test_a_row_has_room_for_its_start_and_end(built: XCLIPTokenizer, max_length: int) -> None:
    """A shorter one gave more tokens than a longer one; whatever the padding."""
    with pytest.raises(ValueError, match="no room for the two special tokens"):
        built.encode("a red square", max_length=max_length)
    with pytest.raises(ValueError, match="no room"):
        built("red", max_length=max_length, padding="max_length", truncation=False)
    assert built.encode("a red square", max_length=2) == [built.start_id, built.end_id]


def test_half_a_surrogate_pair_is_read_as_a_question_mark(built: XCLIPTokenizer) -> None:
    """JSON can carry text that UTF-8 cannot; it must not bring a request down."""
    assert built.encode("\ud800 red") == built.encode("? red")


def test_batch_decode(built: XCLIPTokenizer) -> None:
    """Rows of a tensor or lists decode to one text each."""
    batch = built(["red square", "green"])
    expected = ["red square", "green"]
    assert built.batch_decode(batch.input_ids, skip_special_tokens=True) == expected
    assert built.batch_decode(batch.input_ids.tolist(), skip_special_tokens=True) == expected


def test_missing_and_damaged_files(tmp_path: Path, folder: Path) -> None:
    """No files, a broken file and a vocabulary that is not CLIP's raise TokenizerError."""
    with pytest.raises(TokenizerError, match=r"neither tokenizer\.json"):
        XCLIPTokenizer.from_folder(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(TokenizerError, match="cannot be read"):
        XCLIPTokenizer.from_folder(tmp_path)
    content = json.loads((folder / "tokenizer.json").read_text().replace("endoftext", "fin"))
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(TokenizerError, match="endoftext"):
        XCLIPTokenizer.from_folder(tmp_path)
    with pytest.raises(TokenizerError, match="max_length=1"):
        XCLIPTokenizer.from_folder(folder, max_length=1)


def test_a_pad_token_of_old_files(folder: Path, tmp_path: Path) -> None:
    """A checkpoint that pads with another token is padded with it, however the file states it."""
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    path = copy / "tokenizer_config.json"
    values = json.loads(path.read_text())
    for stated in ("!", {"content": "!", "special": True}):
        path.write_text(json.dumps({**values, "pad_token": stated}))
        assert XCLIPTokenizer.from_folder(copy).pad_id == 0
