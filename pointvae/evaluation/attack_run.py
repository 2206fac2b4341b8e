"""The verb `attack`: a run's encoder and its untrained twin under attack, with a table, figures and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pointvae.data.dataset import load_dataset
from pointvae.errors import InputError
from pointvae.evaluation.attack import measure_attacks
from pointvae.evaluation.attacking.plan import GOALS, NORMS, AttackSettings
from pointvae.evaluation.attacking.tiles import FEATURE
from pointvae.evaluation.bench import finite_model
from pointvae.evaluation.features import encode, to_best_device
from pointvae.evaluation.probes import default_points, describe_dataset, labelled_splits
from pointvae.evaluation.probing.linear_probe import fit_probe
from pointvae.evaluation.results import Part, to_json
from pointvae.evaluation.subject import Subject
from pointvae.evaluation.views import View
from pointvae.evaluation.work import Work, one_thread
from pointvae.hub import read_run_config, run_folder, run_name, untrained_twin
from pointvae.version import __version__
from pointvae.writing import output_folder, write_text

JSON, PICTURE = "attack.json", "attack.png"
RADII = "0.002,0.005,0.01,0.02,0.05"


@one_thread()
def attack_run(
    run: str | Path,
    dataset: str | Path,
    *,
    norm: str = "all",
    goal: str = "all",
    radii: str = RADII,
    steps: int = 20,
    restarts: int = 2,
    shapes: int = 100,
    points: int | None = None,
    seed: int = 0,
    jobs: int = -1,
    out: str | Path | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Attack a run's frozen encoder on a dataset's test split, beside its untrained twin.

    Args:
        run: the run folder.
        dataset: the dataset folder; where it has labels, linear heads are fitted to its train split.
        norm: ``linf``, ``l2``, or ``all``.
        goal: ``margin`` of the frozen head, ``kl`` or ``w2`` of the posterior, or ``all`` that are possible.
        radii: of the balls, unit-sphere lengths, joined by commas, in growing order.
        steps: of each ascent.
        restarts: random starts, and draws of noise beside them.
        shapes: how many are attacked, from every class in turn.
        points: points of each shape that the models see; those of the training when absent.
        seed: what every random draw is made from.
        jobs: threads; -1 for one on every core. No figure depends on it.
        out: a folder for ``attack.json`` and ``attack.png``.
        progress: show bars on stderr.

    Returns:
        The figures of `measure_attacks`, with the run and the dataset.

    Raises:
        InputError: the run, the dataset or an option is at fault.
    """
    settings = AttackSettings(
        shapes,
        _numbers(radii),
        NORMS if norm == "all" else (norm,),
        GOALS if goal == "all" else (goal,),
        steps,
        restarts,
    )
    work = Work(jobs=jobs, progress=progress)
    folder = None if out is None else output_folder(out)
    source = run_folder(run)
    config, data = read_run_config(source), load_dataset(dataset)
    view = View(default_points(config, data) if points is None else points, "none", seed)
    subjects = {
        "trained": Subject(to_best_device(finite_model(source))),
        "untrained": Subject(to_best_device(untrained_twin(source))),
    }
    if data.classes and "train" in data.splits and "test" in data.splits:
        train, test = labelled_splits(data)
        assert train.labels is not None
        for name, subject in subjects.items():
            codes = encode(subject.model, train, view, work=work)
            probe = fit_probe(codes.posterior_mean, train.labels, train.classes, seed=seed)
            subjects[name] = Subject(subject.model, {FEATURE: probe})
    else:
        test = data["test" if "test" in data.splits else data.splits[-1]]
    part = measure_attacks(subjects, test, view, seed=seed, settings=settings, work=work)
    figures = {
        "run": run_name(run),
        "dataset": describe_dataset(data),
        "version": __version__,
        **part.figures,
    }
    if folder is not None:
        _write(figures, part, folder)
        figures = {**figures, "written": [str(folder / name) for name in (JSON, PICTURE)]}
    return figures


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in str(text).strip("[]").split(","))
    except ValueError:
        raise InputError(f"--radii {text}: must be numbers joined by commas, such as 0.01,0.02") from None


def _write(figures: dict[str, Any], part: Part, folder: Path) -> None:
    from pointvae.visualization.attacked import attacked_grid
    from pointvae.visualization.latent_map import save_figure

    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / JSON, to_json(figures))
    shown, arrays = figures["shown"], part.arrays
    rows = {norm: arrays[f"shown_{norm}"] for norm in figures["norms"]}
    told = {norm: shown.get(f"after_{norm}") for norm in figures["norms"]}
    figure = attacked_grid(arrays["shown"], rows, shown.get("before") or shown["names"], told, shown["radius"])
    save_figure(figure, folder / PICTURE)
