"""The viewer's page as Python makes it: packing, columns, maps, escaping, sizes, refusals."""

import base64
import hashlib
import json
import re

import numpy as np
import pytest
import torch

import pointvae
from pointvae.data.dataset import Shapes, load_dataset
from pointvae.errors import InputError
from pointvae.evaluation.outputs import reconstruct_to
from pointvae.models.build import build_model
from pointvae.visualization.clouds import Frame
from pointvae.visualization.viewer import view as view_module
from pointvae.visualization.viewer.columns import column_of, given_columns
from pointvae.visualization.viewer.decoder import live_decoder
from pointvae.visualization.viewer.maps import latent_maps, pca_map
from pointvae.visualization.viewer.packing import STEPS, pack_clouds, pack_latents, thin
from pointvae.visualization.viewer.page import to_json
from pointvae.visualization.viewer.scene import CLOUD_BYTES, points_for
from tests.evaluation.conftest import dataset_folder, run_folder  # noqa: F401
from tests.evaluation.shapes import make_model, make_shapes
from tests.visualization.viewed import HOSTILE, make_viewer


def unpack(text, kind):
    return np.frombuffer(base64.b64decode(text), kind)


def scene_of(html):
    return json.loads(re.search(r'<script type="application/json" id="scene">(.*?)</script>', html, re.DOTALL)[1])


def test_a_packed_cloud_is_off_by_at_most_half_a_step_and_is_a_piece_of_its_own():
    clouds = make_shapes(5, points=27).points * 3 + 7
    packed = pack_clouds(clouds)
    length = packed.points * 16 // 3
    for row, cloud in enumerate(clouds):
        words = unpack(packed.text[row * length : (row + 1) * length], "<u4")
        steps = np.stack([words >> 10 * axis & 1023 for axis in range(3)], axis=1)
        frame = Frame.of(cloud)
        ball = unpack(packed.frames, "<f4").reshape(-1, 4)[row]
        np.testing.assert_allclose(ball, [*frame.centre, frame.radius], rtol=1e-6)
        found = (steps / (STEPS / 2) - 1) * frame.radius + frame.centre
        assert np.abs(found - cloud).max() <= frame.radius / STEPS * 1.001


def test_points_that_are_no_numbers_stand_in_the_middle():
    cloud = np.array([[[0, 0, 0], [2, 2, 2], [np.nan, np.inf, 1]]])
    words = unpack(pack_clouds(cloud).text, "<u4")
    assert [int(words[2]) & 1023, int(words[2]) >> 10 & 1023] in ([512, 512], [511, 511])


def test_latents_are_off_by_at_most_half_a_step():
    latents = np.random.default_rng(0).standard_normal((40, 6)).astype(np.float32) * 5
    latents[:, 2] = 1.5
    packed = pack_latents(latents)
    step, middle = unpack(packed.scale, "<f4").reshape(2, -1)
    found = unpack(packed.text, "<i2").reshape(40, 6) * step + middle
    assert (np.abs(found - latents) <= 0.51 * np.ptp(latents, axis=0) / 65534 + 1e-6).all()


@pytest.mark.parametrize(
    ("count", "wanted", "size"), [(1, 96, 3), (2, 3, 3), (40, 24, 24), (1000, 100, 99), (5, 96, 3)]
)
def test_as_many_points_are_shown_as_fill_whole_groups(count, wanted, size):
    rows = thin(count, wanted, 0)
    assert len(rows) == size
    assert len(set(rows.tolist())) == min(count, size)


def test_ten_thousand_shapes_take_a_stated_number_of_bytes():
    for count in (10, 10_000, 20_000):
        assert 4 * count * points_for(count) <= CLOUD_BYTES
    assert points_for(10_000) == 300
    html = make_viewer(30, hostile=False)[0].html()
    told = float(re.search(r"This file takes ([\d.]+) MB", html)[1])
    assert told == pytest.approx(len(html) / 1e6, abs=0.06)


def test_columns_are_numbers_categories_or_texts():
    assert column_of("a", [1, None, "2.5"]).kind == "numbers"
    np.testing.assert_array_equal(column_of("a", [1, None, "2.5"]).values, [1, np.nan, 2.5])
    assert column_of("a", [True, False, None]).categories == ["False", "True"]
    assert column_of("a", ["x", "", "y", "x"]).values.tolist() == [0, -1, 1, 0]
    assert column_of("a", [f"text {i}" for i in range(201)]).kind == "texts"
    assert column_of("a", [np.inf, 1.0]).values.tolist()[1] == 1.0
    assert column_of("a", [None, None]).categories == []


