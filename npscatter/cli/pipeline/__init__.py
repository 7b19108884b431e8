"""The pipeline of ``npscatter transform``: what is read, computed side by side, and written."""
