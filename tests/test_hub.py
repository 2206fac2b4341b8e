"""What is saved comes back, and what is damaged is named."""

import json
import re
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pointvae import InputError, PointVAE, from_pretrained, save_pretrained
from tests.models.test_contract import PARTS, clouds, tiny


@pytest.mark.parametrize("parts", PARTS, ids="-".join)
def test_a_saved_model_comes_back_the_same(parts, tmp_path):
    model = tiny(*parts).float().eval()
    save_pretrained(model, tmp_path, {"seed": 0})
    x = clouds().float()
    torch.testing.assert_close(from_pretrained(tmp_path).reconstruct(x), model.reconstruct(x))


@pytest.fixture
def saved(tmp_path):
    save_pretrained(PointVAE(latent_dim=4, points=8, encoder_args={"widths": [8, 8]}), tmp_path)
    return tmp_path


def refused(folder) -> str:
    with pytest.raises(InputError) as caught:
        from_pretrained(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_folder_says_how_to_make_one(tmp_path):
    assert "pointvae train" in refused(tmp_path / "none")


def test_a_folder_without_a_run_says_what_is_missing(tmp_path):
    assert "config.json" in refused(tmp_path)


def test_missing_weights_are_named(saved):
    (saved / "model.safetensors").unlink()
    assert "model.safetensors" in refused(saved)


@pytest.mark.parametrize("keep", [0, 5, 300])
def test_truncated_weights_are_named(saved, keep):
    path = saved / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    assert "model.safetensors" in refused(saved)


def test_a_pickle_in_place_of_weights_is_not_run(saved, tmp_path):
    torch.save({"a": torch.zeros(1)}, saved / "model.safetensors")
    assert "model.safetensors" in refused(saved)


def test_weights_of_another_architecture_are_refused_by_the_first_name_that_differs(saved):
    path = saved / "model.safetensors"
    state = load_file(path)
    state["head.linear.weight"] = torch.zeros(2, 2)
    save_file(state, path)
    assert "head.linear.weight" in refused(saved)
    del state["head.linear.weight"]
    save_file(state, path)
    assert "absent" in refused(saved)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"model": 3}', '{"model": {"encoder": "x"}}', '{"model": {"a": 1}}']
)
def test_a_damaged_configuration_is_named(saved, text):
    (saved / "config.json").write_text(text)
    refused(saved)


def test_facts_are_kept_beside_the_configuration(tmp_path):
    save_pretrained(PointVAE(latent_dim=4, points=8), tmp_path, {"classes": ["a", "b"]})
    assert json.loads((tmp_path / "config.json").read_text())["classes"] == ["a", "b"]


def test_the_weights_can_be_read_by_others_as_the_configuration_can(saved):
    assert (saved / "model.safetensors").stat().st_mode == (saved / "config.json").stat().st_mode


def test_weights_in_half_precision_take_half_the_room_and_come_back_in_single(tmp_path):
    model = PointVAE(latent_dim=16, points=64).eval()
    for dtype in ("float32", "float16"):
        save_pretrained(model, tmp_path / dtype, dtype=dtype)
    sizes = [(tmp_path / dtype / "model.safetensors").stat().st_size for dtype in ("float16", "float32")]
    assert 0.5 <= sizes[0] / sizes[1] < 0.52
    loaded = from_pretrained(tmp_path / "float16")
    assert {value.dtype for value in loaded.parameters()} == {torch.float32}
    x = clouds().float()
    torch.testing.assert_close(loaded.posterior(x).mean, model.posterior(x).mean, atol=2e-3, rtol=0)


def test_a_weight_too_large_for_half_precision_is_refused_by_name_before_anything_is_written(tmp_path):
    model = PointVAE(latent_dim=4, points=8)
    model.head.linear.weight.data[0, 0] = 1e5
    with pytest.raises(InputError, match=r"head\.linear\.weight: holds 1e\+05, too much for float16"):
        save_pretrained(model, tmp_path / "run", dtype="float16")
    assert not (tmp_path / "run").exists()


