"""What a run has found, for people: drawings of networks, plots, and one page that opens offline."""

from nas.report.drawing import svg_drawing, svg_thumbnail, terminal_drawing
from nas.report.html import ReportFiles, write_report, write_report_files

__all__ = [
    "ReportFiles",
    "svg_drawing",
    "svg_thumbnail",
    "terminal_drawing",
    "write_report",
    "write_report_files",
]
