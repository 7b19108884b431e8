"""``python -m cexport``."""

from npscatter.__main__ import run_by_name

if __name__ == "__main__":
    run_by_name("cexport.command", "export_c", "python -m cexport")
