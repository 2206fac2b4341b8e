"""Small sound files of every format, from which the mutations start, and some that are hostile by design."""

import io
import json
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

SECRET = 77.25
"""The numbers of a file beside the others, which no reader may open: a cloud that holds them was read from it."""

OFF = b"OFF\n4 4 0\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 1 2\n3 0 1 3\n3 0 2 3\n3 1 2 3\n"
QUADS = (
    b"OFF\n# a comment\n8 6 12\n"
    + b"".join(b"%d %d %d\n" % corner for corner in np.ndindex(2, 2, 2))
    + b"4 0 1 3 2\n4 4 6 7 5\n4 0 4 5 1\n4 2 3 7 6\n4 0 2 6 4\n4 1 5 7 3\n"
)
OBJ = b"# box\nmtllib secret.mtl\no part\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nvn 0 0 1\nvt 0 0\nusemtl m\n"
OBJ += b"f 1/1/1 2/1/1 3/1/1\nf 1 2 4\nf -4 -3 -1\n"
PLAIN_OBJ = b"v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\nf 1 2 4\nf -4 -3 -1\n"
STL = (
    b"solid a\n"
    + b"facet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 0 1 0\nendloop\nendfacet\n" * 2
)
STL += b"endsolid a\n"
PCD = b"# .PCD\nVERSION 0.7\nFIELDS x y z rgb\nSIZE 4 4 4 4\nTYPE F F F F\nCOUNT 1 1 1 1\nWIDTH 3\nHEIGHT 1\n"
PCD += b"VIEWPOINT 0 0 0 1 0 0 0\nPOINTS 3\nDATA ascii\n0 0 0 1\n1 0 0 1\n0 1 2 1\n"
XYZ = b"// x y z\n3\n0 0 0 1\n1.5,0,0 2\n0;1;0;3\n-1 2e3 4 5\n"

rng = np.random.default_rng(0)
CLOUD = rng.normal(size=(12, 3)).astype(np.float32)


def mesh_files(kind: str) -> list[bytes]:
    """A box, as trimesh writes it."""
    import trimesh

    mesh = trimesh.creation.box()
    found = []
    for options in ({}, {"encoding": "ascii"}) if kind == "ply" else ({},):
        data = mesh.export(file_type=kind, **options)
        found.append(data.encode() if isinstance(data, str) else data)
    if kind == "ply":
        cloud = trimesh.PointCloud(CLOUD).export(file_type="ply")
        text = (
            b"ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\nelement "
        )
        text += b"face 1\nproperty list uchar int vertex_index\nend_header\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
        found += [cloud, text]
    if kind == "glb":
        scene = trimesh.Scene([mesh, mesh.copy()])
        found.append(scene.export(file_type="glb"))
    return found


def pcd_files() -> list[bytes]:
    binary = PCD.replace(b"ascii", b"binary").split(b"0 0 0 1\n")[0] + CLOUD[:, [0, 1, 2, 0]][:3].tobytes()
    organised = PCD.replace(b"WIDTH 3\nHEIGHT 1", b"WIDTH 1\nHEIGHT 3")
    return [PCD, binary, organised]


def npy_files() -> list[bytes]:
    found = []
    for array in (CLOUD, CLOUD.astype(">f8"), np.arange(12).reshape(4, 3), CLOUD.astype(np.float16).copy("F")):
        out = io.BytesIO()
        np.save(out, array)
        found.append(out.getvalue())
    return found


def npz_files() -> list[bytes]:
    arrays = {f"{split}_points": rng.normal(size=(3, 8, 3)).astype(np.float32) for split in ("train", "test")}
    arrays |= {f"{split}_labels": np.array([0, 1, 0]) for split in ("train", "test")}
    found = []
    for save, extra in ((np.savez, {}), (np.savez_compressed, {"classes": np.array(["bed", "chair"])})):
        out = io.BytesIO()
        save(out, **arrays, **extra)
        found.append(out.getvalue())
    out = io.BytesIO()
    np.savez(out, points=rng.normal(size=(3, 8, 3)), names=np.array(["a", "b", "c"]), labels=np.zeros((3, 1), int))
    return [*found, out.getvalue()]


def of_scans(kind: str) -> list[bytes]:
    from tests.data.test_scans import write_e57, write_las

    points = rng.normal(size=(40, 3)) + 100
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"scan{kind}"
        if kind == ".e57":
            states = (None, np.arange(40) % 2)
            parts = [[(points, (1.0, 0, 0, 0), (0, 0, 1.0), state)] for state in states]
            return [write_e57(path, part).read_bytes() for part in parts]
        found = [write_las(path, points, point_format=form).read_bytes() for form in (6, 1)]
    return found


