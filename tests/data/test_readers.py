import numpy as np
import pytest

from pointvae.data.clouds import count_points
from pointvae.data.readers import READERS, read_file
from pointvae.data.sampling import face_areas
from pointvae.errors import InputError
from tests.data.files import TRIANGLE, write_box

PCD = "# .PCD v0.7\nVERSION 0.7\nFIELDS {fields}\nSIZE {size}\nTYPE {type}\nCOUNT {count}\nWIDTH {n}\nHEIGHT {h}\n"
PCD += "VIEWPOINT 0 0 0 1 0 0 0\nPOINTS {n}\nDATA {data}\n"
CLOUD = np.array([[0.5, 1.0, 1.5], [-1.0, 2.0, 0.25], [3.0, 4.0, 5.0]])


def pcd_header(data: str, n: int = 3, h: int = 1, extra: bool = False) -> bytes:
    parts = {"fields": "x y z", "size": "4 4 4", "type": "F F F", "count": "1 1 1"}
    if extra:
        parts = {"fields": "label x y z f", "size": "2 8 8 8 4", "type": "U F F F F", "count": "1 1 1 1 2"}
    return PCD.format(**parts, n=n, h=h, data=data).encode()


@pytest.mark.parametrize("suffix", [".off", ".obj", ".ply", ".stl", ".glb"])
def test_every_mesh_format_gives_the_same_box(tmp_path, suffix):
    box = read_file(write_box(tmp_path / f"box{suffix}"))
    assert face_areas(box.vertices[box.faces]).sum() == pytest.approx(22)
    np.testing.assert_allclose(np.ptp(box.vertices, axis=0), [1, 2, 3], rtol=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "OFF4 2 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n3 0 1 2\n3 0 2 3\n",
        "OFF\n# a comment\n4 2 0\n0 0 0 # here too\n1 0 0\n\n1 1 0\n0 1 0\n3 0 1 2\n3 0 2 3\n",
        "OFF\n4 1 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n4 0 1 2 3\n",
        "OFF\r\n4 1 0\r\n0 0 0\r\n1 0 0\r\n1 1 0\r\n0 1 0\r\n4 0 1 2 3 255 0 0\r\n",
    ],
    ids=["header run into the counts", "comments", "quad", "colours and carriage returns"],
)
def test_the_off_files_that_users_have_are_read(tmp_path, text):
    path = tmp_path / "square.off"
    path.write_bytes(text.encode())
    square = read_file(path)
    assert face_areas(square.vertices[square.faces]).sum() == pytest.approx(1)


def test_the_parts_of_a_scene_stand_where_the_scene_has_them(tmp_path):
    import trimesh

    scene = trimesh.Scene()
    scene.add_geometry(trimesh.creation.box(), transform=trimesh.transformations.translation_matrix([10, 0, 0]))
    scene.add_geometry(trimesh.creation.box())
    (tmp_path / "two.glb").write_bytes(scene.export(file_type="glb"))
    two = read_file(tmp_path / "two.glb")
    np.testing.assert_allclose(two.vertices.max(axis=0) - two.vertices.min(axis=0), [11, 1, 1])
    assert len(two.faces) == 24


def test_a_mirrored_part_keeps_its_outside_out(tmp_path):
    import trimesh

    scene = trimesh.Scene()
    scene.add_geometry(trimesh.creation.box(), transform=np.diag([-1.0, 1, 1, 1]))
    (tmp_path / "mirror.glb").write_bytes(scene.export(file_type="glb"))
    box = read_file(tmp_path / "mirror.glb")
    assert trimesh.Trimesh(box.vertices, box.faces, process=True).volume == pytest.approx(1)


