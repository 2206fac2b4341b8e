"""The report: one file, escaped, complete."""

import copy
import dataclasses
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

from pointvae.evaluation.evaluate import evaluate
from pointvae.evaluation.parts import PARTS
from pointvae.evaluation.report import report_html
from pointvae.evaluation.report_tables import in_words
from pointvae.evaluation.sections import findings

VOID = {"meta", "br", "hr", "img", "input", "link"}
HISTORY = """epoch,train/loss,val/loss,train/kl,val/kl,val/active_units,val/cd_l2_mean
1,90,80,9,8,3,0.2
2,50,60,7,8,5,0.1
"""


class Page(HTMLParser):
    """A strict reading: tags must nest, ids be unique, pictures have a name."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.links, self.text, self.outside = [], [], [], [], []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if "id" in attrs:
            self.ids.append(attrs["id"])
        if tag == "a":
            self.links.append(attrs["href"])
        if attrs.get("role") == "img":
            assert attrs["aria-label"]
        self.outside += [value for name, value in attrs.items() if name in ("src", "href") and value[:1] != "#"]

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text.append(data)


@pytest.fixture(scope="module")
def made(run_folder, dataset_folder, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "with-history"
    shutil.copytree(run_folder, run)
    (run / "metrics.csv").write_text(HISTORY)
    return evaluate(run, dataset_folder, quick=True)


@pytest.fixture(scope="module")
def page(made):
    return report_html([made])


def test_it_is_well_formed_and_every_link_leads_somewhere(page):
    parsed = Page(page)
    assert len(parsed.ids) == len(set(parsed.ids))
    assert {link.removeprefix("#") for link in parsed.links} <= set(parsed.ids)


def test_it_asks_for_nothing_from_outside(page):
    assert not Page(page).outside
    assert not re.search(r"https?://|url\(|@import|fetch\(|XMLHttpRequest|import\(", page)


def test_it_tells_every_main_figure(made, page):
    text = " ".join(Page(page).text)
    m = made.metrics
    assert f"{100 * m['accuracy']:.1f}" in text
    assert f"{100 * m['untrained_rotated_accuracy']:.1f}" in text
    assert f"{m['cd_l2_mean']:.4f}" in text
    assert f"{m['active_units']} of 8" in text
    assert f"{m['parameters']:,}" in text
    for word in ("ELBO(beta=1.0)", "posterior mean", "encoder feature", "rotated about up", "linear_svm_c_cv/1"):
        assert word in text
    for name in (*made.classes, *made.gallery.names, *made.worst.names, *made.path_names):
        assert name in text


def test_it_tells_the_drift_of_every_round(made, page):
    drift = made.metrics["drift"]
    text = " ".join(Page(page).text)
    for value in drift["kl_to_start"] + drift["kl_step"]:
        assert f"{value:.1f}" in text
    for value in drift["distance_to_start"]:
        assert f"{value:.2f}" in text
    assert "frozen linear SVM" in text


def test_curves_are_drawn_for_what_was_logged(page, made):
    curves = page[page.index('<section id="curves"') : page.index('<section id="latents"')]
    assert curves.count("<figure><h3>") == 4
    assert "Consistency term" not in page
    without = report_html([dataclasses.replace(made, history=[])])
    assert "holds no metrics.csv" in without


def renamed(value, evil):
    """Every text of figures that is no protocol's, and every name of a class, replaced."""
    if isinstance(value, dict):
        return {
            name: {f"{evil}{i}": v for i, v in enumerate(part.values())}
            if name in ("per_class_accuracy", "untrained_per_class_accuracy", "map_per_class")
            else renamed(part, evil)
            for name, part in value.items()
        }
    if isinstance(value, list):
        return [renamed(part, evil) for part in value]
    return value


def test_names_cannot_become_markup(made):
    evil = '<img src=x onerror="alert(1)">&</script>'
    classes = [f"{evil}{i}" for i in range(3)]
    metrics = renamed(copy.deepcopy(made.metrics), evil)
    metrics["dataset"] |= {"name": evil, "source": evil}
    metrics["disentanglement"] = {"left_out": evil}
    for query in metrics["retrieval"]["shown"]:
        query |= {"name": evil, "class": evil}
        for neighbour in query["nearest"]:
            neighbour |= {"name": evil, "class": evil}
    metrics["attacks"]["shown"] = {
        name: [evil] * len(value) if isinstance(value, list) else value
        for name, value in metrics["attacks"]["shown"].items()
    }
    config = {**made.config, "objective": {"class_path": evil, "init_args": {evil: evil}}}
    config["model"] = {**config["model"], "encoder": evil}
    arrays = {
        name: np.array([evil] * len(value)) if value.dtype.kind == "U" else value
        for name, value in made.arrays.items()
    }
    shapes = dataclasses.replace(
        made,
        name=evil,
        metrics=metrics,
        config=config,
        card={**made.card, "licence": evil, "normalize": evil},
        classes=classes,
        arrays=arrays,
    )
    page = report_html([shapes], title=evil)
    assert "<img" not in page
    Page(page)
    clean = report_html([made])
    assert page.count("</script>") == clean.count("</script>")
    assert "<img" not in report_html([shapes, shapes], title=evil)


