"""The viewer in a browser, by clicking through it."""

import numpy as np
import pytest
import torch

from pointvae.visualization.viewer.packing import thin
from tests.visualization.browser import Browser, find_browser
from tests.visualization.viewed import HOSTILE, make_viewer

PROGRAM = find_browser()
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no chromium here to open the page in")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(PROGRAM, tmp_path_factory.mktemp("profile"), "--disable-3d-apis")  # one test below has WebGL
    browser.prefer(prefers_reduced_motion="reduce")
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def viewed(tmp_path_factory):
    view, model, shapes = make_viewer()
    return view.save(tmp_path_factory.mktemp("page") / "a page.html"), view, model, shapes


@pytest.fixture
def page(browser, viewed):
    browser.open(viewed[0])
    browser.wait("document.documentElement.page")
    yield browser
    assert browser.noise == []
    assert [url for url in browser.requests if not url.startswith(("file:", "data:", "about:"))] == []
    assert browser.run("document.title") == "Shapes & <em>more</em>"


def place_of(page, row):
    script = f"""(() => {{ const {{ map }} = document.documentElement.page; const [x, y] = map.pixelOf({row});
    const box = map.marks.getBoundingClientRect(); return [x + box.left, y + box.top]; }})()"""
    return page.run(script)


def name(page):
    return page.run("document.getElementById('name').textContent")


def state(page, what):
    return page.run(f"document.documentElement.page.{what}")


def points_of(page, view):
    return np.array(page.run(f"[...document.documentElement.page.{view}.points]")).reshape(-1, 3)


def decoded(model, z):
    """What Python decodes, in the page's order of points."""
    with torch.no_grad():
        return model.decode(z[None])[0].numpy()[thin(24, 24, 0)]


def choose(page, element, value, event):
    script = (
        f"const e = document.getElementById('{element}'); e.value = {value}; e.dispatchEvent(new Event('{event}'));"
    )
    page.run(f"(() => {{ {script} }})()")


def lonely(page, row):
    """A shape that nothing hides: shapes nearest to their own place on the map."""
    return page.run(
        f"document.documentElement.page.map.pick(...document.documentElement.page.map.pixelOf({row})) === {row}"
    )


def picked(page, count):
    return [row for row in range(10, 60) if lonely(page, row)][:count]


def test_pointing_shows_the_shape_and_its_reconstruction(page, viewed):
    _, view, model, shapes = viewed
    for row in picked(page, 2):
        page.mouse("mouseMoved", *place_of(page, row))
        assert name(page) == shapes.names[row]
        seen = points_of(page, "left")
        np.testing.assert_allclose(seen, view.scene.clouds[row], atol=2e-3)
        page.wait("!document.documentElement.page.kitchen.wishes.size")
        made = points_of(page, "right")
        expected = decoded(model, torch.from_numpy(view.scene.latents[row]))
        np.testing.assert_allclose(made, expected, atol=2e-3)
    assert page.run("getComputedStyle(document.getElementById('tip')).visibility") == "visible"
    page.wait(f"document.getElementById('live').textContent.startsWith({shapes.names[row]!r})")


def test_clicking_pins_until_it_is_let_go(page, viewed):
    names = viewed[3].names
    first, second = picked(page, 2)
    page.click(*place_of(page, first))
    page.mouse("mouseMoved", *place_of(page, second))
    assert name(page) == names[first]
    assert state(page, "row") == second
    assert page.run("document.getElementById('pin').getAttribute('aria-pressed')") == "true"
    page.press("Escape")
    page.mouse("mouseMoved", *place_of(page, first))
    page.mouse("mouseMoved", *place_of(page, second))
    assert name(page) == names[second]


