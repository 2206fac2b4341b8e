"""Pictures of clouds and latents, and clouds as files."""
