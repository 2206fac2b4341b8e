"""Models go to a Hub and come back; what is broken on the way is told in one line. The Hub is a stand-in here."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import pointvae
from pointvae import InputError, PointVAE, from_pretrained, push_to_hub, save_pretrained
from pointvae.hub import elsewhere, run_folder, run_name
from tests.hub_server import COMMIT, serving

pytest.importorskip("huggingface_hub")


@pytest.fixture(scope="module")
def server():
    with serving() as hub:
        yield hub


@pytest.fixture
def hub(server, tmp_path, monkeypatch):
    """A Hub with one model, an empty cache, and no folder or token of the user's."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    monkeypatch.chdir(tmp_path)
    server.repos.clear()
    server.asked.clear()
    server.fault = ""
    server.repos["owner/chairs"] = {p.name: p.read_bytes() for p in saved(tmp_path / "run").iterdir()}
    return server


def small() -> PointVAE:
    return PointVAE(latent_dim=4, points=16, encoder_args={"widths": [8, 8]}, decoder_args={"widths": [8]}).eval()


def saved(folder: Path) -> Path:
    save_pretrained(small(), folder, {"seed": 0, "points": 16})
    return folder


def refused(name: str, **settings) -> str:
    with pytest.raises(InputError) as caught:
        from_pretrained(name, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "name", ["owner/chairs", "hf://owner/chairs", "hf://owner/chairs@main", f"owner/chairs@{COMMIT}"]
)
def test_a_model_of_the_hub_is_the_model_that_was_put_there(hub, name, tmp_path):
    x = torch.rand(2, 16, 3)
    there, here = from_pretrained(name), from_pretrained(tmp_path / "run")
    assert torch.equal(there.posterior(x).mean, here.posterior(x).mean)


def test_only_json_safetensors_and_the_card_are_fetched(hub):
    hub.repos["owner/chairs"] |= {"pytorch_model.bin": b"pickle", "run.py": b"1/0", "README.md": b"a card"}
    folder = run_folder("owner/chairs")
    assert {p.name for p in folder.iterdir()} == {
        "config.json",
        "model.safetensors",
        "golden.safetensors",
        "README.md",
    }
    assert not any(path.endswith((".bin", ".py")) for path in hub.asked)


def test_what_was_fetched_is_found_without_asking(hub):
    from_pretrained("owner/chairs")
    hub.asked.clear()
    assert from_pretrained("owner/chairs", offline=True).latent_dim == 4
    assert hub.asked == []
    assert "is not on this machine" in refused("owner/other", offline=True)
    hub.fault = "down"
    assert from_pretrained("owner/chairs").latent_dim == 4


def test_a_run_of_the_hub_is_named_as_it_was_asked_for_and_workers_take_the_same_commit(hub):
    folder = run_folder("owner/chairs")
    assert run_name("owner/chairs") == "owner/chairs"
    assert elsewhere("owner/chairs", folder) == f"hf://owner/chairs@{COMMIT}"
    assert elsewhere("hf://owner/chairs@main", folder) == f"hf://owner/chairs@{COMMIT}"


@pytest.mark.parametrize(
    ("name", "fault", "words"),
    [
        ("hf://owner/none", "", "Repository Not Found"),
        ("owner/none", "", "no such run folder; and on the Hugging Face Hub"),
        ("hf://owner/chairs@v9", "", "Revision Not Found"),
        ("hf://owner/chairs", "gated", "hf auth login"),
        ("hf://owner/chairs", "broken", "cannot be reached"),
        ("hf://owner/chairs", "down", "is not on this machine"),
    ],
)
def test_what_the_hub_does_not_give_is_told_in_one_line(hub, name, fault, words):
    hub.fault = fault
    assert words in refused(name)


@pytest.mark.slow
def test_a_file_that_ends_early_is_not_taken_for_whole(hub):
    hub.fault = "truncated"
    assert "cannot be reached" in refused("hf://owner/chairs")
    hub.fault = ""
    assert from_pretrained("hf://owner/chairs").latent_dim == 4


def test_a_repository_without_a_model_of_ours_is_named(hub):
    hub.repos["owner/bert"] = {"pytorch_model.bin": b"pickle", "config.json": b"{}"}
    assert "holds no pointvae model" in refused("owner/bert")


