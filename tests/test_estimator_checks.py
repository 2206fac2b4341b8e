"""Every check that scikit-learn has for a transformer of tables, run over ours.

Of a transformer that is declared for 3-D input, as ours is, `check_estimator` makes a single check. `Lifted` is ours
but for one method, the one that reads X: it takes a table and makes a cloud of each row. All else is what users get.
"""

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.6", reason="scikit-learn 1.6 brought the generator of its checks")
from sklearn.exceptions import SkipTestWarning
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import estimator_checks_generator
from sklearn.utils.validation import validate_data

from pointvae import PointVAETransformer
from pointvae.estimator_input import read_clouds

TINY = {
    "latent_dim": 2,
    "points": 16,
    "max_epochs": 2,
    "learning_rate": 0.01,
    "encoder_args": {"widths": [8, 16]},
    "decoder_args": {"widths": [16]},
    "accelerator": "cpu",
}
MORE = (
    "check_dataframe_column_names_consistency",
    "check_get_feature_names_out_error",
    "check_global_output_transform_pandas",
    "check_global_set_output_transform_polars",
    "check_inplace_ensure_writeable",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
)
"""Checks that scikit-learn runs over its own transformers and not in `check_estimator`."""


def lifted(table):
    """Each row of a table (n, f) as a cloud (f + 8, 3): a point as high as each number, and a cube's corners."""
    corners = np.stack(np.meshgrid([-1.0, 1.0], [-1.0, 1.0], [-1.0, 1.0]), axis=-1).reshape(-1, 3)
    angle = 2 * np.pi * np.arange(table.shape[1]) / table.shape[1]
    circle = np.broadcast_to(np.stack([np.cos(angle), np.sin(angle)], axis=1), (*table.shape, 2))
    return np.concatenate(
        [np.concatenate([circle, table[..., None]], axis=2), np.stack([corners] * len(table))], axis=1
    )


class Lifted(PointVAETransformer):
    """The transformer over tables (n, f)."""

    def _read(self, X, *, reset):
        table = validate_data(self, X, reset=reset, dtype=np.float64, ensure_min_samples=2 if reset else 1)
        return read_clouds(lifted(table), points=self.points, up=self.up, normalize=self.normalize)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = True, False
        return tags


# `parametrize_with_checks` of scikit-learn up to 1.7 hands pytest a generator, which pytest 9 warns of; none may fail
CHECKS = [check for _, check in estimator_checks_generator(Lifted(**TINY))]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: getattr(check, "func", check).__name__)
def test_scikit_learn_check(check):
    check(Lifted(**TINY))


@pytest.mark.filterwarnings("ignore:X (does not have valid|has) feature names")  # which these checks bring about
@pytest.mark.parametrize("name", MORE)
def test_check_that_scikit_learn_keeps_for_its_own(name):
    check = getattr(estimator_checks, name, None)
    if check is None:
        pytest.skip(f"this scikit-learn has no {name}")
    check("Lifted", Lifted(**TINY))


def test_the_whole_suite_runs_and_not_the_little_of_it_that_3_d_input_gets():
    with pytest.warns(SkipTestWarning, match="Can't test"):
        plain = list(estimator_checks_generator(PointVAETransformer(**TINY)))
    assert len(list(estimator_checks_generator(Lifted(**TINY)))) > 40 > len(plain)


def test_the_lifted_transformer_differs_in_how_it_reads_x_alone():
    given = {name for name in vars(PointVAETransformer) if callable(getattr(PointVAETransformer, name))}
    assert {name for name in given if getattr(Lifted, name) is not getattr(PointVAETransformer, name)} <= {
        "_read", "__sklearn_tags__", "from_run", "__init_subclass__", "__subclasshook__",
    }  # fmt: skip
