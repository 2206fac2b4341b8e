"""Plain .ply meshes, as text or as bytes: vertices of any numbers, and faces that list their corners, no more."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pointvae.data.polygons import triangles
from pointvae.data.words import Ints, Words, sure

HEADER = re.compile(
    rb"ply\n"
    rb"format (?P<format>ascii|binary_little_endian|binary_big_endian) 1\.0\n"
    rb"element vertex (?P<vertices>\d{1,18})\n"
    rb"(?P<properties>(?:property \w+ \w+\n)+)"
    rb"element face (?P<faces>\d{1,18})\n"
    rb"property list (?P<count>\w+) (?P<index>\w+) vertex_(?:index|indices)\n"
    rb"end_header\n"
)
"""A header without its comments."""

LONGEST = 1 << 16
"""Bytes of a header, at most."""

SEAMS = {"texture_u", "texture_v", "u", "v", "s", "t"}
"""Properties of vertices at which trimesh cuts a mesh apart."""

SIZES = {"char": 1, "uchar": 1, "short": 2, "ushort": 2, "int": 4, "uint": 4, "float": 4, "double": 8}
SIZES |= {"int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4, "float32": 4, "float64": 8}


@dataclass(frozen=True)
class Header:
    """What a header says.

    Attributes:
        text: whether the numbers are written as text.
        vertices: how many there are, and their type, with fields x, y and z.
        faces: how many there are, and the types of the number of corners and of a corner.
        data: where the data begins.
    """

    text: bool
    vertices: tuple[int, np.dtype[np.void]]
    faces: tuple[int, np.dtype[np.integer], np.dtype[np.integer]]
    data: int


def read_ply(data: bytes) -> tuple[npt.NDArray[np.float64], Ints]:
    """Vertices [V, 3] and triangles [F, 3], in trimesh's order.

    Raises:
        ValueError: it is not surely a plain mesh.
    """
    header = _header(data)
    return _from_text(header, data) if header.text else _from_bytes(header, data)


def _header(data: bytes) -> Header:
    end = data.find(b"end_header", 0, LONGEST)
    end = data.find(b"\n", end, LONGEST) + 1 if end >= 0 else 0
    sure(end > 0 and data[:end].isascii())
    lines = [b" ".join(line.split()) for line in data[:end].split(b"\n")[:-1]]
    told = [line for line in lines[2:] if line.split(b" ")[0] not in (b"comment", b"obj_info")]
    found = HEADER.fullmatch(b"\n".join([*lines[:2], *told, b""]))
    sure(found is not None)
    assert found is not None
    order = ">" if b"big" in found["format"] else "<"
    lists = [line.split() for line in found["properties"].splitlines()]
    fields = [(name.decode(), _type(kind, order)) for _, kind, name in lists]
    names = {name for name, _ in fields}
    sure(len(names) == len(fields) and names >= {"x", "y", "z"} and not names & SEAMS)
    vertex = np.dtype(fields)
    sure(all(vertex[axis].kind == "f" for axis in "xyz"))
    count, index = _type(found["count"], order), _type(found["index"], order)
    sure(count.kind in "iu" and index.kind in "iu")
    return Header(
        found["format"] == b"ascii", (int(found["vertices"]), vertex), (int(found["faces"]), count, index), end
    )


def _type(name: bytes, order: str) -> np.dtype[np.integer]:
    text = name.decode()
    sure(text in SIZES)
    letter = "f" if text[0] in "fd" else "u" if text[0] == "u" else "i"
    return np.dtype(f"{order}{letter}{SIZES[text]}")


def _from_bytes(header: Header, data: bytes) -> tuple[npt.NDArray[np.float64], Ints]:
    vertex_count, vertex = header.vertices
    face_count, count, index = header.faces
    start = header.data + vertex_count * vertex.itemsize
    sure(vertex_count > 0 and face_count > 0 and start + count.itemsize <= len(data))
    corners = int(np.frombuffer(data, count, 1, start)[0])
    sure(corners in (3, 4))
    face = np.dtype([("count", count), ("corners", index, corners)])
    sure(start + face_count * face.itemsize == len(data))
    table = np.frombuffer(data, vertex, vertex_count, header.data)
    vertices = np.stack([table[axis] for axis in "xyz"], axis=1).astype(np.float64)
    polygons = np.frombuffer(data, face, face_count, start)
    sure(bool((polygons["count"] == corners).all()))
    faces = polygons["corners"].astype(np.int64)
    if corners == 4:
        return vertices, np.concatenate([faces[:, [0, 1, 2]], faces[:, [2, 3, 0]]])
    return vertices, faces


def _from_text(header: Header, data: bytes) -> tuple[npt.NDArray[np.float64], Ints]:
    vertex_count, vertex = header.vertices
    face_count, _, index = header.faces
    text = data[header.data :].replace(b"\r\n", b"\n")
    sure(not text[:1].isspace())
    words = Words(text)
    ends = words.ends
    sure(not words.gaps and vertex_count > 0 and face_count > 0 and len(ends) == vertex_count + face_count)
    names = vertex.names or ()
    edge, end = int(ends[vertex_count - 1]), int(ends[vertex_count + face_count - 1])
    sure(bool((np.diff(ends[:vertex_count], prepend=0) == len(names)).all()))
    table = words.floats(0, edge).reshape(vertex_count, len(names))
    columns = [table[:, names.index(axis)].astype(vertex[axis]) for axis in "xyz"]
    vertices = np.stack(columns, axis=1).astype(np.float64)
    first = ends[vertex_count - 1 : vertex_count + face_count - 1] - edge
    corners = words.integers(edge, end)
    sizes = corners[first]
    sure(sizes.min() >= 3 and corners.max() <= np.iinfo(index).max)
    sure(bool((sizes + 1 == np.diff(ends[vertex_count - 1 : vertex_count + face_count])).all()))
    if sizes.max() == 3:
        return vertices, corners.reshape(face_count, 4)[:, 1:]
    return vertices, triangles(corners, first + 1, sizes, grouped=True)
