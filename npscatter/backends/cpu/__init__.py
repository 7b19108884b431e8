"""The program on the CPU's vector units: ``backend="numba"``."""
