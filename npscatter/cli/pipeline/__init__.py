"""The work of ``npscatter transform``: read, transformed and written at once, batch by batch."""
