"""Weights in and out of files: strictly, exactly, and both ways with transformers."""

from __future__ import annotations

import dataclasses
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import XCLIPModel as TwinModel

from xclip.config import XCLIPConfig
from xclip.encoders import load_encoder
from xclip.errors import ConfigError, WeightsError
from xclip.model import XCLIPModel
from xclip.weights import fingerprint, load_model

WEIGHTS = "model.safetensors"
Change = Callable[[dict[str, Tensor]], None]


@pytest.fixture
def folder(checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint to spoil."""
    return Path(shutil.copytree(checkpoint, tmp_path / "copy"))


def change_weights(folder: Path, change: Change) -> None:
    """Rewrite the weights file after a change to its tensors."""
    tensors = {key: value.clone() for key, value in load_file(folder / WEIGHTS).items()}
    change(tensors)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def as_pickle(folder: Path) -> None:
    """Turn the weights file into a `pytorch_model.bin`."""
    torch.save(load_file(folder / WEIGHTS), folder / "pytorch_model.bin")
    (folder / WEIGHTS).unlink()


def as_shards(folder: Path) -> None:
    """Split the weights file in two shards with an index."""
    tensors = load_file(folder / WEIGHTS)
    keys = sorted(tensors)
    names = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    placed = {key: names[index % 2] for index, key in enumerate(keys)}
    for name in names:
        save_file({key: tensors[key].clone() for key in keys if placed[key] == name}, folder / name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": placed}))
    (folder / WEIGHTS).unlink()


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(
        torch.equal(value, second[key]) and value.dtype == second[key].dtype
        for key, value in first.items()
    )


def test_save_then_load(
    tmp_path: Path,
    make_config: Callable[[int], XCLIPConfig],
    make_model: Callable[[XCLIPConfig, int], XCLIPModel],
) -> None:
    """What is saved comes back bit for bit, in evaluation mode, ready to be trained."""
    model = make_model(make_config(3), 3)
    model.save_pretrained(tmp_path / "new" / "folder")
    loaded = XCLIPModel.from_pretrained(tmp_path / "new" / "folder")
    assert same_weights(model, loaded)
    assert loaded.config == model.config
    assert not loaded.training
    assert all(parameter.requires_grad for parameter in loaded.parameters())


@pytest.mark.parametrize("rewrite", [as_pickle, as_shards])
def test_every_layout_gives_the_same_network(
    folder: Path, checkpoint: Path, rewrite: Callable[[Path], None]
) -> None:
    """One safetensors file, shards with an index and a pickle load alike."""
    rewrite(folder)
    assert same_weights(load_model(folder), load_model(checkpoint))


def test_transformers_loads_what_we_save(checkpoint: Path) -> None:
    """A saved folder loads in transformers, with nothing missing or left over."""
    twin, report = TwinModel.from_pretrained(checkpoint, output_loading_info=True)
    assert same_weights(twin, load_model(checkpoint))
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]


def test_we_load_what_transformers_saves(checkpoint: Path, tmp_path: Path) -> None:
    """A folder saved by transformers, in shards as well, loads here."""
    twin = TwinModel.from_pretrained(checkpoint)
    twin.save_pretrained(tmp_path / "one")
    twin.save_pretrained(tmp_path / "many", max_shard_size="20KB")
    assert (tmp_path / "many" / "model.safetensors.index.json").exists()
    for part in ("one", "many"):
        loaded = load_model(tmp_path / part)
        assert same_weights(loaded, twin)
        assert loaded.config == load_model(checkpoint).config


def test_position_ids_of_old_files_are_ignored(folder: Path) -> None:
    """The two tables of positions that old checkpoints carry do not matter."""
    as_pickle(folder)
    path = folder / "pytorch_model.bin"
    tensors = torch.load(path, weights_only=True)
    for tower in ("text", "vision"):
        tensors[f"{tower}_model.embeddings.position_ids"] = torch.arange(16)[None]
    torch.save(tensors, path)
    load_model(folder)


def _drop(tensors: dict[str, Tensor]) -> None:
    del tensors["mit.position_embedding"]


def _add(tensors: dict[str, Tensor]) -> None:
    tensors["text_model.embeddings.position_idz"] = torch.zeros(1)


def _reshape(tensors: dict[str, Tensor]) -> None:
    key = "prompts_visual_projection"
    tensors[key] = tensors[key].T.contiguous()


def _quantise(tensors: dict[str, Tensor]) -> None:
    key = "visual_projection.weight"
    tensors[key] = tensors[key].to(torch.int8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_drop, r"missing: mit\.position_embedding"),
        (_add, r"unexpected: text_model\.embeddings\.position_idz"),
        (_reshape, r"prompts_visual_projection \(12, 16\), not \(16, 12\)"),
        (_quantise, r"visual_projection\.weight torch\.int8"),
    ],
)
def test_keys_that_do_not_fit_are_named(folder: Path, change: Change, message: str) -> None:
    """A missing, unexpected, misshapen or non-float tensor is an error that names its key."""
    change_weights(folder, change)
    with pytest.raises(WeightsError, match=message):
        load_model(folder)


def test_logit_scale_stays_float32(folder: Path, tmp_path: Path) -> None:
    """In bfloat16 all weights are rounded but the scale, also after another save and load."""
    model = load_model(folder, dtype=torch.bfloat16)
    model.save_pretrained(tmp_path / "half")
    for loaded in (model, load_model(tmp_path / "half", dtype=torch.bfloat16)):
        assert loaded.logit_scale.dtype == torch.float32
        assert loaded.logit_scale.item() == load_model(folder).logit_scale.item()
        kinds = {key: value.dtype for key, value in loaded.state_dict().items()}
        del kinds["logit_scale"]
        assert set(kinds.values()) == {torch.bfloat16}


def test_saved_file_is_marked_for_pytorch(checkpoint: Path) -> None:
    """transformers 4 refuses safetensors files without their format in the metadata."""
    with safe_open(checkpoint / WEIGHTS, framework="pt") as file:
        assert file.metadata() == {"format": "pt"}
    assert json.loads((checkpoint / "config.json").read_text())["architectures"] == ["XCLIPModel"]


def test_heads_come_from_the_config_unless_overridden(checkpoint: Path) -> None:
    """The two head counts that no shape shows can be replaced, and then matter."""
    plain = load_model(checkpoint)
    other = load_model(checkpoint, mit_num_attention_heads=2, prompt_num_attention_heads=3)
    assert plain.config.vision_config.mit_num_attention_heads == 3
    assert plain.config.prompt_num_attention_heads == 2
    assert other.config.vision_config.mit_num_attention_heads == 2
    assert other.config.prompt_num_attention_heads == 3
    assert same_weights(plain, other)
    pixels = torch.randn(1, 4, 3, 20, 20)
    with torch.no_grad():
        features = [model.get_video_features(pixels) for model in (plain, other)]
    assert float((features[0] - features[1]).abs().max()) > 1e-4
    with pytest.raises(ConfigError, match="5 heads"):
        load_model(checkpoint, prompt_num_attention_heads=5)


def test_loading_draws_no_random_numbers(checkpoint: Path) -> None:
    """A seeded program computes the same whether or not it loads a model in between."""
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    load_model(checkpoint)
    assert torch.equal(torch.rand(1), expected)


def test_loaded_weights_are_no_view_of_the_file(folder: Path) -> None:
    """A file overwritten in place does not change a network in use, which can be saved there."""
    model = load_model(folder)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    path = folder / WEIGHTS
    with path.open("r+b") as file:
        file.write(b"\xff" * path.stat().st_size)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    model.save_pretrained(folder)
    assert same_weights(load_model(folder), model)
    assert not list(folder.glob(".*"))


class Explosive:
    """Its pickle creates a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_a_pickle_cannot_run_code(folder: Path, tmp_path: Path) -> None:
    """A `pytorch_model.bin` that holds more than weights is refused and not executed."""
    as_pickle(folder)
    torch.save({"logit_scale": Explosive(tmp_path / "boom")}, folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="weights only"):
        load_model(folder)
    assert not (tmp_path / "boom").exists()


def _put_in_front(prefix: str) -> Change:
    def change(tensors: dict[str, Tensor]) -> None:
        for key in list(tensors):
            tensors[prefix + key] = tensors.pop(key)

    return change


def _put_within(tensors: dict[str, Tensor]) -> None:
    for key in list(tensors):
        tensors[key.replace("encoder.", "encoder._checkpoint_wrapped_module.")] = tensors.pop(key)
    _put_in_front("module.")(tensors)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (_put_in_front("module."), "'module.'; DataParallel .* save `model.module`"),
        (_put_in_front("_orig_mod."), "'_orig_mod.'; torch.compile"),
        (_put_in_front("module._orig_mod."), "'module.'; DataParallel"),
        (_put_in_front("_fsdp_wrapped_module."), "FSDP"),
        (_put_in_front("module.model."), "begin with 'module.model.'"),
        (_put_in_front("net.backbone."), "begin with 'net.backbone.'.* of its 'net.backbone'"),
        (_put_in_front("model."), "begin with 'model.'.* of its 'model'"),
        (_put_in_front("backbone._orig_mod."), "'_orig_mod.'|'backbone.'"),
        (_put_within, "'module.'"),
    ],
)
def test_renamed_tensors_are_traced_to_who_renamed_them(
    folder: Path, change: Change, cause: str
) -> None:
    """With how to save them under their own names."""
    change_weights(folder, change)
    with pytest.raises(WeightsError, match=cause):
        load_model(folder)


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_a_training_state_says_under_which_key_its_weights_are(folder: Path, key: str) -> None:
    """As Lightning and many scripts save them, beside numbers and an optimiser."""
    as_pickle(folder)
    path = folder / "pytorch_model.bin"
    tensors = torch.load(path, weights_only=True)
    torch.save({"epoch": 3, "optimizer": {"state": {}}, key: tensors}, path)
    with pytest.raises(WeightsError, match=f"under '{key}'"):
        load_model(folder)


