"""How the documentation is built. Every page is executed; an error in a cell ends the build."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
from importlib.metadata import version as installed_version

project = "brainxr"
author = "brainxr developers"
copyright = "2026, brainxr developers"
version = release = installed_version("brainxr")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]

# no cache: a page shows what this version does, not what an earlier one did
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# no intersphinx: the build has to work without a network
autodoc_typehints = "none"  # the docstrings say the types
python_maximum_signature_line_length = 80
numpydoc_show_class_members = False
add_module_names = False

html_theme = "furo"
html_title = "brainxr"
html_static_path = ["_static"]
html_css_files = ["brainxr.css"]
html_show_sourcelink = False


def start_screen() -> None:
    """Start a virtual screen for the screenshots of napari, where there is no screen."""
    if sys.platform != "linux" or os.environ.get("DISPLAY") or not shutil.which("Xvfb"):
        return
    reader, writer = os.pipe()
    screen = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writer), "-screen", "0", "1600x1200x24", "-noreset"],
        pass_fds=[writer],
        stderr=subprocess.DEVNULL,
    )
    os.close(writer)
    atexit.register(screen.terminate)
    with os.fdopen(reader) as answer:
        os.environ["DISPLAY"] = f":{answer.readline().strip()}"


start_screen()
