import functools
import itertools
import struct
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointvae.data import readers
from pointvae.data.meshes import PLAIN, read_plain
from pointvae.data.polygons import triangles
from pointvae.data.words import UnsureError, Words
from pointvae.errors import InputError
from tests.data.files import write_box

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
WRITTEN = st.one_of(
    FLOATS.map(repr),
    FLOATS.map(lambda x: f"{x:.40g}"),
    st.floats(-1e3, 1e3).map(lambda x: f"{x:.6f}"),
    st.integers(-(10**20), 10**20).map(str),
    st.sampled_from(["-0", "-0.0", ".5", "5.", "1E3", "1e-320", "-4.9e-324", "0.1000000000000000055511151231257827"]),
)
ODD = st.sampled_from(["nan", "inf", "+1.5", "1e999", "1_0", "0x10", "1e", "x", "--1", "1-e5", "١"])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("meshes")


def by_trimesh(place, data, suffix):
    """What is read, or the error, where nothing is taken for plain."""
    path = place / f"mesh{suffix}"
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy warns of words that trimesh has it read and that are no numbers
        patch.setattr(readers, "read_plain", lambda data, suffix: None)
        try:
            mesh = readers.read_file(path)
        except InputError as error:
            return str(error)
    return mesh.vertices, mesh.faces


def same(plain, slow):
    return all(
        ours.dtype == theirs.dtype and ours.shape == theirs.shape and ours.tobytes() == theirs.tobytes()
        for ours, theirs in zip(plain, slow, strict=True)
    )


def check(place, data, suffix, *, plain=None):
    """What is taken for plain is what trimesh reads; ``plain`` says whether it must be, or must not."""
    found = read_plain(data, suffix)
    if plain is not None:
        assert (found is not None) == plain
    if found is not None:
        slow = by_trimesh(place, data, suffix)
        assert not isinstance(slow, str), slow
        assert same(found, slow)
        assert found[0].flags.c_contiguous and found[1].flags.c_contiguous


@st.composite
def parts(draw, odd=False, most=9):
    """Written vertices, each with the same number of words, and polygons."""
    count, width = draw(st.integers(3, most)), draw(st.sampled_from([3, 3, 3, 4, 6, 7]))
    word = st.one_of(WRITTEN, ODD) if odd else WRITTEN
    rows = draw(st.lists(st.lists(word, min_size=width, max_size=width), min_size=count, max_size=count))
    size = draw(st.sampled_from([st.just(3), st.just(4), st.just(5), st.integers(3, 4), st.integers(3, 7)]))
    polygon = size.flatmap(lambda n: st.lists(st.integers(0, count - 1), min_size=n, max_size=n))
    return rows, draw(st.lists(polygon, min_size=1, max_size=8))


@st.composite
def spaced(draw, lines):
    """The lines as somebody else might have written them."""
    gap = draw(st.sampled_from([" ", " ", "  ", "\t", " \t "]))
    end = draw(st.sampled_from(["\n", "\n", "\r\n", " \n", "\n\n", "\n \n"]))
    lead = draw(st.sampled_from(["", "", " "]))
    return end.join(lead + gap.join(map(str, line)) for line in lines) + draw(st.sampled_from([end, "", "\n\n"]))


@st.composite
def off_files(draw, odd=False):
    rows, polygons = draw(parts(odd=odd))
    colour = draw(st.sampled_from([[], [], [255, 0, 9], [0.5, 1, 0]]))
    counts = [len(rows), len(polygons), 0][: draw(st.integers(2, 3))]
    head = draw(
        st.sampled_from(["OFF\n", "OFF", "OFF ", "COFF\n", "NOFF\n", "STOFF\r\n", "# a word\nOFF\n", "OFF # 1\n"])
    )
    lines = [counts, *rows, *([len(polygon), *polygon, *colour] for polygon in polygons)]
    text = head + draw(spaced(lines))
    if draw(st.integers(0, 4)) == 0:
        text = text.replace("\n", " # a remark\n", draw(st.integers(1, 3)))
    return text.encode()


