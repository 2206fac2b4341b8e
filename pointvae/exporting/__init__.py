"""Trained models for other programs: ONNX and torch.export."""
