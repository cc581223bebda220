"""Take the pictures of the page that README and docs show.

    python -m benchmarks page-pictures --work FOLDER --out docs/images

It makes the study of `cellucid-dask demo`, exports it, and drives the page as a reader would.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from benchmarks.page.browser import Page, running_browser
from benchmarks.serve.servers import find_free_port, running_server, serve_command
from cellucid_dask.commands.demo import run_demo

CELLS, GENES = 20_000, 2_000
SIZE = (1280, 720)
PATIENTS, T_CELLS = "filter=out:0:obs:condition", "filter=in:4:obs:lineage"


def open_composition(driver: webdriver.Chrome) -> None:
    """Show how the cell types of the conditions differ."""
    driver.find_element(By.ID, "composition-button").click()
    Select(driver.find_element(By.ID, "composition-bars")).select_by_visible_text("donor")
    Select(driver.find_element(By.ID, "composition-split")).select_by_visible_text("lineage")


# By the name of the file: the link, and what is done there.
PICTURES: dict[str, tuple[str, Callable[[webdriver.Chrome], None] | None]] = {
    "page-start": ("d=2", None),
    "page-gene": (f"d=2&color=gene:ISG15&{PATIENTS}&{T_CELLS}", None),
    "page-composition": ("d=2&color=obs:lineage", open_composition),
}


@click.command("page-pictures", help=__doc__.split("\n")[0])
@click.option("--work", type=click.Path(path_type=Path), required=True, help="Folder for the data.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of pictures.")
def command(work: Path, out: Path) -> None:
    """Take each picture in a page of its own."""
    run_demo(work, CELLS, GENES, lambda line: click.echo(line, err=True))
    port = find_free_port()
    with (
        running_server(serve_command(work / "demo", port), port),
        running_browser("{},{}".format(*SIZE)) as (driver, _),
    ):
        metrics = {"width": SIZE[0], "height": SIZE[1], "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        page = Page(driver)
        for name, (link, act) in PICTURES.items():
            page.open(f"http://127.0.0.1:{port}/#{link}")
            if act is not None:
                act(driver)
            page.settle()
            path = out / f"{name}.png"
            driver.save_screenshot(str(path))
            # 256 colors are enough for what the page shows, and a third of the bytes.
            Image.open(path).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
                path, optimize=True
            )
            click.echo(f"{path}: {path.stat().st_size:,} bytes")
