"""The viewer: one HTML file with the latent map, the shapes, and a decoder that runs in the page."""

from pointvae.visualization.viewer.page import Viewer
from pointvae.visualization.viewer.view import viewer

__all__ = ["Viewer", "viewer"]