def test_material_files_beside_a_mesh_are_never_opened(tmp_path, monkeypatch):
    (tmp_path / "a.mtl").write_text("newmtl m\nmap_Kd texture.png\n")
    (tmp_path / "a.obj").write_text("mtllib a.mtl\nusemtl m\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    import trimesh

    def refuse(*_):
        raise AssertionError("a file beside the mesh was asked for")

    monkeypatch.setattr(trimesh.resolvers.FilePathResolver, "get", refuse)
    monkeypatch.setattr(trimesh.resolvers.WebResolver, "get", refuse)
    assert len(read_file(tmp_path / "a.obj").faces) == 1


def test_a_ply_that_holds_only_points_is_a_cloud(tmp_path):
    import trimesh

    (tmp_path / "c.ply").write_bytes(trimesh.PointCloud(CLOUD).export(file_type="ply"))
    cloud = read_file(tmp_path / "c.ply")
    assert cloud.faces is None
    np.testing.assert_allclose(cloud.vertices, CLOUD)
    assert count_points(tmp_path / "c.ply") == 3
    assert count_points(write_box(tmp_path / "box.ply")) is None


@pytest.mark.parametrize(
    "text",
    [
        "0.5 1.0 1.5\n-1 2 .25\n3 4 5\n",
        "0.5, 1.0, 1.5, 9, 9\n-1,2,0.25,9,9\n3,4,5,9,9\n",
        "x y z nx\n0.5 1 1.5 0\n-1 2 0.25 0\n3 4 5 0\n",
        "# made by a scanner\n3\n0.5\t1\t1.5\n\n-1 2 2.5e-1 # noise\n3 4 5\n",
        "// x;y;z\n0.5;1;1.5\n-1;2;0.25\n3;4;5",
    ],
    ids=["blanks", "commas and more columns", "column names", "comments and a count", "semicolons"],
)
@pytest.mark.parametrize("suffix", [".xyz", ".txt"])
def test_text_clouds_are_read_with_any_separator(tmp_path, text, suffix):
    path = tmp_path / f"c{suffix}"
    path.write_text(text)
    np.testing.assert_allclose(read_file(path).vertices, CLOUD)
    assert count_points(path) == 3


@pytest.mark.parametrize("extra", [False, True])
def test_pcd_is_read_as_text_and_as_bytes(tmp_path, extra):
    rows = [[7, *point, 8, 8] if extra else list(point) for point in CLOUD]
    text = "\n".join(" ".join(map(str, row)) for row in rows)
    (tmp_path / "a.pcd").write_bytes(pcd_header("ascii", extra=extra) + text.encode())
    kinds = [("label", "<u2"), ("xyz", "<f8", 3), ("f", "<f4", 2)] if extra else [("xyz", "<f4", 3)]
    table = np.zeros(3, kinds)
    table["xyz"] = CLOUD
    (tmp_path / "b.pcd").write_bytes(pcd_header("binary", extra=extra) + table.tobytes())
    for name in ("a.pcd", "b.pcd"):
        np.testing.assert_allclose(read_file(tmp_path / name).vertices, CLOUD)
        assert count_points(tmp_path / name) == 3


def test_missing_returns_of_an_organised_scan_are_dropped(tmp_path):
    (tmp_path / "a.pcd").write_bytes(pcd_header("ascii", n=4, h=2) + b"0 0 0\nnan nan nan\n1 1 1\n2 2 2\n")
    assert len(read_file(tmp_path / "a.pcd").vertices) == 3
    assert count_points(tmp_path / "a.pcd") == 3


def test_npy_clouds_keep_their_first_three_columns(tmp_path):
    np.save(tmp_path / "c.npy", np.hstack([CLOUD, CLOUD]).astype(np.float32))
    np.testing.assert_allclose(read_file(tmp_path / "c.npy").vertices, CLOUD)
    assert count_points(tmp_path / "c.npy") == 3


FAULTS = {
    "empty.off": (b"", "file is empty"),
    "empty.glb": (b"", "file is empty"),
    "nofaces.off": (b"OFF\n3 0 0\n0 0 0\n1 0 0\n0 1 0\n", "no faces"),
    "nofaces.obj": (b"v 0 0 0\nv 1 0 0\nv 0 1 0\n", "no faces"),
    "range.off": (TRIANGLE.replace("3 0 1 2", "3 0 1 7").encode(), "face"),
    "short.off": (TRIANGLE[:20].encode(), "damaged or not .off"),
    "junk.off": (b"junk", "damaged or not .off"),
    "junk.ply": (b"junk", "damaged or not .ply"),
    "junk.stl": (b"junk junk", "holds no shape"),
    "junk.glb": (b"junk", "damaged or not .glb"),
    "junk.obj": (b"junk", "holds no shape"),
    "words.xyz": (b"these are no numbers\n", "no points"),
    "two.xyz": (b"1 2\n3 4\n", "not a list of points"),
    "ragged.xyz": (b"1 2 3\n3 4\n", "not a list of points"),
    "comment.xyz": (b"# nothing\n", "no points"),
    "junk.npy": (b"junk", "not an array"),
    "junk.pcd": (b"junk", "no DATA line"),
    "short.pcd": (pcd_header("binary") + b"1234", "cut short"),
    "packed.pcd": (pcd_header("binary_compressed") + b"1234", "pcl_convert_pcd_ascii_binary"),
    "few.pcd": (pcd_header("ascii") + b"1 2 3\n", "holds 1 points, its header says 3"),
    "what.dwg": (b"1", "suffix .dwg is not read"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_file_at_fault_is_named_in_one_line(tmp_path, name):
    data, why = FAULTS[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=why) as caught:
        read_file(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_pickles_hidden_in_npy_files_are_never_loaded(tmp_path):
    np.save(tmp_path / "c.npy", np.array([print, print], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="not an array of numbers"):
        read_file(tmp_path / "c.npy")
    np.save(tmp_path / "d.npy", np.zeros((4, 2)))
    with pytest.raises(InputError, match=r"float64 \[4, 2\].*\[N, 3\]"):
        read_file(tmp_path / "d.npy")
    np.save(tmp_path / "e.npy", np.array([["a", "b", "c"]]))
    with pytest.raises(InputError, match="must be numbers"):
        read_file(tmp_path / "e.npy")


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InputError, match="cannot be opened"):
        read_file(tmp_path / "absent.off")


def test_counting_never_fails_on_files_that_reading_refuses(tmp_path):
    for name, (data, _) in FAULTS.items():
        path = tmp_path / name
        path.write_bytes(data)
        if path.suffix in READERS:
            count = count_points(path)
            assert count is None or count >= 0


def test_a_mesh_that_was_cut_short_is_said_to_end_too_early(tmp_path):
    (tmp_path / "cut.off").write_text("OFF\n8 6 12\n0 0 0\n1 0 0\n1 1 0\n")
    with pytest.raises(InputError, match=r"it ends before all that its head promises"):
        read_file(tmp_path / "cut.off")
