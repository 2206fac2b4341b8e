"""A training that kills itself and all its processes (-9) at a step, for `test_resume_steps`; run as a script.

Arguments: dataset, run, processes, loading, resume (0 or 1), the step to die at (-1: none).
"""

import os
import signal
import sys
from pathlib import Path

from pointvae import fit
from pointvae.data.order import Order
from pointvae.models.build import build_model
from pointvae.training.module import TrainingModule
from tests.training.test_fit import CONFIG


def main() -> None:
    dataset, run, processes, loading, resume, last = sys.argv[1:]
    Order.__init__.__kwdefaults__.update(window=32, lanes=4)
    real = TrainingModule.training_step

    def step(self, batch, index):
        if self.global_step == int(last):
            os.killpg(0, signal.SIGKILL)
        made = real(self, batch, index)
        with (Path(run) / f"seen-{self.global_rank}.txt").open("a") as file:
            file.writelines(f"{self.global_step} {cloud[0, 0].item()!r}\n" for cloud in batch)
        return made

    TrainingModule.training_step = step
    machine = {"accelerator": "cpu", "devices": processes, "strategy": "ddp" if processes != "1" else "auto"}
    settings = {"epochs": 2, "batch_size": 8 // int(processes), "loading": loading, "checkpoint_every": 3}
    fit(build_model(CONFIG, 0), dataset, run, resume=resume == "1", **settings, **machine)


if __name__ == "__main__":
    main()
