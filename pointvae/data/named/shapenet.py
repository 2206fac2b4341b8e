"""ShapeNetCore: meshes as SYNSET/MODEL/…, the names of the synsets, and the official split where it is at hand."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import PurePosixPath

from pointvae.data.named.layouts import rooted, source_of
from pointvae.data.named.release import Release
from pointvae.data.named.sets import NamedSet
from pointvae.data.source import Source, SourceOptions, draw_split
from pointvae.errors import InputError

SYNSETS = {
    "02691156": "airplane",
    "02747177": "trash bin",
    "02773838": "bag",
    "02801938": "basket",
    "02808440": "bathtub",
    "02818832": "bed",
    "02828884": "bench",
    "02834778": "bicycle",
    "02843684": "birdhouse",
    "02858304": "boat",
    "02871439": "bookshelf",
    "02876657": "bottle",
    "02880940": "bowl",
    "02924116": "bus",
    "02933112": "cabinet",
    "02942699": "camera",
    "02946921": "can",
    "02954340": "cap",
    "02958343": "car",
    "02992529": "cellphone",
    "03001627": "chair",
    "03046257": "clock",
    "03085013": "keyboard",
    "03207941": "dishwasher",
    "03211117": "display",
    "03261776": "earphone",
    "03325088": "faucet",
    "03337140": "file cabinet",
    "03467517": "guitar",
    "03513137": "helmet",
    "03593526": "jar",
    "03624134": "knife",
    "03636649": "lamp",
    "03642806": "laptop",
    "03691459": "loudspeaker",
    "03710193": "mailbox",
    "03759954": "microphone",
    "03761084": "microwave",
    "03790512": "motorbike",
    "03797390": "mug",
    "03928116": "piano",
    "03938244": "pillow",
    "03948459": "pistol",
    "03991062": "pot",
    "04004475": "printer",
    "04074963": "remote",
    "04090263": "rifle",
    "04099429": "rocket",
    "04225987": "skateboard",
    "04256520": "sofa",
    "04330267": "stove",
    "04379243": "table",
    "04401088": "telephone",
    "04460130": "tower",
    "04468005": "train",
    "04530566": "watercraft",
    "04554684": "washer",
}
"""WordNet 3.0 noun offsets of ShapeNetCore's categories; v2 has no bicycle and no boat of their own."""

SPLIT_LIST = "all.csv"
"""The official split (SHREC 2016): id, synsetId, subSynsetId, modelId, split."""

SPLIT_WORDS = {"train": "train", "val": "validation", "test": "test"}


def read_shapenetcore(mesh: str) -> Callable[[NamedSet, Release, SourceOptions], Source]:
    """The reader of one version: SYNSET/MODEL/MESH, where the synset is the class."""
    pattern = rf"(?P<synset>\d{{8}})/(?P<model>[^/]+)/{mesh.replace('.', '[.]')}"

    def read(named: NamedSet, release: Release, options: SourceOptions) -> Source:
        found = rooted(named, release, pattern, f"02691156/MODEL/{mesh}")
        synsets = sorted({match["synset"] for match in found.values()})
        classes = [SYNSETS.get(synset, synset) for synset in synsets]
        names = {name: f"{match['synset']}/{match['model']}.obj" for name, match in found.items()}
        listed = _listed(release)
        if listed is None:
            labels = [synsets.index(match["synset"]) for match in found.values()]
            splits = dict(zip(found, draw_split(list(names.values()), labels, classes, options), strict=True))
        else:
            splits = {name: listed[key] for name, match in found.items() if (key := _key(match)) in listed}
        shapes = [
            (names[name], splits[name], SYNSETS.get(match["synset"], match["synset"]), release[match.string])
            for name, match in found.items()
            if name in splits
        ]
        absent = [names[name] for name in found if name not in splits]
        source = source_of(named, classes, shapes, absent, f"is not in the official split, {SPLIT_LIST}")
        if listed is None:
            source.options["test_fraction"] = options.test_fraction
        return source

    return read


def _key(match: object) -> tuple[str, str]:
    return match["synset"], match["model"]  # type: ignore[index]


def _listed(release: Release) -> dict[tuple[str, str], str] | None:
    """The split of each synset and model by the official list, if the release has it."""
    lists = [name for name in sorted(release) if PurePosixPath(name).name == SPLIT_LIST]
    if not lists:
        return None
    rows = list(csv.DictReader(release[lists[0]].text().splitlines()))
    if not rows or not {"synsetId", "modelId", "split"} <= rows[0].keys():
        raise InputError(f"{lists[0]}: has no columns synsetId, modelId and split; fetch the official list anew")
    return {
        (row["synsetId"].strip().zfill(8), row["modelId"].strip()): SPLIT_WORDS[word]
        for row in rows
        if (word := (row["split"] or "").strip()) in SPLIT_WORDS
    }
