"""Plain meshes read at the speed of the disk: .off, .obj, .ply, binary .stl, exactly as trimesh reads them, or not.

Nothing is read here that is not surely understood: whatever is unusual, or wrong, is left to trimesh and its errors.
So vertices, faces and their order are the same, bit for bit, whoever reads a file.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pointvae.data.plain_ply import read_ply
from pointvae.data.polygons import triangles
from pointvae.data.words import Ints, Words, sure

Floats = npt.NDArray[np.float64]
Mesh = tuple[Floats, Ints]

TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
"""A triangle of a binary .stl."""


def read_plain(data: bytes, suffix: str) -> Mesh | None:
    """Vertices [V, 3] and triangles [F, 3] of a plain mesh file; None where it is not one, and trimesh must read it.

    Time and memory are in proportion to the file's size, whatever it says of itself.

    Args:
        data: the bytes of the file.
        suffix: such as ``.off``.
    """
    reader = PLAIN.get(suffix)
    if reader is None:
        return None
    try:
        with np.errstate(all="ignore"):  # what a cast makes of NaN, or too large a number, is left to trimesh
            vertices, faces = reader(data)
        sure(len(faces) > 0 and len(vertices) > 0 and bool(np.isfinite(vertices).all()))
        sure(faces.min() >= 0 and faces.max() < len(vertices))
    except (ValueError, IndexError, OverflowError, NotImplementedError):  # UnsureError and Arrow's are ValueErrors
        return None
    vertices = np.add(vertices, 0.0, dtype=np.float64, order="C")  # -0 becomes 0, as in a scene's transform
    return vertices, np.ascontiguousarray(faces, np.int64)


def read_off(data: bytes) -> Mesh:
    """An .off of any header that ends in OFF, with comments, colours and polygons."""
    sure(data.isascii())
    text = _unix_lines(_without_comments(data))
    start = text.find(b"OFF")
    sure(start >= 0)
    words = Words(text[start + 3 :])
    ends = words.ends
    sure(2 <= ends[0] < 16)
    vertex_count, face_count = (int(count) for count in words.integers(0, int(ends[0]))[:2])
    sure(0 < vertex_count < len(ends) and 0 < face_count < len(ends) - vertex_count)
    edge, end = int(ends[vertex_count]), int(ends[vertex_count + face_count])
    width = _width(np.diff(ends[: vertex_count + 1]))
    vertices = words.floats(int(ends[0]), edge).reshape(vertex_count, width)[:, :3]
    first = ends[vertex_count : vertex_count + face_count] - edge
    corners = words.integers(edge, end)
    sizes = corners[first]
    lengths = np.diff(ends[vertex_count : vertex_count + face_count + 1])
    sure(sizes.min() >= 3 and bool((sizes < lengths).all()))
    if lengths.max() == lengths.min() and sizes.max() == 3:
        return vertices, corners.reshape(face_count, -1)[:, 1:4]
    sure(sizes.max() <= 4 or sizes.max() == sizes.min())  # trimesh fails on others, and says so
    return vertices, triangles(corners, first + 1, sizes, grouped=True)


def read_obj(data: bytes) -> Mesh:
    """An .obj whose faces name vertices alone, of one material: its used vertices, as trimesh keeps them."""
    text = _unix_lines(data).strip() + b"\n"
    sure(text.isascii() and b"\\" not in text and b"usemtl " not in text)
    codes = np.frombuffer(text + b"\n", np.uint8)
    ends = np.flatnonzero(codes[:-1] == ord("\n"))
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1] + 1])
    letter, spaced = codes[starts], codes[starts + 1] == ord(" ")
    is_vertex, is_face = spaced & (letter == ord("v")), spaced & (letter == ord("f"))
    other = letter[~(is_vertex | is_face)]
    sure(bool(np.isin(other, np.frombuffer(b"#ogsm\n", np.uint8)).all()))
    words = _lines(codes, starts, ends, is_vertex)
    width = _width(np.diff(words.ends, prepend=0))
    vertices = words.floats(0, int(words.ends[-1])).reshape(-1, width)
    words = _lines(codes, starts, ends, is_face)
    corners, sizes = words.integers(0, int(words.ends[-1])), np.diff(words.ends, prepend=0)
    sure(sizes.min() >= 3)
    even = bool(sizes.max() == sizes.min())
    corners = np.where(corners > 0, corners - 1, corners + np.where(corners < 0, len(vertices), 0))
    sure(corners.min() >= 0 and corners.max() < len(vertices))
    if even and sizes[0] == 3:
        faces = corners.reshape(-1, 3)
    else:
        faces = triangles(corners, words.starts(), sizes, grouped=even)
    used = np.zeros(len(vertices), bool)
    used[corners] = True
    if used.all():
        return vertices[:, :3], faces
    return vertices[used, :3], (np.cumsum(used) - 1)[faces]


def read_stl(data: bytes) -> Mesh:
    """A binary .stl, whose size is the one that its count of triangles asks for."""
    sure(len(data) > 84)
    count = int.from_bytes(data[80:84], "little")
    sure(len(data) == 84 + count * TRIANGLE.itemsize)
    corners = np.frombuffer(data, TRIANGLE, offset=84)["corners"]
    return corners.reshape(-1, 3).astype(np.float64), np.arange(3 * count).reshape(-1, 3)


PLAIN: dict[str, Callable[[bytes], Mesh]] = {
    ".off": read_off,
    ".obj": read_obj,
    ".ply": read_ply,
    ".stl": read_stl,
}
"""Which function reads which suffix."""


def _unix_lines(text: bytes) -> bytes:
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n")
        sure(b"\r" not in text)
    return text


def _without_comments(text: bytes) -> bytes:
    """The text without what follows a # in its line, where trimesh finds the same."""
    if b"#" not in text:
        return text
    lead, *rest = text.split(b"#")
    sure(not lead.partition(b"\n")[2])  # versions of trimesh repeat lines that stand before the first comment
    return lead + b"\n" + b"\n".join(piece.partition(b"\n")[2] for piece in rest)


def _lines(codes: npt.NDArray[np.uint8], starts: Ints, ends: Ints, wanted: npt.NDArray[np.bool_]) -> Words:
    """The words of the wanted lines, without the letter and the space that begin each."""
    keep = np.repeat(wanted, ends - starts + 1)
    letters = starts[wanted]
    keep[letters] = keep[letters + 1] = False
    words = Words(codes[: len(keep)][keep].tobytes())
    sure(len(words.ends) == wanted.sum())
    return words


def _width(lengths: Ints) -> int:
    """How many words each of the lines of vertices has, all the same number."""
    sure(lengths.min() == lengths.max() and lengths[0] >= 3)
    return int(lengths[0])