def test_a_damaged_configuration_or_golden_tensors_of_the_hub_are_named(hub):
    hub.repos["owner/chairs"]["config.json"] = b"[]"
    assert "config.json" in refused("owner/chairs")
    hub.repos["owner/odd"] = dict(hub.repos["owner/chairs"], **{"config.json": b"{", "golden.safetensors": b"x"})
    assert "cannot be read as JSON" in refused("owner/odd")


def test_two_revisions_at_once_are_refused(hub):
    assert "names a revision already" in refused("owner/chairs@main", revision="v1")
    assert "Revision Not Found" in refused("owner/chairs", revision="v1")


def test_a_run_goes_to_the_hub_and_comes_back(hub, tmp_path):
    run = saved(tmp_path / "mine")
    (run / "README.md").write_text('---\nlicense: mit\n---\nBy hand. pointvae.from_pretrained("mine")\n')
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "last.ckpt").write_bytes(b"pickle")
    address = push_to_hub(run, "owner/new", private=True, token="hf_mine")
    assert address == f"{hub.url}/owner/new/commit/{COMMIT}"
    assert hub.private["owner/new"]
    assert set(hub.tokens) == {"Bearer hf_mine"}
    assert set(hub.repos["owner/new"]) == {"config.json", "model.safetensors", "golden.safetensors", "README.md"}
    assert b'By hand. pointvae.from_pretrained("owner/new")' in hub.repos["owner/new"]["README.md"]
    x = torch.rand(2, 16, 3)
    assert torch.equal(from_pretrained("owner/new").posterior(x).mean, from_pretrained(run).posterior(x).mean)
    push_to_hub(run, "owner/new")  # again: the repository is there


def test_a_model_in_memory_goes_with_a_card_that_says_what_is_known(hub):
    push_to_hub(small(), "owner/bare")
    assert not hub.private["owner/bare"]
    card = hub.repos["owner/bare"]["README.md"].decode()
    assert "license: unknown" in card
    assert 'from_pretrained("owner/bare")' in card
    assert "not recorded" in card
    assert from_pretrained("owner/bare").latent_dim == 4


def test_a_bundled_model_goes_to_the_hub_with_its_licence(hub):
    push_to_hub("pretrained:cr-modelnet40", "owner/mine")
    card = hub.repos["owner/mine"]["README.md"].decode()
    assert "research use only" in card
    assert 'from_pretrained("owner/mine")' in card


@pytest.mark.parametrize("fault", ["gated", "down"])
def test_a_hub_that_refuses_is_told_in_one_line(hub, fault):
    hub.fault = fault
    with pytest.raises(InputError, match=r"owner/new: the Hub did not take it .*hf auth login") as caught:
        push_to_hub(small(), "owner/new")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["name", "hf://owner/name", "owner/name@v1", "a/b/c"])
def test_a_repository_is_named_by_owner_and_name(name):
    with pytest.raises(InputError, match="must be OWNER/NAME"):
        push_to_hub(small(), name)


def test_a_damaged_run_does_not_leave_this_machine(hub, tmp_path):
    run = saved(tmp_path / "mine")
    (run / "model.safetensors").write_bytes(b"x")
    with pytest.raises(InputError, match=r"model\.safetensors"):
        push_to_hub(run, "owner/new")
    assert "owner/new" not in hub.repos


@pytest.mark.slow
def test_the_command_line_takes_models_of_the_hub(server, tmp_path):
    server.fault = ""
    server.repos["owner/chairs"] = {p.name: p.read_bytes() for p in saved(tmp_path / "run").iterdir()}
    np.save(tmp_path / "cloud.npy", np.random.default_rng(0).normal(size=(100, 3)))
    command = [sys.executable, "-m", "pointvae.cli", "embed", "owner/chairs", "cloud.npy", "out.npz", "--json"]
    environment = os.environ | {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "home")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["shapes"] == 1
    assert (
        pointvae.from_pretrained(tmp_path / "run").latent_dim
        == np.load(tmp_path / "out.npz")["posterior_mean"].shape[1]
    )
