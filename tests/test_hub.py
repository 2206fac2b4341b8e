"""What is saved comes back, and what is damaged is named."""

import json

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
