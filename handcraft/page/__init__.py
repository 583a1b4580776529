"""A page that runs a model in the browser and explains its numbers: one file, without a server."""

from handcraft.page.data import page_data
from handcraft.page.html_file import SUFFIXES, Page, page_html, write_page
from handcraft.page.notebook import widget
from handcraft.page.subject import Subject, of_checkpoint, of_compiled, of_model

__all__ = [
    "SUFFIXES",
    "Page",
    "Subject",
    "of_checkpoint",
    "of_compiled",
    "of_model",
    "page_data",
    "page_html",
    "widget",
    "write_page",
]
