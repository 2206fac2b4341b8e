"""Seeded mutations of files: of bytes, of text, of what formats are made of; the same seed gives the same bytes."""

import io
import json
import re
import struct
import tarfile
import zipfile
from collections.abc import Callable
from random import Random
from typing import Any

NUMBERS = ["0", "-1", "1", "3", "255", "65536", "2147483647", "2147483648", "4294967295", "9223372036854775807"]
NUMBERS += ["9223372036854775808", "18446744073709551615", "1e308", "-1e308", "1e400", "nan", "-nan", "inf", "-inf"]
NUMBERS += ["1e-320", "0x10", "1_0", "٣", "1" * 5000, "0." + "0" * 400 + "1", ".", "", "-", "+", "e5", "1,5", "1/0"]
INTEGERS = [0, 1, -1, 2, 3, 127, 128, 255, 256, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**53, 2**63 - 1]
FLOATS = [0.0, -0.0, 1e308, -1e308, 1e-320, float("nan"), float("inf"), float("-inf")]
WORDS = [
    "",
    " ",
    "\0",
    "\r",
    "\r\n",
    "\n",
    "\t",
    "\v",
    "\f",
    "\x1b[31m",
    "\u2028",
    "\ufeff",
    "#",
    "//",
    '"',
    "'",
    "\\",
]
WORDS += ["../../evil.off", "/etc/hostname", "file:///etc/hostname", "${HOME}", "%n%n", "=1+1", "<script>", "{", "}"]
NAMES = [
    "../evil.off",
    "/evil.off",
    "a/../../evil.off",
    "C:/evil.off",
    "..\\evil.off",
    "a\n.off",
    "\x1b[2J.off",
    "a\0.off",
]
NAMES += [
    ".",
    "..",
    "",
    "a/",
    "//a.off",
    "con.off",
    "a" * 300 + ".off",
    "\udcff.off",
    "bed",
    "bed/a.off/b.off",
    "~/a.off",
]

Mutation = Callable[[bytes, Random], bytes]


def flip(data: bytes, rng: Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8, 32])):
        if out:
            out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def overwrite(data: bytes, rng: Random) -> bytes:
    """Put a number that hurts somewhere, as integers and floats of every width and order are stored."""
    order = rng.choice("<>")
    if rng.random() < 0.7:
        width = rng.choice("bhiq")
        size = struct.calcsize(width)
        value = (rng.choice(INTEGERS) % (1 << (8 * size))).to_bytes(size, "little" if order == "<" else "big")
    else:
        width = rng.choice("fd")
        value = struct.pack(
            order + width, rng.choice([v if width == "d" else max(min(v, 3e38), -3e38) for v in FLOATS])
        )
    where = rng.randrange(max(1, min(len(data), rng.choice([16, 128, 1 << 30]))))
    return data[:where] + value + data[where + len(value) :]


def truncate(data: bytes, rng: Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def remove(data: bytes, rng: Random) -> bytes:
    start, size = rng.randrange(len(data) + 1), rng.choice([1, 4, 16, 256])
    return data[:start] + data[start + size :]


def double(data: bytes, rng: Random) -> bytes:
    start, size = rng.randrange(len(data) + 1), rng.choice([1, 4, 16, 256])
    return data[:start] + data[start : start + size] * rng.choice([2, 3, 64]) + data[start + size :]


def insert(data: bytes, rng: Random) -> bytes:
    where = rng.randrange(len(data) + 1)
    return data[:where] + rng.choice([rng.randbytes(rng.choice([1, 4, 64])), b"\0" * 64, b"\xff" * 8]) + data[where:]


def move(data: bytes, rng: Random) -> bytes:
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(3))
    return data[: cuts[0]] + data[cuts[1] : cuts[2]] + data[cuts[0] : cuts[1]] + data[cuts[2] :]


BYTES: list[Mutation] = [flip, flip, overwrite, overwrite, overwrite, truncate, remove, double, insert, move]


def number(data: bytes, rng: Random) -> bytes:
    """Another number in place of one that stands there as text."""
    found = list(re.finditer(rb"[-+]?\d+(\.\d+)?(e[-+]?\d+)?", data[:20_000]))
    if not found:
        return insert(data, rng)
    place = rng.choice(found[: rng.choice([3, 10, len(found)])] or found)
    return data[: place.start()] + rng.choice(NUMBERS).encode() + data[place.end() :]


def word(data: bytes, rng: Random) -> bytes:
    """A word that hurts in place of one, or between two."""
    found = list(re.finditer(rb"\S+", data[:20_000]))
    text = rng.choice([*WORDS, *NUMBERS]).encode("utf-8", "surrogateescape")
    if not found or rng.random() < 0.3:
        where = rng.randrange(len(data) + 1)
        return data[:where] + text + data[where:]
    place = rng.choice(found)
    return data[: place.start()] + text + data[place.end() :]