def test_search_finds_by_name_and_class_and_takes_by_key(page, viewed):
    names = viewed[3].names
    page.press("/")
    page.type("STICK_014 train")
    assert page.run("[...document.querySelectorAll('#results [role=option]')].map((o) => o.dataset.row)") == ["14"]
    page.press("Enter")
    assert (name(page), state(page, "pinned")) == (names[14], 14)
    page.press("/")
    page.type("alert(1)")
    assert page.run("document.querySelectorAll('#results [role=option]').length") == 20
    assert sum(page.run("[...document.documentElement.page.map.matching]")) == 20
    page.press("ArrowDown")
    page.press("ArrowDown")
    assert page.run("document.getElementById('search').getAttribute('aria-activedescendant')") == "found-1"
    page.press("Escape")
    assert page.run("document.documentElement.page.map.matching") is None
    page.press("/")
    page.type("no such thing")
    assert "Nothing found" in page.run("document.getElementById('results').textContent")


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_neighbours_are_those_of_numpy(page, viewed, metric):
    latents = viewed[1].scene.latents.astype(np.float64)
    page.run(f"document.getElementById('metric').value = '{metric}'")
    for row in (0, 17, 42):
        found = page.run(f"document.documentElement.page.near.of({row}).map((one) => [one.row, one.distance])")
        if metric == "euclidean":
            distances = np.linalg.norm(latents - latents[row], axis=1)
        else:
            unit = latents / np.linalg.norm(latents, axis=1, keepdims=True)
            distances = 1 - unit @ unit[row]
        distances[row] = np.inf
        nearest = np.argsort(distances)[:12]
        assert [one for one, _ in found] == nearest.tolist()
        np.testing.assert_allclose([d for _, d in found], distances[nearest], atol=1e-3)
    page.run("document.documentElement.page.take(17)")
    page.wait("document.querySelectorAll('#near button').length === 12")
    page.run("document.querySelector('#near button').click()")
    assert state(page, "pinned") != 17


def test_the_slider_decodes_what_python_decodes(page, viewed):
    _, view, model, shapes = viewed
    first, second = picked(page, 2)
    page.mouse("mouseMoved", *place_of(page, first))
    page.press("i")
    page.mouse("mouseMoved", *place_of(page, second))
    page.press("i")
    assert state(page, "path.ends") == [first, second]
    clouds = []
    for share in (0, 37, 100):
        choose(page, "share", share, "input")
        page.wait("!document.documentElement.page.kitchen.wishes.size")
        made = points_of(page, "left")
        a, b = (torch.from_numpy(view.scene.latents[row]) for row in (first, second))
        expected = decoded(model, torch.lerp(a, b, share / 100))
        np.testing.assert_allclose(made, expected, atol=3e-3)
        clouds.append(made)
    assert np.abs(clouds[0] - clouds[1]).max() > 0.01
    assert page.run("document.getElementById('share').getAttribute('aria-valuetext')") == "100 per cent of the way"
    assert shapes.names[first] in name(page)


def test_samples_are_decoded_and_shown(page, viewed):
    model = viewed[2]
    page.press("s")
    page.wait("document.querySelectorAll('#draws button canvas').length === 8")
    assert name(page) == "Sample 1"
    z = page.run("[...document.documentElement.page.draws.latent(0)]")
    expected = decoded(model, torch.tensor(z))
    made = points_of(page, "left")
    np.testing.assert_allclose(made, expected, atol=3e-3)
    page.press("s")
    assert name(page) == "Sample 9"
    page.press("Escape")
    assert name(page) != "Sample 9"


def test_the_legend_hides_other_classes_from_dots_pointer_neighbours_and_table(page, viewed):
    page.run("document.querySelectorAll('#legend button')[2].click()")
    labels = viewed[3].labels
    assert page.run("[...document.documentElement.page.map.visible]") == (labels == 2).astype(int).tolist()
    assert page.run("document.getElementById('count').textContent") == "20 of 60 shapes"
    page.mouse("mouseMoved", *place_of(page, 12))
    assert state(page, "row") != 12
    page.mouse("mouseMoved", *place_of(page, 14))
    assert labels[state(page, "row")] == 2
    assert all(
        labels[one] == 2 for one in page.run("document.documentElement.page.near.of(14).map((one) => one.row)")
    )
    page.run("document.getElementById('open-table').click()")
    assert page.run("document.querySelectorAll('#table tbody tr').length") == 20
    page.press("Escape")
    page.run("document.querySelectorAll('#legend button')[2].click()")
    assert page.run("document.getElementById('count').textContent") == "60 shapes"


