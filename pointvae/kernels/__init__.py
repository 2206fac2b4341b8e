"""Optional Triton kernels for NVIDIA GPUs, behind functions of the same meaning in plain torch.

Nothing here is needed: without Triton, on other devices and in double precision the plain forms do the same work.
``POINTVAE_KERNELS=0`` turns the kernels off. Import of this package is cheap; Triton is imported at the first use.
"""

from pointvae.kernels.availability import Availability, available
from pointvae.kernels.dispatch import log_density_by_kernel, nearest_by_kernel, serves, winners_by_kernel

__all__ = [
    "Availability",
    "available",
    "log_density_by_kernel",
    "nearest_by_kernel",
    "serves",
    "winners_by_kernel",
]
