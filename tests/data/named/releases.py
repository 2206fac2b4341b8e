"""Tiny archives in the exact layout of each named set, written by the tests that need them."""

import functools
import io
import json
import zipfile
from pathlib import Path

import h5py
import numpy as np

from pointvae.data.named.layouts import SCANNED

RNG = np.random.default_rng(0)


def box(suffix: str, length: float) -> bytes:
    """A box as the bytes of a mesh file."""
    import trimesh

    data = trimesh.creation.box(extents=(1.0, 2.0, length)).export(file_type=suffix)
    return data.encode() if isinstance(data, str) else data


def cloud(points: int, columns: int, comma: bool) -> bytes:
    """Text with one point a line."""
    out = io.StringIO()
    np.savetxt(out, RNG.normal(size=(points, columns)), fmt="%.6f", delimiter="," if comma else " ")
    return out.getvalue().encode()


def arrays(shapes: int, points: int = 32, classes: int = 2) -> bytes:
    """An .h5 in PointNet's layout."""
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file["data"] = RNG.normal(size=(shapes, points, 3)).astype(np.float32)
        file["label"] = (np.arange(shapes) % classes).astype(np.uint8)[:, None]
        file["normal"] = np.zeros((shapes, points, 3), np.float32)
    return out.getvalue()


def modelnet(name: str = "ModelNet40", classes: tuple[str, ...] = ("bed", "chair")) -> dict[str, bytes]:
    """CLASS/train|test/NAME.off in a folder, with what macOS leaves in the real archive."""
    files = {f"{name}/README.txt": b"about", f"__MACOSX/{name}/._README.txt": b"x", f"{name}/.DS_Store": b"x"}
    for category in classes:
        for index in range(5):
            split = "train" if index < 3 else "test"
            files[f"{name}/{category}/{split}/{category}_{index + 1:04d}.off"] = box("off", 3.0 + index)
    return files


def hdf5() -> dict[str, bytes]:
    top = "modelnet40_ply_hdf5_2048"
    return {
        f"{top}/ply_data_train0.h5": arrays(5),
        f"{top}/ply_data_train1.h5": arrays(3),
        f"{top}/ply_data_test0.h5": arrays(4),
        f"{top}/train_files.txt": b"data/modelnet40_ply_hdf5_2048/ply_data_train0.h5\n",
        f"{top}/test_files.txt": b"data/modelnet40_ply_hdf5_2048/ply_data_test0.h5\n",
        f"{top}/shape_names.txt": b"airplane\nbathtub\n",
        f"{top}/ply_data_train_0_id2file.json": b"[]",
    }


def resampled() -> dict[str, bytes]:
    top = "modelnet40_normal_resampled"
    train = ["night_stand_0001", "bed_0001", "bed_0002"]
    test = ["night_stand_0002", "bed_0003", "bed_0004"]
    files = {
        f"{top}/modelnet40_shape_names.txt": b"bed\nnight_stand\n",
        f"{top}/modelnet10_shape_names.txt": b"bed\nnight_stand\n",
        f"{top}/modelnet40_train.txt": "\n".join(train).encode(),
        f"{top}/modelnet40_test.txt": "\n".join(test).encode(),
        f"{top}/filelist.txt": b"bed/bed_0001.txt\n",
    }
    for name in (*train, *test[:-1]):  # bed_0004 is listed, and absent
        files[f"{top}/{name.rpartition('_')[0]}/{name}.txt"] = cloud(40, 6, comma=True)
    return files


def parts() -> dict[str, bytes]:
    top = "shapenetcore_partanno_segmentation_benchmark_v0_normal"
    files = {f"{top}/synsetoffset2category.txt": b"Airplane\t02691156\nBag\t02773838\n"}
    for word, count in (("train", 3), ("val", 1), ("test", 2)):
        entries = []
        for synset in ("02691156", "02773838"):
            for index in range(count):
                name = f"{word}{synset[-2:]}{index:04d}"
                entries.append(f"shape_data/{synset}/{name}")
                files[f"{top}/{synset}/{name}.txt"] = cloud(40, 7, comma=False)
        files[f"{top}/train_test_split/shuffled_{word}_file_list.json"] = json.dumps(entries[::-1]).encode()
    return files


def shapenet(version: str) -> dict[str, bytes]:
    mesh = {"1": "model.obj", "2": "models/model_normalized.obj"}[version]
    top = f"ShapeNetCore.v{version}"
    files = {f"{top}/taxonomy.json": b"[]"}
    for synset in ("02691156", "04530566"):
        for index in range(5):
            folder = f"{top}/{synset}/{synset[-2:]}{index:030x}"
            files[f"{folder}/{mesh}"] = box("obj", 3.0 + index)
            files[f"{folder}/images/texture0.jpg"] = b"0" * 100
    return files


SPLIT_CSV = "id,synsetId,subSynsetId,modelId,split\n" + "".join(
    f"{row:06d},{synset},0,{synset[-2:]}{index:030x},{split}\n"
    for row, (synset, index, split) in enumerate(
        (synset, index, split)
        for synset in ("02691156", "04530566")
        for index, split in enumerate(("train", "train", "val", "test"))
    )
)
"""The official list, for the models above; the fifth of each category is not in it."""


def scanobjectnn() -> dict[str, bytes]:
    files = {}
    for folder, variants in (
        ("main_split", ("", "_augmented25_norot", "_augmented25rot", "_augmentedrot", "_augmentedrot_scale75")),
        ("main_split_nobg", ("", "_augmentedrot_scale75")),
        ("split1", ("", "_augmentedrot_scale75")),
    ):
        for number, variant in enumerate(variants):
            for word, shapes in (("training", 5 + number), ("test", 3)):
                name = f"h5_files/{folder}/{word}_objectdataset{variant}.h5"
                files[name] = arrays(shapes + (folder == "main_split_nobg"), classes=len(SCANNED))
    return files


_BUILDERS = {
    "modelnet10": lambda: modelnet("ModelNet10"),
    "modelnet40": modelnet,
    "modelnet40_hdf5_2048": hdf5,
    "modelnet40_normal_resampled": resampled,
    "shapenetpart": parts,
    "shapenetcore_v1": lambda: shapenet("1"),
    "shapenetcore_v2": lambda: shapenet("2"),
    **{
        f"scanobjectnn_{variant}": scanobjectnn
        for variant in ("obj_only", "obj_bg", "pb_t25", "pb_t25_r", "pb_t50_r", "pb_t50_rs")
    },
}

RELEASES = {
    name: functools.partial(lambda build: dict(build()), functools.cache(build)) for name, build in _BUILDERS.items()
}
"""What gives the files of each set's release, the same ones each time."""


def pack(files: dict[str, bytes], path: Path) -> Path:
    """A .zip with these files; the same files give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return path


def unpack(files: dict[str, bytes], root: Path) -> Path:
    """A folder with these files."""
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root