def change(folder, name: str, by: float) -> None:
    """Multiply a tensor of the weights, as another formula, a torn disk or a hand would."""
    state = load_file(folder / "model.safetensors")
    state[name] = state[name] * by
    save_file(state, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("name", "word"), [("head.linear.weight", "posterior"), ("decoder.layers.0.weight", "decoded points")]
)
def test_a_model_that_computes_something_else_than_when_it_was_saved_is_refused_with_both_versions(saved, name, word):
    change(saved, name, 1.2)
    told = refused(saved)
    assert word in told
    assert told.count(f"torch {torch.__version__}") == 2
    assert from_pretrained(saved, check=False).latent_dim == 4


def test_differences_as_of_another_processor_are_admitted(saved):
    change(saved, "head.linear.weight", 1 + 1e-4)
    assert from_pretrained(saved).latent_dim == 4


def test_golden_tensors_do_not_care_for_threads_or_precision_of_the_reader(saved):
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    try:
        torch.set_num_threads(3)
        torch.set_default_dtype(torch.float64)
        assert from_pretrained(saved).latent_dim == 4
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)


def test_a_run_without_golden_tensors_loads_and_damaged_or_foreign_ones_are_named(saved, tmp_path):
    golden = saved / "golden.safetensors"
    whole = golden.read_bytes()
    golden.write_bytes(whole[:100])
    assert "golden.safetensors: damaged" in refused(saved)
    save_pretrained(PointVAE(latent_dim=5, points=8, encoder_args={"widths": [8, 8]}), tmp_path / "other")
    golden.write_bytes((tmp_path / "other" / "golden.safetensors").read_bytes())
    assert "another model" in refused(saved)
    golden.unlink()
    assert from_pretrained(saved).latent_dim == 4


def test_weights_that_are_no_numbers_load_so_that_an_evaluation_can_say_so(tmp_path):
    model = PointVAE(latent_dim=4, points=8)
    model.head.linear.bias.data[0] = float("nan")
    save_pretrained(model, tmp_path)
    assert from_pretrained(tmp_path).head.linear.bias.isnan().any()


def test_saving_again_leaves_no_golden_tensors_of_the_weights_before(saved):
    save_pretrained(from_pretrained(saved).train(), saved)
    before = (saved / "golden.safetensors").read_bytes()
    change(saved, "head.linear.weight", 1.5)
    save_pretrained(from_pretrained(saved, check=False), saved)
    assert (saved / "golden.safetensors").read_bytes() != before
    from_pretrained(saved)


def test_golden_tensors_are_small_and_readable_by_others(saved):
    assert (saved / "golden.safetensors").stat().st_size < 10_000
    tensors = load_file(saved / "golden.safetensors")
    assert {name: tuple(value.shape) for name, value in tensors.items()} == {
        "clouds": (2, 128, 3),
        "posterior_mean": (2, 4),
        "posterior_std": (2, 4),
        "decoded": (2, 8, 3),
    }


def test_a_name_misspelt_in_a_folder_that_is_here_asks_no_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    told = refused("runs/mine")
    assert "pointvae train" in told
    assert "Hub" not in told


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("s3://bucket/run", "copy the folder here"),
        ("hf://owner", "not of the form"),
        ("hf://owner/name/more", "not of the form"),
        ("owner/name", "no such run folder; and on the Hugging Face Hub: .* pip install 'pointvae\\[hub\\]'"),
        ("hf://owner/name", "pip install 'pointvae\\[hub\\]'"),
        ("pretrained:cr-shape", "did you mean 'cr-shapes'"),
        ("pretrained:", "no such model comes with pointvae"),
    ],
)
def test_names_that_lead_nowhere_say_so(name, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert re.search(words, refused(name))


def test_a_folder_here_comes_before_a_bundled_model_of_the_same_name(saved, monkeypatch, tmp_path):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert from_pretrained("cr-shapes").latent_dim == 64
    save_pretrained(from_pretrained(saved), "cr-shapes")
    assert from_pretrained("cr-shapes").latent_dim == 4
    assert from_pretrained("pretrained:cr-shapes").latent_dim == 64


def test_embed_reads_the_weights_once(saved, tmp_path, monkeypatch):
    from pointvae import hub
    from pointvae.evaluation.embedding import embed_to

    read = []
    monkeypatch.setattr(hub, "load_file", lambda path: read.append(path) or load_file(path))
    np.save(tmp_path / "cloud.npy", np.random.default_rng(0).normal(size=(50, 3)))
    embed_to(saved, tmp_path / "cloud.npy", tmp_path / "out.npz", points=20)
    assert len(read) == 1
