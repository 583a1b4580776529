"""A page that runs a model in the browser and explains its numbers: one file, without a server."""

from handcraft.page.contents import Contents, of_checkpoint, of_compiled, of_foreign
from handcraft.page.data import page_data
from handcraft.page.html_file import SUFFIXES, Page, page_html, write_page
from handcraft.page.notebook import widget

__all__ = [
    "SUFFIXES",
    "Contents",
    "Page",
    "of_checkpoint",
    "of_compiled",
    "of_foreign",
    "page_data",
    "page_html",
    "widget",
    "write_page",
]
