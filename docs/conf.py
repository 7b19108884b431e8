"""Sphinx configuration: ``sphinx-build -W --keep-going -n docs docs/_build/html``."""

import sys
from pathlib import Path

import click
from docutils import nodes
from latex2mathml.converter import convert
from sphinx_gallery.sorting import ExplicitOrder

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import npscatter  # noqa: E402
from docs import make_errors  # noqa: E402
from npscatter.cli.group import main  # noqa: E402

# Pages that are programs, in the order of the gallery.
GALLERY = [
    *("first_look.py", "rotations.py", "field_statistics.py", "synthesis.py"),
    *("own_pictures.py", "textures.py", "few_labels.py", "from_kymatio.py", "large_images.py"),
    "own_bank.py",
    *("firmware.py", "browser.py"),
    *("meaning.py", "choosing.py", "carriers.py", "measured.py", "limits.py"),
    "*",
]

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
    "sphinx_gallery.gen_gallery",
]
# sphinx-build -t spelling -b spelling; it needs the library enchant and a dictionary.
if tags.has("spelling"):  # noqa: F821
    extensions.append("sphinxcontrib.spelling")
    spelling_lang = "en_GB"
    spelling_word_list_filename = "words.txt"
# The gallery's headers stand on its pages.
exclude_patterns = ["_build", "_generated", "gallery", "explanations"]
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

sphinx_gallery_conf = {
    "examples_dirs": ["gallery", "explanations"],
    "gallery_dirs": ["auto_gallery", "auto_explanations"],
    # All of them are run, and one that fails fails the pages.
    "filename_pattern": r"\.py$",
    "subsection_order": ExplicitOrder(["gallery/see", "gallery/tell_apart", "gallery/elsewhere"]),
    "within_subsection_order": ExplicitOrder(GALLERY),
    "image_srcset": ["2x"],
    "doc_module": ("npscatter", "cexport"),
    "backreferences_dir": "api/examples",
    # Their page loads scripts from elsewhere; `docs.check_site` prints the times.
    "write_computation_times": False,
    "junit": "gallery.xml",
    "show_signature": False,
    "thumbnail_size": (420, 294),
    "remove_config_comments": True,
    # What is printed is shown, not what the last line of a cell is.
    "capture_repr": (),
    "download_all_examples": False,
}

# What errors say is quoted as it is printed.
smartquotes = False

# No script from elsewhere is needed.
html_math_renderer = "mathml"

html_theme = "furo"
html_title = f"npscatter {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
# Its words are no links that are underlined.
pygments_dark_style = "github-dark"
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


def write_errors(app) -> None:
    """Write what every public call refuses, for the page of errors."""
    page = Path(app.srcdir) / "_generated" / "errors.md"
    page.parent.mkdir(exist_ok=True)
    page.write_text(make_errors.page(), encoding="utf-8")


def _help(command: click.Command, context: click.Context) -> str:
    return f"```text\n{command.get_help(context)}\n```\n"


def write_inline_math(translator, node) -> None:
    """Write a formula in a line as browsers read it."""
    translator.body.append(convert(node.astext()))
    raise nodes.SkipNode


def write_math(translator, node) -> None:
    """Write a formula on a line of its own."""
    formula = convert(node.astext(), display="block")
    translator.body.append(f'<div class="math">{formula}</div>')
    raise nodes.SkipNode


def setup(app) -> None:
    """Connect what the pages need before they are read."""
    app.connect("builder-inited", write_commands)
    app.add_html_math_renderer("mathml", (write_inline_math, None), (write_math, None))
    app.connect("builder-inited", write_errors)