def test_a_csv_is_joined_by_name(tmp_path):
    table = tmp_path / "more.csv"
    table.write_text('name,mass,maker\nb,2.5,"Bow, ""B"" & Co"\na,1,\nz,9,other\n', encoding="utf-8-sig")
    mass, maker = given_columns(table, ["a", "b", "c"])
    np.testing.assert_array_equal(mass.values, [1, 2.5, np.nan])
    assert maker.categories == ['Bow, "B" & Co']
    assert maker.values.tolist() == [-1, 0, -1]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a,b\n1,2\n", "no column 'name'"),
        ("", "no column 'name'"),
        ("name,b\nx,1\n", "none of its 1 names is a shape's, such as 'a'"),
        ("name,b\na,1\nb\n", "row 3 holds 1 cells, the head 2"),
    ],
)
def test_a_csv_that_does_not_fit_is_refused_in_one_line(tmp_path, text, told):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=re.escape(told)) as caught:
        given_columns(tmp_path / "t.csv", ["a", "b"])
    assert "\n" not in str(caught.value)


def test_columns_of_another_length_and_absent_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="'x' holds 3 values for 2 shapes"):
        given_columns({"x": [1, 2, 3]}, ["a", "b"])
    with pytest.raises(InputError, match="no such file"):
        given_columns(tmp_path / "absent.csv", ["a"])


def test_the_linear_map_places_latents_by_its_axes():
    latents = np.random.default_rng(0).standard_normal((40, 5)).astype(np.float32)
    made = pca_map(latents)
    np.testing.assert_allclose(
        np.pad(latents, ((0, 0), (0, 1)), constant_values=1) @ made.axes, made.places, atol=1e-6
    )
    assert np.abs(made.places).max() == pytest.approx(1)
    assert [one.name for one in latent_maps(latents, umap=False)] == ["PCA"]


@pytest.mark.slow  # it compiles itself for a minute
def test_umap_keeps_groups_together():
    pytest.importorskip("umap", reason="umap-learn is not installed")
    rng = np.random.default_rng(0)
    latents = np.concatenate([rng.standard_normal((15, 4)), rng.standard_normal((15, 4)) + 40]).astype(np.float32)
    pca, umap = latent_maps(latents)
    assert (pca.name, umap.name, umap.axes) == ("PCA", "UMAP", None)
    middle = [umap.places[:15].mean(axis=0), umap.places[15:].mean(axis=0)]
    spread = np.linalg.norm(umap.places[:15] - middle[0], axis=1).mean()
    assert np.linalg.norm(middle[0] - middle[1]) > 2 * spread


def test_names_cannot_leave_the_json_they_stand_in():
    html = make_viewer()[0].html()
    assert scene_of(html)["names"][: len(HOSTILE)] == HOSTILE
    assert html.count("<script") == html.count("</script>")
    assert "document.title='broken'</script>" not in html
    assert "\u2028" not in html
    assert "<title>Shapes &amp; &lt;em&gt;more&lt;/em&gt;</title>" in html
    assert to_json("</script>\u2028&") == '"\\u003c/script\\u003e\\u2028\\u0026"'


def test_the_policy_lets_the_page_s_own_script_run_and_nothing_else():
    html = make_viewer(6)[0].html()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1]
    script = re.search(r"<script>(.*)</script>\s*</body>", html, re.DOTALL)[1]
    style = re.search(r"<style>(.*)</style>", html, re.DOTALL)[1]
    for text in (script, style):
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    without = re.sub(r'<script type="text/plain".*?</script>', "", html)
    assert not re.search(r"https?://|//[a-z]+\.[a-z]", without)


def test_decoders_that_are_others_or_too_large_are_not_put_into_the_page():
    model = build_model({"latent_dim": 256, "points": 2048}, 0)
    rows = thin(2048, 768, 0)
    assert live_decoder(model, rows)["points"] == 768
    assert live_decoder(model, rows, budget=3_000_000)["points"] == 192
    assert live_decoder(model, rows, budget=100_000) is None
    ladder = {"latent_dim": 12, "points": 24, "anchors": (4,), "local_dims": (2,), "width": 16}
    assert live_decoder(build_model(ladder, 0, "LadderPointVAE"), thin(24, 24, 0)) is None
    with torch.no_grad():
        model.decoder.layers[0].weight[0, 0] = 1e6
    assert live_decoder(model, rows) is None