def h5_files() -> list[bytes]:
    """PointNet's arrays; and links, data of other files, objects, types and sizes that are traps."""
    import h5py

    def made(fill: Callable[["h5py.File"], object]) -> bytes:
        out = io.BytesIO()
        with h5py.File(out, "w") as file:
            fill(file)
        return out.getvalue()

    points = rng.normal(size=(3, 8, 3)).astype(np.float32)
    layout = h5py.VirtualLayout((3, 8, 3), np.float32)
    layout[:] = h5py.VirtualSource("secret.h5", "data", (3, 8, 3))
    text, reference, compound = h5py.string_dtype(), h5py.ref_dtype, np.dtype([("x", "f4"), ("y", "f4")])
    plain = {"data": points, "label": np.array([[0], [1], [0]], np.uint8)}

    def sound(file: "h5py.File") -> None:
        file.create_dataset("data", data=points, compression="gzip", shuffle=True, fletcher32=True)
        file["label"] = plain["label"]

    hostile: list[Callable[[h5py.File], object]] = [
        lambda file: file.__setitem__("data", h5py.ExternalLink("secret.h5", "data")),
        lambda file: file.__setitem__("data", h5py.SoftLink("/data")),
        lambda file: file.create_virtual_dataset("data", layout),
        lambda file: file.create_dataset("data", (3, 8, 3), "f4", external=[("secret.raw", 0, 288)]),
        lambda file: file.create_dataset("data", (2**20, 2**20, 3), "f4", chunks=(1, 1024, 3)),
        lambda file: file.create_dataset("data", (2, 2, 3), reference),
        lambda file: file.create_dataset("data", (2, 2, 3), text),
        lambda file: file.create_dataset("data", (2, 2, 3), compound),
        lambda file: file.create_dataset("data", (2, 2, 3), h5py.vlen_dtype(np.float32)),
        lambda file: file.create_group("data"),
        lambda file: file.create_dataset("data", data=h5py.Empty("f4")),
        lambda file: file.create_dataset("data", data=3.0),
    ]
    return [
        *[made(sound)] * 8,
        made(lambda file: [file.__setitem__(*item) for item in plain.items()]),
        *map(made, hostile),
    ]


def tables_of_rows(kind: str) -> list[bytes]:
    """Parquet or Arrow: clouds as lists, fixed lists, structs and files, with labels and names; and odd types."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    clouds = rng.normal(size=(4, 6, 3)).astype(np.float32).tolist()
    fixed = pa.list_(pa.list_(pa.float32(), 3), 6)
    struct = pa.list_(pa.struct([(axis, pa.float32()) for axis in "xyz"]))
    files = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    common = {
        "label": pa.array([0, 1, 0, 1]),
        "name": pa.array(list("abcd")),
        "split": pa.array(["train"] * 3 + ["test"]),
    }
    columns = [
        pa.array(clouds),
        pa.array(clouds, fixed),
        pa.array([[dict(zip("xyz", point, strict=True)) for point in cloud] for cloud in clouds], struct),
        pa.array([{"bytes": OFF, "path": "a.off"}, {"bytes": XYZ, "path": "../b.xyz"}] * 2, files),
        pa.array([clouds[0], None, [], [[1.0]]]),
        pa.array([1, 2, 3, 4]),
    ]
    found = []
    for column in columns:
        table, out = pa.table({"points": column, **common}), io.BytesIO()
        if kind == "parquet":
            pq.write_table(table, out)
        else:
            with pa.ipc.new_file(out, table.schema) as writer:
                writer.write_table(table)
        found.append(out.getvalue())
    return found


def archives(kind: str) -> list[bytes]:
    files = {"bed/a.off": OFF, "bed/b.xyz": XYZ, "chair/c.off": QUADS, "chair/d.npy": npy_files()[0], "read.me": b"x"}
    out = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, body in files.items():
                archive.writestr(name, body)
    else:
        with tarfile.open(fileobj=out, mode="w:gz" if kind == "tgz" else "w") as archive:
            for name, body in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(body)
                archive.addfile(info, io.BytesIO(body))
    return [out.getvalue()]


TABLES = {
    "metadata.csv": b"file_name,label,split\na.off,bed,train\nb.off,chair,test\nc.off,=1+1,train\n",
    "metadata.tsv": b"file_name\tlabel\na.off\tbed\nb.off\tchair\n",
    "metadata.jsonl": b'{"file_name": "a.off", "label": "bed"}\n{"file_name": "b.off", "label": 3}\n',
    "metadata.json": json.dumps([{"file_name": "a.off", "label": "x"}, {"file_name": "b.off", "label": 1}]).encode(),
}


def write_secrets(folder: Path) -> None:
    """Files that hostile ones refer to; whoever opens them has followed a reference."""
    import h5py

    with h5py.File(folder / "secret.h5", "w") as file:
        file["data"] = np.full((3, 8, 3), SECRET, np.float32)
    (folder / "secret.raw").write_bytes(np.full(72, SECRET, np.float32).tobytes())
    (folder / "secret.bin").write_bytes(np.full(4096, SECRET, np.float32).tobytes())
    (folder / "secret.mtl").write_bytes(b"newmtl m\nmap_Kd secret.png\n")
