"""The process in which atheris makes the inputs of `guided`: SUFFIX RUNS SECONDS SEED STATE PREFIX; it ends itself.

Where the plain part reads an input, trimesh must read the same numbers.
"""

import mmap
import sys
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["pointvae.data"]):
    from pointvae.data import meshes, plain_ply, polygons, words  # noqa: F401

from pointvae.data.readers import _load_scene
from pointvae.data.thirdparty import scene_geometry
from tests.fuzz.guided import STATE
from tests.fuzz.targets import TARGETS


def check(mesh: meshes.Mesh, data: bytes, suffix: str) -> None:
    """A mesh that the plain part read is one, and the one that trimesh reads."""
    vertices, faces = mesh
    assert 0 <= faces.min() <= faces.max() < len(vertices), "a face names a vertex that is not there"
    try:
        slow = scene_geometry(_load_scene(data, suffix))
    except Exception as error:
        raise AssertionError(f"trimesh refuses it: {error!r}") from None
    assert slow.faces is not None, "trimesh finds no faces"
    for ours, theirs in ((vertices, slow.vertices), (faces, slow.faces)):
        assert ours.shape == theirs.shape and ours.tobytes() == theirs.tobytes(), "trimesh reads other numbers"


def main() -> None:
    warnings.simplefilter("ignore")  # trimesh's, of words that are no numbers
    suffix, runs, seconds, seed, state, prefix = sys.argv[1:7]
    corpus = Path("corpus")
    corpus.mkdir()
    for number, data in enumerate(TARGETS[suffix].seeds()):
        (corpus / str(number)).write_bytes(data)
    with open(state, "r+b") as file:
        counts = mmap.mmap(file.fileno(), STATE.size)

    def one(data: bytes) -> None:
        mesh = meshes.read_plain(data, f".{suffix}")
        if mesh is not None:
            check(mesh, data, f".{suffix}")
        read, left = STATE.unpack(counts[:])
        counts[:] = STATE.pack(read + (mesh is not None), left + (mesh is None))

    limits = [f"-runs={runs}", f"-max_total_time={seconds}", "-max_len=4096", "-rss_limit_mb=2048", "-timeout=10"]
    atheris.Setup([sys.argv[0], str(corpus), *limits, f"-seed={seed}", f"-artifact_prefix={prefix}"], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
