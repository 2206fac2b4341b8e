"""The model card: what a trained model is, what it was trained on, how well it does, and its limits."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import yaml

from pointvae.data.card import HUB_LICENCES
from pointvae.data.named.registry import SETS
from pointvae.data.named.sets import NamedSet

PRIOR_DRAWS = "On clouds that the decoder makes of draws from the prior, other ones than those trained on. "
FEATURES = {"posterior_mean": "posterior mean", "encoder": "encoder feature"}
ROTATIONS = {"none": "aligned", "z": "rotated about the up axis"}


def model_card(name: str, facts: Mapping[str, Any], load: str | None = None) -> str:
    """The text of a model card, its YAML head as the Hugging Face Hub reads it.

    Args:
        name: of the model.
        facts: the contents of its ``config.json``; what is absent there is left out, or said to be unknown.
        load: what `from_pretrained` is to be called with; the name when absent.
    """
    head = yaml.safe_dump(_head(facts), sort_keys=False, allow_unicode=True).strip()
    parts = [f"---\n{head}\n---\n\n# {name}\n", _what(facts, load or name), _data(facts)]
    if "objective" in facts:
        told = _refining(facts) if "refined_from" in facts else _training(facts)
        parts.append(f"## Training\n{_prose(told)} `config.yaml` repeats it, where it is beside.\n")
    if facts.get("metrics"):
        parts.append(_held_out(facts))
    if facts.get("measured"):
        parts.append(_measured(facts["measured"]))
    parts.append(LIMITS)
    return "\n".join(parts)


def licence_of(facts: Mapping[str, Any]) -> str:
    """The licence of the data that a model was trained on, ``unknown`` where nothing tells it."""
    named = named_set(facts)
    told = str(facts.get("dataset", {}).get("licence", "unknown"))
    if told == "other":  # what the head of a dataset card says of a licence that the Hub does not list
        told = str(facts.get("preparation", {}).get("licence", "unknown"))
    return named.licence if told == "unknown" and named else told


def named_set(facts: Mapping[str, Any]) -> NamedSet | None:
    """The named set that a model was trained on, where the dataset's name or source is one's."""
    sources = (facts.get("dataset", {}).get("name"), facts.get("preparation", {}).get("source"))
    words = {PurePath(str(source)).name.split(".")[0] for source in sources if source}
    for name in sorted(SETS, key=len, reverse=True):
        if any(word == name or word.startswith(f"{name}_") for word in words):
            return SETS[name]
    return None


def _head(facts: Mapping[str, Any]) -> dict[str, Any]:
    licence, named = licence_of(facts), named_set(facts)
    head: dict[str, Any] = {"license": licence} if licence in HUB_LICENCES else {"license": "other"}
    if "other" in head.values():
        head["license_name"] = re.sub(r"[^a-z0-9.]+", "-", licence.lower()).strip("-")
    head["library_name"] = "pointvae"
    head["tags"] = ["point-cloud", "3d", "variational-autoencoder", "representation-learning", "feature-extraction"]
    dataset = named.name if named else facts.get("dataset", {}).get("name")
    if dataset:
        head["datasets"] = [dataset]
    if facts.get("measured"):
        head["metrics"] = ["accuracy"]
    return head


def _what(facts: Mapping[str, Any], load: str) -> str:
    model = facts["model"]
    told = f", objective `{str(facts['objective']['class_path']).split('.')[-1]}`" if "objective" in facts else ""
    prose = _prose(f"""A point-cloud variational auto-encoder, `{facts.get("model_class", "PointVAE")}`: encoder
        `{model["encoder"]}`, decoder `{model["decoder"]}`, likelihood `{model["likelihood"]}`,
        {model["latent_dim"]} latent dimensions{told}.""")
    return f"""{prose}

