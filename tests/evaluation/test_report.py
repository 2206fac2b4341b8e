"""The report: one file, escaped, complete."""

import copy
import dataclasses
import json
import re
import shutil
from html.parser import HTMLParser

import pytest

from pointvae.errors import InputError
from pointvae.evaluation.evaluate import evaluate
from pointvae.evaluation.report import compare_runs, evaluate_run, report_html
from pointvae.evaluation.report_tables import in_words

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
    return evaluate(run, dataset_folder)


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
    assert page.count("<figure><h3>") == 4
    assert "Consistency term" not in page
    without = report_html([dataclasses.replace(made, history=[])])
    assert "holds no metrics.csv" in without


def test_names_cannot_become_markup(made):
    evil = '<img src=x onerror="alert(1)">&</script>'
    metrics = copy.deepcopy(made.metrics)
    metrics["dataset"] |= {"name": evil, "source": evil}
    for probe in metrics["probes"].values():
        for figures in probe["probes"]:
            for key in ("per_class_accuracy", "untrained_per_class_accuracy"):
                figures[key] = dict.fromkeys([evil] * 3, 0.5)
        for key in ("per_class_accuracy", "untrained_per_class_accuracy"):
            probe[key] = {evil: 0.5}
    config = {**made.config, "objective": {"class_path": evil, "init_args": {evil: evil}}}
    config["model"] = {**config["model"], "encoder": evil}
    renamed = dataclasses.replace(
        made,
        name=evil,
        metrics=metrics,
        config=config,
        card={**made.card, "licence": evil, "normalize": evil},
        classes=[evil] * 3,
        gallery=dataclasses.replace(made.gallery, names=[evil] * len(made.gallery.names)),
        latent_map=dataclasses.replace(made.latent_map, names=[evil] * len(made.latent_map.names)),
        path_names=(evil, evil),
    )
    page = report_html([renamed], title=evil)
    assert "<img" not in page
    Page(page)
    clean = report_html([made])
    assert page.count("</script>") == clean.count("</script>")


def test_several_runs_stand_side_by_side(made):
    other = dataclasses.replace(made, name="the-other")
    text = " ".join(Page(report_html([made, other])).text)
    assert "with-history and the-other on shapes" in text
    assert text.count("Worst of 15 shapes") == 2
    assert "the-other, held out" in text


def test_a_run_without_probes_says_why(made):
    metrics = {**made.metrics, "probes": {}, "probes_left_out": "shapes: its shapes have no labels"}
    for name in ("accuracy", "rotated_accuracy", "untrained_accuracy", "untrained_rotated_accuracy"):
        del metrics[name]
    bare = dataclasses.replace(
        made, metrics=metrics, classes=[], latent_map=dataclasses.replace(made.latent_map, labels=None)
    )
    page = report_html([bare])
    Page(page)
    assert "No probe: shapes: its shapes have no labels" in page
    assert '<ul class="classes">' not in page


def test_figures_and_report_go_into_the_run_folder_or_another(run_folder, dataset_folder, tmp_path):
    found = evaluate_run(run_folder, dataset_folder, out=tmp_path / "new" / "out")
    folder = tmp_path / "new" / "out"
    assert sorted(path.name for path in folder.iterdir()) == ["metrics.json", "report.html"]
    written = json.loads((folder / "metrics.json").read_text())
    assert {**written, "report": str(folder / "report.html")} == found
    run = tmp_path / "run"
    shutil.copytree(run_folder, run)
    evaluate_run(run, dataset_folder, quick=True)
    assert (run / "report.html").is_file()


def test_comparing_writes_one_report_for_all(run_folder, dataset_folder, tmp_path):
    found = compare_runs([run_folder, run_folder], dataset_folder, out=tmp_path, title="Two", quick=True)
    assert [run["run"] for run in found["runs"]] == ["tiny", "tiny"]
    assert "<h1>Two</h1>" in (tmp_path / "report.html").read_text()
    assert len(json.loads((tmp_path / "metrics.json").read_text())["runs"]) == 2


def test_figures_that_are_no_numbers_are_null(run_folder, dataset_folder, tmp_path, monkeypatch):
    broken = evaluate(run_folder, dataset_folder)
    broken.metrics["consistency_gap"] = float("nan")
    monkeypatch.setattr("pointvae.evaluation.report.evaluate", lambda *_, **__: broken)
    evaluate_run(run_folder, dataset_folder, out=tmp_path)
    assert json.loads((tmp_path / "metrics.json").read_text())["consistency_gap"] is None


def test_a_place_that_is_a_file_is_refused_before_any_work(run_folder, dataset_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("pointvae.evaluation.report.evaluate", lambda *_, **__: pytest.fail("worked"))
    (tmp_path / "a").write_text("x")
    with pytest.raises(InputError, match="a: is a file; give a folder"):
        evaluate_run(run_folder, dataset_folder, out=tmp_path / "a")
    with pytest.raises(InputError, match="no run to compare"):
        compare_runs([], dataset_folder, out=tmp_path)


def test_a_description_reads_as_the_python_that_makes_it():
    turn = {"class_path": "pointvae.RotateUp", "init_args": {"degrees": 15}}
    bound = {"class_path": "pointvae.ELBO", "init_args": {}}
    whole = {"class_path": "pointvae.Consistency", "init_args": {"base": bound, "transforms": [turn], "weight": 1.0}}
    assert in_words(whole) == "Consistency(base=ELBO(), transforms=[RotateUp(degrees=15)], weight=1.0)"
