"""What a trained model's latents are worth: probes, measures of the codes and of reconstruction, the report."""