def test_numbers_colour_by_a_scale_and_unknown_ones_are_grey(page):
    index = page.run("document.documentElement.page.scene.columns.findIndex((c) => c.name === 'weight')")
    choose(page, "colour", index, "change")
    assert "1 unknown" in page.run("document.getElementById('legend').textContent")
    colours = page.run("[0, 4, 30, 59].map(document.documentElement.page.map.css)")
    assert colours[1] == "#8a9199"
    assert len(set(colours)) == 4


def test_keys_walk_pin_zoom_change_the_map_and_help(page, viewed):
    start = state(page, "row")
    page.run("document.getElementById('map-marks').focus()")
    x = place_of(page, start)[0]
    page.press("ArrowRight")
    moved = state(page, "row")
    assert moved != start and place_of(page, moved)[0] > x
    assert name(page) in (viewed[3].names[moved], viewed[3].names[moved].rsplit("/", 1)[-1])
    page.press("Enter")
    assert state(page, "pinned") == moved
    page.press("Escape")
    assert state(page, "pinned") == -1
    page.press("+")
    assert state(page, "map.view.zoom") == pytest.approx(1.6)
    page.press("0")
    assert state(page, "map.view.zoom") == 1
    assert "Spiral" in page.run("document.getElementById('map-note').textContent")
    page.press("m")
    assert "PCA" in page.run("document.getElementById('map-note').textContent")
    page.press("?")
    assert page.run("document.getElementById('help').open") is True
    page.press("Escape")
    assert page.run("document.getElementById('help').open") is False


def test_the_wheel_zooms_to_where_it_is_turned_and_dragging_moves(page):
    (row,) = picked(page, 1)
    x, y = place_of(page, row)
    page.mouse("mouseWheel", x, y, deltaX=0, deltaY=-120)
    page.wait("document.documentElement.page.map.view.zoom > 1.1")
    assert place_of(page, row) == pytest.approx([x, y], abs=0.5)
    page.mouse("mousePressed", x, y, button="left", buttons=1, clickCount=1)
    page.mouse("mouseMoved", x + 40, y + 25, button="left", buttons=1)
    page.mouse("mouseReleased", x + 40, y + 25, button="left", buttons=0, clickCount=1)
    assert place_of(page, row) == pytest.approx([x + 40, y + 25], abs=0.5)
    assert state(page, "pinned") == -1


def test_names_stand_as_they_are_and_break_nothing(page, viewed):
    shown = page.run("document.documentElement.page.scene.names.slice(0, 7)")
    assert [one.encode("utf-8", "replace") for one in shown] == [n.encode("utf-8", "replace") for n in HOSTILE]
    for row in range(len(HOSTILE)):
        page.run(f"document.documentElement.page.take({row})")
    page.run("document.getElementById('open-table').click()")
    assert page.run("document.querySelectorAll('#table tbody b, #table em').length") == 0
    assert page.run("document.querySelectorAll('script:not([type])').length") == 1
    assert page.run("document.querySelector('h1').textContent") == "Shapes & <em>more</em>"


def test_the_table_sorts_and_leads_to_the_shape(page):
    page.run("document.getElementById('open-table').click()")
    head = "[...document.querySelectorAll('#table thead button')].find((b) => b.textContent === 'weight')"
    page.run(f"{head}.click(); {head}.click()")
    assert page.run("[...document.querySelectorAll('#table th[aria-sort=descending]')].length") == 1
    page.run("document.querySelector('#table tbody button').click()")
    assert state(page, "pinned") == 59
    assert page.run("document.getElementById('table').open") is False