def lines(data: bytes, rng: Random) -> bytes:
    """Lines removed, doubled, exchanged or run together."""
    rows = data.split(b"\n")
    one, other = rng.randrange(len(rows)), rng.randrange(len(rows))
    what = rng.randrange(5)
    if what == 0:
        del rows[one]
    elif what == 1:
        rows[one:one] = [rows[other]] * rng.choice([1, 2, 500])
    elif what == 2:
        rows[one], rows[other] = rows[other], rows[one]
    elif what == 3:
        rows[one : one + 2] = [b" ".join(rows[one : one + 2])]
    else:
        rows[one] = rows[one] * rng.choice([2, 50])
    return rng.choice([b"\n", b"\n", b"\n", b"\r\n", b"\r"]).join(rows)


TEXT: list[Mutation] = [number, number, number, word, word, lines, lines, flip, truncate, insert, move]


def odd_value(rng: Random) -> Any:
    """What a reader of JSON does not expect."""
    depth = rng.choice([1, 3, 300])
    nested: Any = 1
    for _ in range(depth):
        nested = rng.choice([[nested], {"a": nested}]) if depth < 10 else [nested]
    plain = [None, True, False, "", [], {}, [[]], nested, rng.choice(INTEGERS), -rng.choice(INTEGERS), 2**64, 10**400]
    return rng.choice([*plain, rng.choice(FLOATS), rng.choice(WORDS), rng.choice(NUMBERS), rng.choice(NAMES)])


def mutate_tree(tree: Any, rng: Random) -> Any:
    """A tree of JSON with one node replaced, removed or doubled."""
    paths: list[tuple[Any, Any]] = []
    todo = [tree]
    while todo:
        node = todo.pop()
        for key in node if isinstance(node, dict) else range(len(node)):
            paths.append((node, key))
            if isinstance(node[key], dict | list):
                todo.append(node[key])
    if not paths or rng.random() < 0.02:
        return odd_value(rng)
    node, key = rng.choice(paths)
    what = rng.randrange(6)
    if what == 0:
        del node[key]
    elif what == 1 and isinstance(node, list):
        node.insert(key, node[key])
    elif what == 2 and isinstance(node, dict):
        node[rng.choice(WORDS)] = node.pop(key)
    elif what == 3:
        other, place = rng.choice(paths)
        node[key] = json.loads(json.dumps(other[place])) if place in other or isinstance(other, list) else None
    else:
        node[key] = odd_value(rng)
    return tree


