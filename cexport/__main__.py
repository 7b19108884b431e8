"""``python -m cexport``."""

from npscatter.__main__ import run

if __name__ == "__main__":
    run("cexport.command", "export_c", "python -m cexport")
