"""Sources of shapes, the surface sampler, and the dataset folder that everything else reads."""
