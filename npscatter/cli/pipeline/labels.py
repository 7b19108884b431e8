"""Labels of pictures: their folders, their classes in a shard, or a table."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePath

from npscatter.cli.pipeline.sources import PictureSource
from npscatter.cli.terminal import Failure

FOLDER, CLASS = "folder", "cls"


def labels_of(
    choice: str | None, sources: Sequence[PictureSource], names: list[str]
) -> list[str] | None:
    """Return a label for every picture, or None if there are none.

    Parameters
    ----------
    choice : str or None
        "folder": the name of the folder a picture is in; "cls": what the .cls member beside it in
        its tar file holds; otherwise a CSV file whose rows begin with a picture's name and its
        label: the name as it is here, or without its folders, if no other picture has that. A
        first row whose second word is "label" is a heading.
    sources : sequence of PictureSource
        Of the pictures.
    names : list of str
        Of all pictures.

    Raises
    ------
    Failure
        If the file cannot be read, or pictures have no label.
    """
    if choice is None:
        return None
    if choice == FOLDER:
        labels: list[str | None] = [PurePath(name).parent.name for name in names]
    elif choice == CLASS:
        labels = [label for one in sources for label in one.labels or [""] * len(one)]
    else:
        table = _table(Path(choice))
        last = Counter(PurePath(name).name for name in names)
        labels = [table.get(name, _by_last(table, name, last)) for name in names]
    lacking = [name for name, label in zip(names, labels, strict=True) if label in (None, "")]
    if lacking and choice != FOLDER:
        raise Failure(
            f"--labels {choice}: {len(lacking):,} of {len(names):,} pictures have no label, such "
            f"as {lacking[0]}; add them, or leave --labels out"
        )
    return [label or "" for label in labels]


def _by_last(table: dict[str, str], name: str, last: Counter[str]) -> str | None:
    """Return the label of a name without its folders, which are left out only where it is alone."""
    short = PurePath(name).name
    return table.get(short) if last[short] == 1 else None


def _table(path: Path) -> dict[str, str]:
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, csv.Error) as error:
        told = getattr(error, "strerror", None) or error
        raise Failure(
            f"--labels {path}: cannot be read ({told}); pass folder, cls, or a CSV file of names "
            "and labels"
        ) from None
    if any(len(row) < 2 for row in rows):
        raise Failure(f"--labels {path}: a row has no second column; write NAME,LABEL in each")
    if rows and rows[0][1].strip().lower() == "label":
        del rows[0]
    labels: dict[str, str] = {}
    for name, label, *_ in rows:
        if labels.setdefault(name, label) != label:
            raise Failure(
                f"--labels {path}: {name} has two labels, {labels[name]!r} and {label!r}; leave one"
            )
    return labels