def test_weights_within_a_state_within_a_state(folder: Path) -> None:
    """The whole way to them is told."""
    as_pickle(folder)
    path = folder / "pytorch_model.bin"
    torch.save({"trainer": {"model": torch.load(path, weights_only=True)}}, path)
    with pytest.raises(WeightsError, match=r"under 'model' in 'trainer'.*\['trainer'\]\['model'\]"):
        load_model(folder)


def test_a_pickled_model_is_named_and_nothing_advises_to_run_it(folder: Path) -> None:
    """PyTorch's own message recommends to switch its protection off."""
    model = load_model(folder)
    as_pickle(folder)
    torch.save(model, folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"xclip\.model\.XCLIPModel.*state_dict") as caught:
        load_model(folder)
    assert "weights_only" not in str(caught.value)


@pytest.mark.parametrize("name", [WEIGHTS, "config.json", "tokenizer.json", "bank.txt"])
@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
        ("\n<!DOCTYPE html><html>sign in</html>", "a web page"),
    ],
)
def test_a_file_that_stands_for_another_is_named(
    folder: Path, name: str, content: str, cause: str
) -> None:
    """Whichever of a checkpoint's files it is."""
    (folder / name).write_text(content)
    with pytest.raises(WeightsError, match=rf"{name} cannot be read: it is .*{cause}"):
        load_encoder(str(folder), device="cpu")