def test_on_a_phone_one_column_holds_and_a_tap_pins(page):
    page.resize(390, 844, touch=True)
    page.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.run("document.documentElement.scrollWidth") <= 390
    top, bottom = (
        page.run(f"document.getElementById('{one}').getBoundingClientRect().top") for one in ("map", "stage")
    )
    assert bottom > top + 200
    (row,) = picked(page, 1)
    x, y = place_of(page, row)
    page.ask("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
    page.ask("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    page.wait(f"document.documentElement.page.pinned === {row}")


def test_a_page_that_is_hidden_draws_nothing_and_does_not_mind(page):
    page.run("document.querySelector('main').style.display = 'none'")
    page.run("(({ map, left }) => { map.ask(); map.draw(); left.draw(0, 0); })(document.documentElement.page)")
    page.run("document.querySelector('main').style.display = ''")


def test_the_page_may_not_connect(page):
    refused = page.run("fetch('data:text/plain,x').then(() => false, () => true)")
    assert refused is True
    page.noise.clear()  # the browser tells of what was refused
    page.run("document.title = 'Shapes & <em>more</em>'")


def test_a_decoder_that_the_page_cannot_run_shows_what_was_made_beforehand(browser, tmp_path):
    view, *_ = make_viewer(24, kind="LadderPointVAE", hostile=False, anchors=(4,), local_dims=(2,), width=16)
    assert view.scene.decoder is None
    browser.open(view.save(tmp_path / "ladder.html"))
    browser.wait("document.documentElement.page")
    browser.run("document.documentElement.page.take(3)")
    made = points_of(browser, "right")
    np.testing.assert_allclose(made, view.scene.made[0][3], atol=2 * np.abs(made).max() / 500)
    browser.press("s")
    browser.wait("document.querySelectorAll('#draws button canvas').length === 8")
    assert "beforehand" in browser.run("document.getElementById('panel-draws').textContent")
    browser.run("document.documentElement.page.openTab('path')")
    browser.run("document.documentElement.page.choose(5)")
    assert state(browser, "path.ends") == [3, 5]
    assert "nearest" in browser.run("document.getElementById('path-note').textContent")
    assert browser.noise == []


@pytest.mark.parametrize("n", [1, 2])
def test_one_shape_or_two_make_a_page(browser, tmp_path, n):
    view, *_ = make_viewer(n, hostile=False)
    browser.open(view.save(tmp_path / "few.html"))
    browser.wait("document.documentElement.page")
    assert browser.run("document.getElementById('name').textContent").startswith(("ball", "plate"))
    browser.press("ArrowRight")
    browser.press("i")
    browser.press("s")
    assert browser.noise == []


def test_webgl_draws_the_same_clouds_as_the_plain_canvas(viewed, tmp_path):
    seen = []
    for flag in ("--disable-3d-apis", "--enable-unsafe-swiftshader"):
        browser = Browser(PROGRAM, tmp_path / flag, flag)
        try:
            browser.prefer(prefers_reduced_motion="reduce")
            browser.open(viewed[0])
            browser.wait("document.documentElement.page")
            drawn = bool(state(browser, "left.dots.gl && 1"))
            if flag == "--enable-unsafe-swiftshader" and not drawn:
                pytest.skip("this chromium has no WebGL in software")
            assert drawn == (flag == "--enable-unsafe-swiftshader")
            browser.run(f"({PIXELS})()")
            seen.append(np.array(browser.run("window.pixels"), float))
            assert [line for line in browser.noise if not line.startswith("[.WebGL")] == []  # the driver's own words
        finally:
            browser.close()
    covered = [pixels > 40 for pixels in seen]
    assert covered[0].mean() > 0.03
    assert (covered[0] & covered[1]).sum() / (covered[0] | covered[1]).sum() > 0.8


PIXELS = """() => {
  const page = document.documentElement.page;
  page.take(14);
  page.kitchen.wishes.clear();
  page.left.draw(-1, 0.4);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 64;
  const context = canvas.getContext("2d");
  context.drawImage(page.left.canvas, 0, 0, 64, 64);
  window.pixels = [...context.getImageData(0, 0, 64, 64).data].filter((_, i) => i % 4 === 3);
}"""