def test_several_runs_stand_side_by_side(made):
    other = dataclasses.replace(made, name="the-other")
    text = " ".join(Page(report_html([made, other])).text)
    assert "with-history, the-other on shapes" in text
    assert text.count("Worst of 15 shapes") == 2
    assert "the-other, held out" in text


@pytest.mark.parametrize("part", [name for name in PARTS if name != "pictures"])
def test_a_part_that_was_left_out_says_why(made, part):
    metrics = {**made.metrics, part: {"left_out": "the moon is in the wrong house"}}
    arrays = {name: value for name, value in made.arrays.items() if not name.startswith(f"{part}/")}
    without = dataclasses.replace(made, metrics=metrics, arrays=arrays)
    for runs in ([without], [made, without], [without, made]):
        page = report_html(runs)
        Page(page)
    if part not in ("consistency", "latents", "drift"):
        assert "the moon is in the wrong house" in report_html([without]), part


@pytest.mark.parametrize("parts", [["probes"], ["pictures"], ["latents"], ["generation", "attacks"]], ids=str)
def test_a_page_of_some_parts_shows_these(made, parts):
    metrics = {name: value for name, value in made.metrics.items() if name not in PARTS or name in parts}
    for name in ("accuracy", "rotated_accuracy", "cd_l2_mean", "active_units", "consistency_gap", "kl"):
        metrics.pop(name)
    page = report_html([dataclasses.replace(made, metrics=metrics)])
    assert ('id="attacks"' in page) == ("attacks" in parts)
    assert ('id="probes"' in page) == ("probes" in parts)
    assert 'id="corruptions"' not in page
    Page(page)


def test_shapes_without_classes_are_reported(made):
    metrics = {**made.metrics}
    for name in ("probes", "probe_protocols", "clustering", "retrieval"):
        metrics[name] = {"left_out": "its shapes have no labels"}
    for name in ("accuracy", "rotated_accuracy", "untrained_accuracy", "untrained_rotated_accuracy"):
        del metrics[name]
    arrays = {name: value for name, value in made.arrays.items() if name != "pictures/map_labels"}
    page = report_html([dataclasses.replace(made, metrics=metrics, classes=[], arrays=arrays)])
    Page(page)
    assert '<ul class="classes">' not in page


def test_a_description_reads_as_the_python_that_makes_it():
    turn = {"class_path": "pointvae.RotateUp", "init_args": {"degrees": 15}}
    bound = {"class_path": "pointvae.ELBO", "init_args": {}}
    whole = {"class_path": "pointvae.Consistency", "init_args": {"base": bound, "transforms": [turn], "weight": 1.0}}
    assert in_words(whole) == "Consistency(base=ELBO(), transforms=[RotateUp(degrees=15)], weight=1.0)"


def test_the_findings_repeat_the_figures_in_words(made):
    told = findings.section(made)
    probes = made.metrics["probes"]["rotations"]
    first = probes["none"]["probes"][0]
    assert f"{100 * first['accuracy']:.1f} %" in told and f"{100 * first['gain']:+.1f} points" in told
    assert f"{100 * probes['z/so3']['accuracy']:.1f} %" in told
    assert f"1-NNA {made.metrics['generation']['samples']['1_nna_cd_l2_mean']['value']:.2f}" in told
    assert told.count("<li>") == 7


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [([0.01, 0.1], "more than chance"), ([-0.2, 0.1], "may be chance"), ([-0.2, -0.1], "a loss")],
)
def test_the_findings_judge_the_gain_by_its_interval(made, interval, verdict):
    metrics = copy.deepcopy(made.metrics)
    metrics["probes"]["rotations"]["none"]["probes"][0]["gain_interval"] = interval
    assert verdict in findings.section(dataclasses.replace(made, metrics=metrics))


def test_the_findings_name_a_collapse_and_an_attack_in_doubt(made):
    metrics = copy.deepcopy(made.metrics)
    metrics["information"]["trained"]["active_units"] = 0
    for check in metrics["attacks"]["checks"]:
        check["passed"] = check["check"] != "beats_noise"
    doubted = sum(check["check"] == "beats_noise" for check in metrics["attacks"]["checks"])
    told = findings.section(dataclasses.replace(made, metrics=metrics))
    assert "Collapsed" in told and f"{doubted} of {len(metrics['attacks']['checks'])} signs" in told
