"""Latents in the plane, as a figure and as HTML."""

import base64
import json
import re

import numpy as np
import pytest
from sklearn.decomposition import PCA

from pointvae.errors import InputError
from pointvae.visualization.clouds import Frame
from pointvae.visualization.colours import class_colours
from pointvae.visualization.latent_map import flatten_latents, latent_map_figure, save_figure, spread_out
from pointvae.visualization.map_svg import HALF, encode_clouds, map_html

RNG = np.random.default_rng(0)
LATENTS = RNG.standard_normal((60, 10)) * np.linspace(3, 0.5, 10)
CLOUDS = RNG.standard_normal((60, 20, 3)).astype(np.float32)
LABELS = np.arange(60) % 3
CLASSES = ["cup", "<jug>", "pan"]


def test_pca_is_that_of_scikit_learn():
    ours = flatten_latents(LATENTS)
    theirs = PCA(2).fit_transform(LATENTS)
    for axis in range(2):
        assert abs(np.corrcoef(ours[:, axis], theirs[:, axis])[0, 1]) > 0.999999
    scale = np.ptp(theirs, axis=0) / np.ptp(ours, axis=0)
    assert scale[0] == pytest.approx(scale[1])


def test_tsne_keeps_far_groups_apart_and_follows_its_seed():
    latents = LATENTS + 60 * np.eye(3)[LABELS][:, [0, 1, 2] + [0] * 7]
    places = flatten_latents(latents, "tsne", seed=1)
    centres = np.stack([places[k == LABELS].mean(axis=0) for k in range(3)])
    nearest = np.linalg.norm(places[:, None] - centres, axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearest, LABELS)
    np.testing.assert_array_equal(flatten_latents(latents, "tsne", seed=1), places)


@pytest.mark.parametrize("method", ["pca", "tsne"])
@pytest.mark.parametrize("latents", [LATENTS, LATENTS[:1], LATENTS[:2], LATENTS[:3], np.ones((9, 4)), LATENTS[:, :1]])
def test_places_fill_the_square_however_few_the_latents(method, latents):
    places = flatten_latents(latents, method)
    assert places.shape == (len(latents), 2)
    assert np.isfinite(places).all()
    assert np.abs(places).max() <= 1 + 1e-12
    if len(np.unique(latents, axis=0)) > 1:
        assert np.abs(places).max() == pytest.approx(1)


def test_a_wrong_method_and_too_many_shapes_are_refused():
    with pytest.raises(InputError, match="unknown method 'umap'"):
        flatten_latents(LATENTS, "umap")
    with pytest.raises(InputError, match="3001 shapes are too many for tsne"):
        flatten_latents(np.zeros((3001, 2)), "tsne")


def test_shapes_drawn_in_keep_their_distance_and_cover_the_classes():
    places = RNG.uniform(-1, 1, (200, 2))
    labels = np.arange(200) % 4
    chosen = spread_out(places, labels, 30, 0.1)
    assert 4 < len(chosen) <= 30
    for k, index in enumerate(chosen):
        for other in chosen[:k]:
            assert np.abs(places[index] - places[other]).max() >= 0.1
    assert set(labels[chosen]) == {0, 1, 2, 3}
    assert len(spread_out(places, None, 5, 0.01)) == 5


@pytest.mark.parametrize("labels", [LABELS, None])
def test_the_figure_is_written_as_png(tmp_path, labels):
    figure = latent_map_figure(flatten_latents(LATENTS), labels, CLASSES, CLOUDS, title="Latents")
    save_figure(figure, tmp_path / "map.png")
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    names = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert names == (CLASSES if labels is not None else [])


def html(labels=LABELS):
    names = [f"s{k}</script>" for k in range(60)]
    return map_html(flatten_latents(LATENTS), labels, CLASSES, names, CLOUDS, title="t")


def test_every_shape_has_its_dot_and_its_data():
    page = html()
    data = json.loads(re.search(r"<script[^>]*>(.*?)</script>", page)[1])
    places = np.round(flatten_latents(LATENTS) * [HALF, -HALF]).astype(int)
    np.testing.assert_array_equal(np.stack([data["x"], data["y"]], axis=1), places)
    assert data["kind"] == LABELS.tolist()
    assert data["names"][5] == "s5</script>"
    for kind in range(3):
        path = re.search(rf'<path data-class="{kind}"[^>]* d="([^"]*)"', page)[1]
        dots = [tuple(map(int, pair)) for pair in re.findall(r"M(-?\d+) (-?\d+)h0", path)]
        assert sorted(dots) == sorted(map(tuple, places[kind == LABELS]))
    assert page.count("</script>") == 1
    assert "&lt;jug&gt;" in page


def test_without_labels_there_is_no_legend():
    assert "<button" in html()
    assert "<button" not in html(None)


def test_clouds_come_back_from_their_bytes():
    packed = np.frombuffer(base64.b64decode(encode_clouds(CLOUDS)), np.int8).reshape(CLOUDS.shape) / 127
    for cloud, found in zip(CLOUDS, packed, strict=True):
        frame = Frame.of(cloud)
        np.testing.assert_allclose(found, (cloud - frame.centre) / frame.radius, atol=0.5 / 127 + 1e-6)


@pytest.mark.parametrize("count", [1, 2, 10, 40])
def test_colours_are_different_and_of_middling_lightness(count):
    colours = class_colours(count)
    assert len(set(colours)) == count
    for colour in colours:
        red, green, blue = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
        assert 0.15 < 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.85