@st.composite
def obj_files(draw, odd=False):
    rows, polygons = draw(parts(odd=odd))
    below = draw(st.booleans())
    corner = draw(st.sampled_from(["{}", "{}", "{}", "{0}/{0}", "{0}//{0}"]))
    faces = [["f", *(corner.format(i - len(rows) if below else i + 1) for i in polygon)] for polygon in polygons]
    vertices = [["v", *row] for row in rows]
    extra = st.sampled_from(
        [["#", "a word"], ["o", "name"], ["g"], ["s", "off"], ["mtllib", "a.mtl"], ["usemtl", "m"], [""]]
    )
    lines = [*vertices, *draw(st.lists(extra, max_size=2)), *faces]
    if draw(st.booleans()):
        lines = draw(st.permutations(lines))
    return ("".join(draw(st.sampled_from(["", "# by hand\n"]))) + draw(spaced(lines))).encode()


@st.composite
def ply_files(draw, odd=False):
    rows, polygons = draw(parts(odd=odd))
    names = ["x", "y", "z", *draw(st.sampled_from([["nx", "ny", "nz", "a"], ["red", "u", "v", "b"]]))][: len(rows[0])]
    kind = draw(st.sampled_from(["float", "double", "float32", "float64"]))
    index, end = draw(st.sampled_from(["int", "uint", "uchar", "int32"])), draw(st.sampled_from(["\n", "\r\n"]))
    text = draw(st.booleans())
    how = "ascii" if text else draw(st.sampled_from(["binary_little_endian", "binary_big_endian"]))
    remark = draw(st.sampled_from([[], ["comment by hand"], ["obj_info 1"], ["comment TextureFile a.png"]]))
    head = ["ply", f"format {how} 1.0", *remark, f"element vertex {len(rows)}"]
    head += [f"property {kind} {name}" for name in names] + [f"element face {len(polygons)}"]
    list_name = draw(st.sampled_from(["vertex_indices", "vertex_index"]))
    head += [f"property list uchar {index} {list_name}", "end_header", ""]
    if text:
        body = draw(spaced([*rows, *([len(polygon), *polygon] for polygon in polygons)])).encode()
    else:
        order = "<" if "little" in how else ">"
        letter = {"int": "i", "uint": "I", "uchar": "B", "int32": "i"}[index]
        numbers = np.array(draw(st.lists(st.floats(width=32), min_size=len(rows) * len(names), max_size=None)))
        shape = numbers[: len(rows) * len(names)]
        body = shape.astype(f"{order}{'f4' if '32' in kind or kind == 'float' else 'f8'}").tobytes()
        body += b"".join(
            struct.pack(f"{order}B{len(polygon)}{letter}", len(polygon), *polygon) for polygon in polygons
        )
    return end.join(head).encode() + body


@st.composite
def stl_files(draw, odd=False):
    count = draw(st.integers(0 if odd else 1, 5))
    body = draw(st.binary(min_size=50 * count, max_size=50 * count))
    return draw(st.binary(min_size=80, max_size=80)) + struct.pack("<I", count) + body


FILES = {".off": off_files, ".obj": obj_files, ".ply": ply_files, ".stl": stl_files}


@pytest.mark.parametrize("suffix", FILES)
def test_what_is_taken_for_plain_is_bit_for_bit_what_trimesh_reads(place, suffix):
    taken = []

    @settings(deadline=None)
    @given(FILES[suffix]())
    def compare(data):
        check(place, data, suffix)
        taken.append(read_plain(data, suffix) is not None)

    compare()
    assert sum(taken) > len(taken) / 20  # and not only what is left to trimesh


@pytest.mark.parametrize("suffix", FILES)
@settings(deadline=None)
@given(data=st.data())
def test_broken_files_are_left_to_trimesh_and_its_errors(place, suffix, data):
    whole = data.draw(FILES[suffix](odd=True))
    at = data.draw(st.integers(0, len(whole)))
    until = data.draw(st.integers(at, min(len(whole), at + 9)))
    junk = data.draw(
        st.one_of(st.binary(max_size=4), st.sampled_from([b"-1", b"99", b"#", b"\n", b"\x0b", b"\x85", b"1e9"]))
    )
    check(place, whole[:at] + junk + whole[until:], suffix)


def test_furniture_is_plain_and_as_trimesh_reads_it(real_data, place):
    paths = [path for path in sorted((real_data / "furniture").rglob("*")) if path.suffix in PLAIN]
    for path in paths[::3]:
        check(place, path.read_bytes(), path.suffix, plain=True)


@pytest.mark.parametrize("suffix", PLAIN)
def test_what_trimesh_writes_is_plain(place, suffix):
    check(place, write_box(place / f"box{suffix}").read_bytes(), suffix, plain=True)


