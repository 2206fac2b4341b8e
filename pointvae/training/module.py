"""The training step and the validation step, as a Lightning module."""

from __future__ import annotations

import math
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Generator, Tensor

from pointvae.geometry.distances import chamfer_distance
from pointvae.geometry.finite import unwatched
from pointvae.geometry.sampling import random_subset
from pointvae.global_batch import global_batch
from pointvae.models.posteriors import along
from pointvae.models.vae import PointVAE
from pointvae.objectives.base import Objective, reduce_terms
from pointvae.objectives.consistency import kl_between
from pointvae.objectives.elbo import ACTIVE_VARIANCE, kl_to_prior
from pointvae.objectives.pairs import PairObjective
from pointvae.objectives.self_consistency import decoded
from pointvae.randomness import generator_for
from pointvae.training.means import EpochMeans
from pointvae.training.not_finite import FiniteGuard
from pointvae.transforms import Compose, default_transforms

TRAIN, VALIDATE = 0, 1  # keep the random streams of the two apart
WARMUP_STEPS = 200
NORM_MOMENTUM = 0.1
DRIFT = ("drift", "drift_distance")  # of one round: nats, standard deviations of the prior


class TrainingModule(pl.LightningModule):
    """A model, its objective, and how it is optimised: Adam under a cosine that ends at zero.

    Args:
        model: the model.
        objective: the loss.
        points: points drawn from each shape at each step.
        learning_rate: Adam's rate at the start.
        schedule: ``cosine`` or ``constant``.
        seed: what every random draw is made from, with the step.
    """

    def __init__(
        self,
        model: PointVAE,
        objective: Objective,
        points: int,
        learning_rate: float,
        schedule: str,
        seed: int,
    ) -> None:
        super().__init__()
        self.model, self.objective = model, objective
        self.points, self.learning_rate, self.schedule, self.seed = points, learning_rate, schedule, seed
        own = objective.transforms if isinstance(objective, PairObjective) else default_transforms()
        self.gap_transform = Compose(own)
        self.latest: dict[str, Tensor] = {}
        self.means = EpochMeans()
        self.finite = FiniteGuard()
        self.kl_per_dimension = torch.zeros(model.latent_dim)
        self._held: list[dict[str, Tensor]] = []

    def configure_optimizers(self) -> Any:
        """Adam; its rate by steps, after a short warm-up without which the first KLs reach thousands of nats."""
        taught = [p for p in self.model.parameters() if p.requires_grad]
        # one pass over memory instead of a dozen; not every device has it, so torch's own choice elsewhere
        fused = all(p.device.type in ("cpu", "cuda") for p in taught)
        optimizer = torch.optim.Adam(taught, lr=self.learning_rate, fused=fused or None)
        steps = max(1, int(self.trainer.estimated_stepping_batches))
        warmup = min(WARMUP_STEPS, steps // 10)

        def rate(step: int) -> float:
            if step < warmup:
                return (step + 1) / warmup
            done = min(1.0, (step - warmup) / max(1, steps - warmup))
            return 1.0 if self.schedule == "constant" else 0.5 * (1.0 + math.cos(math.pi * done))

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_train_batch_start(self, batch: Tensor, batch_idx: int) -> None:
        """Let the running statistics of batch norms be plain means at first, so that short runs evaluate right."""
        for norm in self.model.modules():
            if isinstance(norm, torch.nn.BatchNorm1d):
                norm.momentum = max(NORM_MOMENTUM, 1.0 / (self.global_step + 1))

    def clouds(self, batch: Tensor, generator: Generator) -> Tensor:
        """The clouds [B, points, 3] that a step sees of a loader's batch."""
        return random_subset(batch, self.points, generator)

    def training_step(self, batch: Tensor, index: int) -> Tensor:
        """The loss of one batch of clouds [B, N, 3]; every term is logged raw and weighted, in nats a shape."""
        step, size = self.global_step, len(batch)
        generator = generator_for(self.seed, TRAIN, step, 0, device=batch.device)  # one for all processes
        with global_batch(), unwatched():
            clouds = self.clouds(batch, generator)
            terms = self.objective(self.model, clouds, generator=generator, step=step)
        self.finite.note_terms(terms, step, self.current_epoch, index)
        loss = reduce_terms(terms)
        self.latest = {"loss": loss.detach()} | {n: t.value.detach().mean() for n, t in terms.items()}
        told = {f"train/{name}": value for name, value in self.latest.items()}
        told |= {f"train/weighted/{name}": term.weight * self.latest[name] for name, term in terms.items()}
        self.means.add(told, size)
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Stop before weights are changed by what is not finite."""
        scaled = getattr(self.trainer.precision_plugin, "scaler", None) is not None
        self.finite.note_gradient([] if scaled else self.model.parameters())

    def on_train_epoch_end(self) -> None:
        """Start the next epoch's means, now that the callbacks have read this one's."""
        self.means.reset()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the means of the epoch so far; no checkpoint is made of what is not finite."""
        self.finite.look()
        checkpoint["means"] = self.means.state_dict(self.trainer)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the means of the epoch so far."""
        self.means.load_state_dict(checkpoint.get("means", {}), self.global_rank)

    @unwatched()
    def validation_step(self, batch: Tensor, index: int) -> None:
        """Terms, codes, reconstruction error, consistency gap and drift of held-out clouds [B, N, 3]."""
        generator = generator_for(self.seed, VALIDATE, index, device=batch.device)
        clouds = self.clouds(batch, generator)
        terms = self.objective(self.model, clouds, generator=generator, step=self.global_step)
        posterior = self.model.posterior(clouds)
        centre = along(posterior, posterior.mean)
        moved = self.model.posterior(self.gap_transform(clouds, None, generator))
        again, _ = decoded(self.model, centre.z, clouds, generator=generator)
        back = self.model.posterior(again)
        self._held.append(
            {f"term/{name}": t.value for name, t in terms.items()}
            | {
                "loss": reduce_terms(terms).expand(len(batch)),
                "mean": centre.z,
                "std": centre.stddev,
                "kl": kl_to_prior(centre),
                "cd_l2_mean": chamfer_distance(self.model.decode(centre.z), clouds),
                "consistency_gap": kl_between(moved, posterior).sum(dim=1),
                "drift": kl_between(back, posterior).sum(dim=1),
                "drift_distance": (back.mean - centre.z).square().mean(dim=1).sqrt(),
            }
        )

    def on_validation_epoch_end(self) -> None:
        """Log what the held-out shapes say of the latents."""
        held = {name: torch.cat([part[name] for part in self._held]) for name in self._held[0]}
        self._held.clear()
        self.kl_per_dimension = held["kl"].mean(dim=0).cpu()
        size = len(held["mean"])
        spread = held["mean"].var(dim=0, unbiased=False)
        values = {name.removeprefix("term/"): v.mean() for name, v in held.items() if name.startswith("term/")}
        values |= {name: held[name].mean() for name in ("loss", "cd_l2_mean", "consistency_gap", *DRIFT)}
        values["posterior_std"] = held["std"].mean()
        values["active_units"] = (spread > ACTIVE_VARIANCE).sum().float()
        for name, value in values.items():
            self._log(f"val/{name}", value, size)

    def _log(self, name: str, value: Tensor, size: int) -> None:
        distributed = self.trainer.world_size > 1
        self.log(name, value, on_step=False, on_epoch=True, batch_size=size, sync_dist=distributed)
