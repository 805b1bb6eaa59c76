"""What a run has found, for people: drawings of networks, plots, and one page that opens offline."""

from nas.report.drawing import terminal_drawing
from nas.report.html import ReportFiles, write_report, write_report_files
from nas.report.svg import svg_drawing, svg_thumbnail

__all__ = [
    "ReportFiles",
    "svg_drawing",
    "svg_thumbnail",
    "terminal_drawing",
    "write_report",
    "write_report_files",
]