PLY = "ply\nformat {}\nelement vertex {}\nproperty float x\nproperty float y\nproperty float z\nelement face {}\n"
PLY += "property list uchar int vertex_indices\nend_header\n"
HUGE = 10**15
LIES = {
    "vertices.off": f"OFF\n{HUGE} 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n",
    "faces.off": f"OFF\n3 {HUGE} 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n",
    "minus.off": "OFF\n-3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n",
    "corners.off": f"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n{HUGE} 0 1 2\n",
    "wrapped.off": f"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n{2**63 - 1} 0 1 2\n",
    "vertices.ply": PLY.format("ascii 1.0", HUGE, 1) + "0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n",
    "faces.ply": PLY.format("binary_little_endian 1.0", 3, HUGE) + "\0" * 36 + "\x03" + "\0" * 12,
    "points.ply": PLY.format("binary_little_endian 1.0", HUGE, 1) + "\0" * 49,
    "corners.ply": PLY.format("binary_little_endian 1.0", 3, 1) + "\0" * 36 + "\x03\xff\xff\xff\x7f" + "\0" * 8,
    "index.obj": f"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 {HUGE}\n",
    "below.obj": "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 -4\n",
    "count.stl": "\0" * 80 + "\xff\xff\xff\x7f" + "\0" * 50,
}


@pytest.mark.parametrize("name", LIES)
def test_counts_and_indices_that_lie_are_not_plain_and_cost_no_memory(name):
    import tracemalloc

    tracemalloc.start()
    try:
        assert read_plain(LIES[name].encode("latin-1"), name[name.index(".") :]) is None
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_file_that_is_not_plain_text_anywhere_is_left_to_trimesh(place):
    triangle = b"OFF\n3 1\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
    for data in (b"\x81" + triangle, triangle + b"\x81"):
        check(place, data, ".off", plain=False)


def test_lines_that_end_in_a_carriage_return_alone_are_left_to_trimesh(place):
    data = b"OFF\r3 1 0\r0 0 0\r1 0 0\r0 1 0\r3 0 1 2\r"
    check(place, data, ".off", plain=False)


def slow_triangles(corners, first, sizes, grouped):
    """One polygon at a time, as trimesh describes it."""
    triples, quads, fans = [], [], []
    in_order = []
    for start, size in zip(first, sizes, strict=True):
        polygon = corners[start : start + size]
        cut = [[polygon[0], polygon[i + 1], polygon[i + 2]] for i in range(size - 2)]
        if size == 4:
            cut[1] = [polygon[2], polygon[3], polygon[0]]
        (triples if size == 3 else quads if size == 4 else fans).append(cut)
        in_order += cut
    halves = [cut[0] for cut in quads] + [cut[1] for cut in quads]
    return [*itertools.chain(*triples), *halves, *itertools.chain(*fans)] if grouped else in_order


@given(st.lists(st.integers(3, 8), min_size=1, max_size=12), st.booleans())
def test_polygons_are_cut_as_one_cuts_them_one_by_one(sizes, grouped):
    sizes = np.array(sizes)
    first = np.cumsum(sizes + 1) - sizes  # a number stands before each
    corners = np.random.default_rng(0).permutation(int((sizes + 1).sum()))
    cut = triangles(corners, first, sizes, grouped=grouped)
    np.testing.assert_array_equal(cut, slow_triangles(corners, first, sizes, grouped))


@given(st.text(alphabet="ab1 \t\n", min_size=1))
def test_words_are_those_of_split_line_by_line(text):
    lines = [line.split() for line in text.split("\n")]
    full = [line for line in lines if line]
    if not full:
        with pytest.raises(UnsureError):
            Words(text.encode())
        return
    words = Words(text.encode())
    assert words.ends.tolist() == np.cumsum([len(line) for line in full]).tolist()
    assert words._words.to_pylist() == [word for line in full for word in line]
    stripped = text.strip(" \t\n").split("\n")
    assert words.gaps == any(not line.split() for line in stripped)


@pytest.mark.parametrize("other", ["\x0b", "\x0c", "\x1c", "\x1f", "\0", "\r", "\x85", "\u2028"])
def test_other_characters_between_words_are_refused(other):
    with pytest.raises(UnsureError):
        Words(f"1 2{other}3\n4".encode())


@pytest.mark.parametrize("suffix", PLAIN)
def test_a_plain_mesh_is_read_without_trimesh(place, suffix, monkeypatch):
    monkeypatch.setattr(readers, "_load_scene", functools.partial(pytest.fail, "trimesh was asked"))
    assert len(readers.read_file(write_box(place / f"plain{suffix}")).faces) == 12