def tree(data: bytes, rng: Random) -> bytes:
    """JSON with its tree mutated; text that is none, mutated as text."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return rng.choice(TEXT)(data, rng)
    if rng.random() < 0.03:
        return b"[" * 100_000 + data
    try:
        return json.dumps(mutate_tree(found, rng)).encode("utf-8", "surrogatepass")
    except (ValueError, TypeError, IndexError, RecursionError):
        return rng.choice(TEXT)(data, rng)


JSON: list[Mutation] = [tree, tree, tree, tree, tree, number, word, flip, truncate]


def glb(data: bytes, rng: Random) -> bytes:
    """A .glb whose JSON is mutated and whose lengths are right again, mostly."""
    size = int.from_bytes(data[12:16], "little")
    text, rest = tree(data[20 : 20 + size].rstrip(b" \0"), rng), data[20 + size :]
    text += b" " * (-len(text) % 4)
    head = data[:8] + struct.pack("<I", 20 + len(text) + len(rest)) + struct.pack("<I", len(text)) + data[16:20]
    return head + text + rest


def tensors(data: bytes, rng: Random) -> bytes:
    """Safetensors whose header is mutated."""
    size = int.from_bytes(data[:8], "little")
    text = tree(data[8 : 8 + size], rng)
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def _table() -> list[int]:
    rows = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        rows.append(byte)
    return rows


CRC32C = _table()


def paged(data: bytes, rng: Random) -> bytes:
    """An .e57 changed within its pages of 1,020 bytes, each followed by its right checksum."""
    pages = [data[start : start + 1020] for start in range(0, len(data), 1024)]
    body = b"".join(pages)
    begin = body.find(b"<?xml")
    if begin > 0 and rng.random() < 0.6:
        text = rng.choice([number, number, word])(body[begin:].rstrip(b"\0"), rng)
        changed = body[:begin] + text[: len(body) - begin].ljust(len(body) - begin, rng.choice([b" ", b"\0"]))
    else:
        changed = rng.choice([flip, overwrite])(body, rng)
    out = b""
    for start in range(0, len(changed), 1020):
        page, crc = changed[start : start + 1020].ljust(1020, b"\0"), 0xFFFFFFFF
        for byte in page:
            crc = crc >> 8 ^ CRC32C[(crc ^ byte) & 255]
        out += page + (crc ^ 0xFFFFFFFF).to_bytes(4, "big")
    return out


HEADERS = [
    b"{'descr': '|O', 'fortran_order': False, 'shape': (3, 3), }",
    b"{'descr': '<f8', 'fortran_order': True, 'shape': (0, 3), }",
    b"{'descr': '<f8', 'fortran_order': False, 'shape': (9223372036854775807, 3), }",
    b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 3), }",
    b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 3), }",
    b"{'descr': [('a', '<f8', (3,))], 'fortran_order': False, 'shape': (4,), }",
    b"{'descr': '<U4', 'fortran_order': False, 'shape': (4, 3), }",
    b"{'descr': '<M8[s]', 'fortran_order': False, 'shape': (4, 3), }",
    b"{'descr': '<c16', 'fortran_order': False, 'shape': (4, 3), }",
    b"{'descr': '<f2', 'fortran_order': False, 'shape': (2, 2, 3), }",
    b"{'descr': '|b1', 'fortran_order': False, 'shape': (4, 3), }",
    b"{'descr': '>i8', 'fortran_order': False, 'shape': (4, 3), }",
    b"{'descr': '|V24', 'fortran_order': False, 'shape': (4, 3), }",
    b"__import__('os').system('true')",
    b"(" * 5000 + b")" * 5000,
]


def npy(data: bytes, rng: Random) -> bytes:
    """An .npy with another header: other types, other shapes, no dictionary at all."""
    size = int.from_bytes(data[8:10], "little")
    text = rng.choice(HEADERS) if rng.random() < 0.5 else rng.choice(TEXT)(data[10 : 10 + size], rng)
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return data[:8] + (len(text) % 65536).to_bytes(2, "little") + text + data[10 + size :]


def members(data: bytes, rng: Random, inner: dict[str, list[Mutation]] | None = None) -> bytes:
    """A .zip packed anew with one member's bytes, name, kind or size changed."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = [(info.filename, archive.read(info)) for info in archive.infolist()]
    out = io.BytesIO()
    chosen = rng.randrange(len(files))
    what = rng.randrange(6)
    with zipfile.ZipFile(out, "w", rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
        for index, (name, body) in enumerate(files):
            info = zipfile.ZipInfo(name)
            if index == chosen:
                if what == 0:
                    info.filename = rng.choice(NAMES).replace("\udcff", "ÿ")
                elif what == 1:
                    info.external_attr = rng.choice([0o120777, 0o020666, 0o060666, 0o010666, 0o140777]) << 16
                elif what == 2:
                    body = b"\0" * (4 << 20)
                    info.compress_type = zipfile.ZIP_DEFLATED
                elif what == 3 and name.endswith(".npy"):
                    body = npy(body, rng)
                else:
                    body = rng.choice((inner or {}).get(name.rsplit(".", 1)[-1], BYTES))(body, rng)
            archive.writestr(info, body)
    return out.getvalue()


def tar(data: bytes, rng: Random) -> bytes:
    """A .tar packed anew with members renamed, turned into links or devices, or with sizes that lie."""
    files = []
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:*") as archive:
        for info in archive:
            body = archive.extractfile(info)
            files.append((info.name, body.read() if body else b""))
    out = io.BytesIO()
    chosen, what = rng.randrange(len(files)), rng.randrange(5)
    kinds = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"S", b"?"]
    style = rng.choice([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
    with tarfile.open(fileobj=out, mode=rng.choice(["w", "w:gz"]), format=style) as archive:
        for index, (name, body) in enumerate(files):
            info = tarfile.TarInfo(name)
            if index == chosen:
                if what == 0:
                    info.name = rng.choice(NAMES)
                elif what == 1:
                    info.type, info.linkname = rng.choice(kinds), rng.choice(["/etc/hostname", "../..", name])
                elif what == 2 and style == tarfile.PAX_FORMAT:
                    info.pax_headers = {rng.choice(["path", "size", "linkpath", "GNU.sparse.map"]): rng.choice(NAMES)}
                else:
                    body = rng.choice(TEXT)(body, rng)
            info.size = len(body) if info.isreg() else 0
            try:
                archive.addfile(info, io.BytesIO(body))
            except (ValueError, UnicodeError):  # what this style cannot write
                info.name = "a.off"
                archive.addfile(info, io.BytesIO(body))
    return out.getvalue()


def mutate(data: bytes, mutations: list[Mutation], rng: Random) -> bytes:
    """A file with one to four of the mutations, one after the other; at most 8 MiB."""
    for _ in range(rng.choice([1, 1, 1, 2, 2, 4])):
        chosen = rng.choice(mutations)
        try:
            data = chosen(data, rng)
        except Exception:  # it is no longer what that one changes
            data = rng.choice(BYTES)(data, rng)
        data = data[: 8 << 20]
    return data
