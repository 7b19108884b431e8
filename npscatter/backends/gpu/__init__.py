"""The program on NVIDIA GPUs: ``backend="cuda"``."""
