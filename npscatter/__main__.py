"""``python -m npscatter``: the command line."""

from npscatter.cli import main

if __name__ == "__main__":
    main(prog_name="npscatter")