def test_pointvae_viewer_takes_models_and_runs_shapes_and_data(run_folder, dataset_folder, tmp_path):  # noqa: F811
    model, shapes = make_model(), make_shapes(8)
    page = pointvae.viewer(model, shapes, columns={"weight": range(8)}, title="A & B")
    assert [column.name for column in page.scene.columns] == ["class", "cd_l2_mean", "kl", "weight"]
    assert page.save(tmp_path / "a.html").read_text(encoding="utf-8") == page.html()
    frame = page._repr_html_()
    assert frame.startswith("<iframe")
    assert frame.count('"') == 2 * frame.count('="')
    for given in (str(dataset_folder), load_dataset(dataset_folder)):
        page = pointvae.viewer(run_folder, given, points=40 if isinstance(given, str) else None, umap=False)
        assert page.scene.columns[1].categories == ["test", "train"]
        assert len(page.scene.names) == 45
    assert len(pointvae.viewer(run_folder, load_dataset(dataset_folder), split="test", umap=False).scene.names) == 15
    plain = pointvae.viewer(model, torch.randn(3, 30, 3))
    assert [column.name for column in plain.scene.columns] == ["cd_l2_mean", "kl"]


def test_the_error_and_the_kl_are_those_of_the_model():
    model, shapes = make_model(), make_shapes(8)
    scene = pointvae.viewer(model, shapes).scene
    values = {column.name: column.values for column in scene.columns}
    with torch.no_grad():
        q = model.posterior(torch.from_numpy(shapes.points))
        prior = torch.distributions.Independent(torch.distributions.Normal(torch.zeros(8), torch.ones(8)), 1)
        divergence = torch.distributions.kl_divergence(q, prior)
        gaps = torch.cdist(model.decode(q.mean), torch.from_numpy(shapes.points)) ** 2
    np.testing.assert_allclose(values["kl"], divergence, rtol=1e-4)
    np.testing.assert_allclose(
        values["cd_l2_mean"], gaps.min(dim=1).values.mean(dim=1) + gaps.min(dim=2).values.mean(dim=1), rtol=1e-4
    )


def test_of_very_many_shapes_a_fair_part_is_shown_and_told(monkeypatch):
    monkeypatch.setattr(view_module, "MAX_SHAPES", 10)
    page = pointvae.viewer(make_model(), make_shapes(30), columns={"number": range(30)}, umap=False)
    numbers = next(column for column in page.scene.columns if column.name == "number").values.tolist()
    assert len(page.scene.names) == 10
    assert [int(name[-3:]) for name in page.scene.names] == numbers
    assert any("10 of 30 shapes" in fact for fact in page.scene.facts)


@pytest.mark.parametrize(
    ("shapes", "options", "told"),
    [
        (Shapes(np.empty((0, 9, 3), np.float32), None, [], []), {}, "no shape"),
        (np.zeros((2, 5)), {}, "array \\(n, N, 3\\)"),
        ("nowhere at all", {}, "nowhere at all"),
        (np.full((2, 5, 3), np.nan), {}, "NaN"),
        ({"train": make_shapes(3)}, {"split": "test"}, "no split 'test'; it has train"),
        (make_shapes(3), {"columns": {"kl": [1, 2, 3]}}, "a column 'kl' already"),
        (make_shapes(3), {"shown": 0}, "shown 0"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_one_line(shapes, options, told):
    with pytest.raises(InputError, match=told) as caught:
        pointvae.viewer(make_model(), shapes, **options)
    assert "\n" not in str(caught.value)


def test_reconstruct_writes_the_viewer(run_folder, dataset_folder, tmp_path):  # noqa: F811
    table = tmp_path / "c.csv"
    table.write_text(
        "name,size\n" + "".join(f"{n},{i}\n" for i, n in enumerate(load_dataset(dataset_folder)["test"].names))
    )
    found = reconstruct_to(run_folder, dataset_folder, tmp_path / "v.html", split="test", points=40, columns=table)
    with np.load(_as_arrays(run_folder, dataset_folder, tmp_path)) as arrays:
        assert found["cd_l2_mean"] == pytest.approx(float(arrays["cd_l2_mean"].mean()), rel=1e-4)
    scene = scene_of((tmp_path / "v.html").read_text(encoding="utf-8"))
    assert scene["title"] == "tiny · shapes"
    assert [column["name"] for column in scene["columns"]] == ["class", "cd_l2_mean", "kl", "size"]
    with pytest.raises(InputError, match="only the viewer shows columns"):
        reconstruct_to(run_folder, dataset_folder, tmp_path / "v.png", columns=table)
    with pytest.raises(InputError, match=r"a name that ends in \.html"):
        make_viewer(3)[0].save(tmp_path / "v.pdf")


def _as_arrays(run, data, folder):
    reconstruct_to(run, data, folder / "v.npz", split="test", points=40)
    return folder / "v.npz"


def test_the_table_of_times_is_made_from_its_rows():
    import viewer

    assert viewer.table() in (viewer.ROOT / "docs" / "viewer.md").read_text(encoding="utf-8")
