"""The command ``npscatter``: a group of one file per command, and of those other packages add."""

from __future__ import annotations

from importlib.metadata import entry_points

import click

import npscatter
from npscatter.cli.banks import banks
from npscatter.cli.bounds import bounds
from npscatter.cli.demo import demo
from npscatter.cli.export_onnx import export_onnx
from npscatter.cli.export_taps import export_taps
from npscatter.cli.plot_bank import plot_bank
from npscatter.cli.transform import transform


class _Commands(click.Group):
    """The commands added below, and those of packages that name this group as an entry point."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(
            {*super().list_commands(ctx), *entry_points(group="npscatter.commands").names}
        )

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        command = super().get_command(ctx, cmd_name)
        if command is None:
            for added in entry_points(group="npscatter.commands", name=cmd_name):
                return added.load()
        return command


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Examples:
  npscatter demo
  npscatter transform photos/ -o features.npz
  npscatter plot-bank accurate -o filters.png
  npscatter COMMAND --help""",
)
@click.version_option(npscatter.__version__, prog_name="npscatter")
def main() -> None:
    """2-D wavelet scattering with small learned filters."""


for command in (demo, transform, banks, plot_bank, bounds, export_onnx, export_taps):
    main.add_command(command)
