from pathlib import Path


def write_report(results, page, *, dataset):
    Path(page).write_text("x")