```python
import pointvae

model = pointvae.from_pretrained("{load}")
latents = model.posterior(clouds).mean  # clouds: float tensor [batch, points, 3], z up, in the unit sphere
```
"""


def _data(facts: Mapping[str, Any]) -> str:
    dataset, named, licence = facts.get("dataset", {}), named_set(facts), licence_of(facts)
    if not dataset:
        return "## Data\nWhat it was trained on was not recorded.\n"
    held = f", of which {dataset['validation_shapes']} were held out to validate" if _known(dataset) else ""
    count = f": {dataset['train_shapes']} shapes{held}" if _known(dataset) else ""
    text = f"""Trained on the `train` split of **{dataset["name"]}**{count}. No label was used to train.
        Licence of the data: {licence}. """
    if named is not None and named.research_only and licence == named.licence:
        text += f"""So this model is for **research use only**. Cite {named.title.split(",")[0]}: {named.citation};
            <{named.homepage}>."""
    elif licence not in HUB_LICENCES - {"unknown"}:
        text += "Weights trained on data for research use are for research use."
    return f"## Data\n{_prose(text)}\n"


def _prose(text: str) -> str:
    """A paragraph in lines of one length."""
    return textwrap.fill(" ".join(text.split()), 110, break_long_words=False, break_on_hyphens=False)


def _known(dataset: Mapping[str, Any]) -> bool:
    return dataset.get("train_shapes") is not None and dataset.get("validation_shapes") is not None


def _training(facts: Mapping[str, Any]) -> str:
    return (
        f"{facts['epochs']} epochs, batch {facts['batch_size']}, {facts['points']} points a shape drawn anew at each "
        f"step, seed {facts['seed']}. {_rate(facts)}"
    )


def _refining(facts: Mapping[str, Any]) -> str:
    source = facts["refined_from"]
    return (
        f"Refined without data from **{source['name']}** (sha256 of its weights `{source['weights_sha256']}`): "
        "its decoder as it was, its encoder trained on what the decoder makes of draws from the prior. "
        f"{facts['epochs']} epochs of {facts['shapes']} clouds of {facts['points']} points, batch "
        f"{facts['batch_size']}, seed {facts['refining_seed']}. {_rate(facts)}"
    )


def _rate(facts: Mapping[str, Any]) -> str:
    averaged = f", weights averaged with a decay of {facts['ema']} a step" if facts.get("ema") else ""
    return f"Adam at {facts['learning_rate']} ({facts['schedule']}){averaged}, pointvae {facts['version']}."


def _held_out(facts: Mapping[str, Any]) -> str:
    rows = "\n".join(f"| {name} | {value:.5g} |" for name, value in sorted(facts["metrics"].items()))
    drawn = PRIOR_DRAWS if "refined_from" in facts else ""
    return f"""## Held-out figures after the last epoch
{drawn}Losses and KLs in nats a shape; distances in squared unit-sphere lengths.

| figure | value |
|---|---|
{rows}
"""


def _measured(measured: Mapping[str, Any]) -> str:
    rows = "\n".join(
        f"| {FEATURES[row['feature']]}, {ROTATIONS[row['rotation']]} | {100 * row['accuracy']:.1f} | "
        f"{100 * row['untrained_accuracy']:.1f} |"
        for row in measured["probes"]
    )
    weights = "with the weights as they are stored here"
    if measured["weights"] == "float32":
        weights = f"""with the weights as they were trained; in float16, as stored, they move no code of them by more
            than {measured["float16_shift"]:.2g} of its deviation"""
    prose = _prose(f"""Of **{measured["dataset"]}**, {measured["n_test"]} shapes that nothing was chosen by,
        {weights}. Linear SVM on the frozen feature, protocol `{measured["protocol"]}` (C by
        cross-validation on {measured["n_train"]} training shapes, test used once), {measured["points"]} points a
        shape; accuracy in %, beside the same network untrained. One training seed: another would give somewhat other
        figures.""")
    return f"""## Measured on test shapes
{prose}

| feature | this model | untrained |
|---|---|---|
{rows}

Reconstructions: `cd_l2_mean` {measured["cd_l2_mean"]:.4g} in squared unit-sphere lengths, {measured["points_out"]}
points out.
"""


LIMITS = """## Limits
The latents describe geometry as sampled points show it: no colour, no texture, no size beyond the normalisation;
headings matter unless the objective was told otherwise. Shapes unlike those it was trained on get vectors that nobody
has tested. Accuracy figures come from `pointvae probe` and `pointvae evaluate`, each with its protocol.
"""