def test_a_pickle_by_the_other_name(folder: Path) -> None:
    """Says which name is right."""
    torch.save({}, folder / WEIGHTS)
    with pytest.raises(WeightsError, match=r"call it pytorch_model\.bin"):
        load_model(folder)


@pytest.mark.parametrize("content", [b"", b"\0" * 64, pickle.dumps([1], protocol=2)])
@pytest.mark.parametrize("name", [WEIGHTS, "pytorch_model.bin"])
def test_damaged_files(folder: Path, name: str, content: bytes) -> None:
    """A file that is cut off or something else raises WeightsError with its path."""
    (folder / WEIGHTS).unlink()
    (folder / name).write_bytes(content)
    with pytest.raises(WeightsError, match=name):
        load_model(folder)


def test_a_folder_without_weights(folder: Path) -> None:
    """The error says which files were looked for."""
    (folder / WEIGHTS).unlink()
    with pytest.raises(WeightsError, match=r"none of model\.safetensors"):
        load_model(folder)


@pytest.mark.parametrize("name", ["last.ckpt", "tf_model.h5", "pytorch_model-00001-of-00002.bin"])
def test_weights_under_a_name_that_is_not_read_are_named(folder: Path, name: str) -> None:
    """They are there, and the file is called otherwise."""
    (folder / WEIGHTS).rename(folder / name)
    with pytest.raises(WeightsError, match=f"it holds {name}, which is not read under that name"):
        load_model(folder)


def test_a_file_in_place_of_its_folder_is_refused(folder: Path) -> None:
    """It is not looked for on the hub."""
    with pytest.raises(WeightsError, match="is a file; a checkpoint is named by its folder"):
        load_model(folder / WEIGHTS)


def test_a_shard_outside_the_folder_is_refused(folder: Path) -> None:
    """An index cannot name a file elsewhere on the machine."""
    as_shards(folder)
    index = folder / "model.safetensors.index.json"
    index.write_text(index.read_text().replace("model-00001-of", "../model-00001-of"))
    with pytest.raises(WeightsError, match="plain file name"):
        load_model(folder)


def test_a_shard_that_is_not_as_indexed(folder: Path) -> None:
    """A missing shard, or one that lacks a tensor, is named."""
    as_shards(folder)
    shard = folder / "model-00001-of-00002.safetensors"
    tensors = load_file(shard)
    save_file({key: tensors[key].clone() for key in sorted(tensors)[1:]}, shard)
    with pytest.raises(WeightsError, match="model-00001-of-00002"):
        load_model(folder)
    shard.unlink()
    with pytest.raises(WeightsError, match=r"model-00001-of-00002\.safetensors, which is missing"):
        load_model(folder)


def test_fingerprint_names_the_numbers(folder: Path) -> None:
    """Equal for another file layout; different for one changed weight, head count or setting."""
    plain = fingerprint(load_model(folder))
    assert len(plain) == 16
    assert fingerprint(load_model(folder), {"crop": 20}) != plain
    assert fingerprint(load_model(folder, prompt_num_attention_heads=3)) != plain
    as_pickle(folder)
    model = load_model(folder)
    assert fingerprint(model) == plain
    with torch.no_grad():
        model.mit.position_embedding[0, 0, 0] += 1e-3
    assert fingerprint(model) != plain


def test_fingerprint_ignores_fields_left_at_their_default(folder: Path) -> None:
    """A field that config.json leaves out means its default, so it does not count."""
    expected = fingerprint(load_model(folder))
    values = json.loads((folder / "config.json").read_text())
    default = dataclasses.asdict(XCLIPConfig())
    shorter = {k: v for k, v in values.items() if k not in default or v != default[k]}
    assert len(shorter) < len(values)
    (folder / "config.json").write_text(json.dumps(shorter))
    assert fingerprint(load_model(folder)) == expected
