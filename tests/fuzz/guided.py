"""Coverage-guided fuzzing of readers in plain Python, by atheris: ``python -m tests.fuzz.guided SUFFIX RUNS SEED``.

Its inputs grow towards code that none has reached. It ends with 77 at the first input that breaks a property, and
leaves it in the working folder; it stops after RUNS inputs or ten minutes.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["pointvae.data"]):
    from pointvae.data import clouds, meshes, plain_ply, polygons, words  # noqa: F401

from tests.fuzz.targets import TARGETS


def main() -> None:
    suffix, runs, seed = sys.argv[1:4]
    target = TARGETS[suffix]
    folder = Path(tempfile.mkdtemp(prefix="fuzz-guided-"))
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, data in enumerate(target.seeds()):
        (corpus / str(number)).write_bytes(data)
    path = folder / target.file

    def one(data: bytes) -> None:
        if suffix in ("off", "obj", "ply", "stl"):  # the plain part; trimesh reads the others
            mesh = meshes.read_plain(data, f".{suffix}")
            if mesh is not None and not 0 <= mesh[1].min() <= mesh[1].max() < len(mesh[0]):
                raise AssertionError("a face names a vertex that is not there")
            return
        path.write_bytes(data)
        target.read(path)

    options = [f"-runs={runs}", f"-seed={seed}", "-max_len=4096", "-max_total_time=600", "-rss_limit_mb=2048"]
    atheris.Setup([sys.argv[0], str(corpus), *options, "-timeout=10", "-print_final_stats=1"], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
