"""Sphinx configuration: ``sphinx-build -W --keep-going -n docs docs/_build/html``."""

import sys
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import npscatter  # noqa: E402
from npscatter.cli.group import main  # noqa: E402

project = "npscatter"
author = "the npscatter maintainers"
project_copyright = "the npscatter maintainers"
release = version = npscatter.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "_generated"]
default_role = "py:obj"
nitpicky = True
# A name with a dot in single backticks must exist; a bare one may be a parameter's. No inventory of
# another project is loaded, so that the pages build without a network.
nitpick_ignore_regex = [("py:obj", r"\w+"), ("py:class", r"\w+"), ("py:exc", r"\w+")]

templates_path = ["_templates"]
autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

html_theme = "furo"
html_title = f"npscatter {release}"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
# Prompts are not copied.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def write_commands(app) -> None:
    """Write what every command says with ``--help``, for the page of the command line."""
    top = click.Context(main, info_name="npscatter", terminal_width=88, **main.context_settings)
    lines = [_help(main, top)]
    for name in main.list_commands(top):
        command = main.get_command(top, name)
        context = click.Context(command, parent=top, info_name=name, terminal_width=88)
        lines += [f"## {name}\n", _help(command, context)]
    page = Path(app.srcdir) / "_generated" / "commands.md"
    page.parent.mkdir(exist_ok=True)
    page.write_text("\n".join(lines), encoding="utf-8")


def _help(command: click.Command, context: click.Context) -> str:
    return f"```text\n{command.get_help(context)}\n```\n"


def setup(app) -> None:
    """Connect what the pages need before they are read."""
    app.connect("builder-inited", write_commands)
