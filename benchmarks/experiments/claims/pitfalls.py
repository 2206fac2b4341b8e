"""What docs/mathematics/pitfalls.md says of results/pitfalls.csv."""

from __future__ import annotations

from collections.abc import Iterator

import pitfalls


def sentences() -> Iterator[str]:
    """All of the page's, in its order."""
    found = pitfalls.figures()
    yield (
        f"R falls from the VAE's {found['plain R']:.0f} nats to {found['blunt R']:.2f}, and so does all that it was "
        f"to be made of: the KL goes from {found['plain kl']:.1f} to {found['blunt kl']:.2f}."
    )
    yield (
        f"R falls from {found['c 0 R']:.0f} (mean s {found['c 0 s']:.2f}) to {found['c 1/2 R']:.1f} at c = 1/2 and "
        f"{found['c 1 R']:.1f} at c = 1 (mean s {found['c 1 s']:.1f})"
    )
    kl = [f"{found[f'c {c} kl']:.1f}" for c in ("0", "1/2", "1")]
    yield f"late the KL ({', '.join(kl)})"
    yield f"VAE {found['plain R']:.0f}, weight 0 {found['control R']:.0f}, weight 30 {found['pulled R']:.1f}. (From"
    others = (
        " and ".join(f"{found[f'{run} R, weights {seed}']:.0f}" for run in ("plain", "control"))
        for seed in pitfalls.OTHERS
    )
    yield f"From other first weights the first two are {', '.join(others)}.)"
    yield f"weight 0 {found['canonical_control R']:.1f}, weight 30 {found['canonical R']:.2f}: there"
    yield f"R is small too ({found['one_bound R']:.1f} at weight 1)"
    yield f"its error is {found['one_bound error']:.0f} nats, where augmentation has {found['control error']:.0f}"
    yield f"suffers with it ({found['original 0']:.0f} and {found['original 30']:.0f})"
    yield f"log s stands at {found['log s']:.2f}, and the dimension still costs {found['price']:.1f} nats"
    draws = {name: found[f"effective of 100, {name}"] for name in ("1 dimensions", "64 dimensions", "mixture")}
    yield f"of 100 draws {draws['1 dimensions']:.0f} count there, {draws['64 dimensions']:.0f} here"
    yield (
        f"{draws['mixture']:.0f} of 100, and the NLL is {found['nll 10']:.1f} nats from 10 draws, "
        f"{found['nll 100']:.1f} from 100, and on its way down; the ELBO claims {found['negative elbo']:.1f}"
    )
