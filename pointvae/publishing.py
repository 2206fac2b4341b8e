"""A model to the Hugging Face Hub, with its card."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path

from pointvae.errors import InputError
from pointvae.golden import GOLDEN
from pointvae.hub import CARD, CONFIG, HUB, HUB_ID, WEIGHTS, from_pretrained, run_folder, save_pretrained
from pointvae.model_card import model_card
from pointvae.models.vae import PointVAE
from pointvae.writing import write_text

FILES = (WEIGHTS, CONFIG, GOLDEN, CARD, "config.yaml", "metrics.csv")
"""What goes to the Hub of a run folder: no checkpoint, no event file, nothing that loading would execute."""

LOADED = re.compile(r'from_pretrained\("[^"]*"\)')


def push_to_hub(
    run: str | Path | PointVAE,
    repo_id: str,
    *,
    private: bool = False,
    token: str | None = None,
    revision: str | None = None,
    message: str | None = None,
) -> str:
    """Send a model with its card to the Hugging Face Hub, where `from_pretrained` takes it from by ``repo_id``.

    Of a run folder, the weights, ``config.json``, the golden tensors, the card as it stands there (with the name to
    load it by made right), ``config.yaml`` and ``metrics.csv`` are sent; of a model in memory, what
    `save_pretrained` writes and a card that says what is known.

    Args:
        run: a model, a run folder, or a name that `run_folder` takes.
        repo_id: ``OWNER/NAME``; made if it is not there.
        private: make it private, where it is made.
        token: the Hub's; that of `hf auth login` or ``HF_TOKEN`` when absent.
        revision: the branch; the main one when absent.
        message: of the commit.

    Returns:
        The address of the commit.

    Raises:
        InputError: huggingface_hub is not installed, the run cannot be read, or the Hub refuses or is not reached.

    Example:
        >>> push_to_hub("runs/mine", "someone/chairs", private=True)  # doctest: +SKIP
        'https://huggingface.co/someone/chairs/commit/…'
    """
    match = HUB_ID.fullmatch(repo_id)
    if match is None or match[2] or repo_id.startswith(HUB):
        raise InputError(f"repo_id {repo_id!r}: must be OWNER/NAME; a branch goes into revision")
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise InputError(f"{repo_id}: huggingface_hub is not installed; pip install 'pointvae[hub]'") from error
    with tempfile.TemporaryDirectory(prefix="pointvae-") as temporary:
        folder = Path(temporary)
        if isinstance(run, PointVAE):
            save_pretrained(run, folder)
        else:
            _gather(run, folder)
        _write_card(folder, repo_id)
        api = HfApi(token=token)
        try:
            api.create_repo(repo_id, repo_type="model", private=private, exist_ok=True)
            if revision is not None:
                api.create_branch(repo_id, branch=revision, exist_ok=True)
            done = api.upload_folder(
                repo_id=repo_id,
                folder_path=folder,
                repo_type="model",
                revision=revision,
                commit_message=message or "Upload a pointvae model",
            )
        except Exception as error:  # refusals and lost connections: their classes depend on the HTTP library beneath
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"{repo_id}: the Hub did not take it ({reason}); see that you may write there and log in with "
                "`hf auth login`, or pass token"
            ) from error
    return str(done.commit_url)


def _gather(run: str | Path, folder: Path) -> None:
    """The files of a run that go to the Hub, once they have been read as whoever takes them from there will."""
    source = run_folder(run)
    from_pretrained(source)
    for name in FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)


def _write_card(folder: Path, repo_id: str) -> None:
    card = folder / CARD
    if card.is_file():
        text = LOADED.sub(f'from_pretrained("{repo_id}")', card.read_text(encoding="utf-8"))
    else:
        text = model_card(repo_id.split("/")[1], json.loads((folder / CONFIG).read_text(encoding="utf-8")), repo_id)
    write_text(card, text)
