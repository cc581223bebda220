"""Hooks of the build: the native library in the wheel, and README.md as registries show it.

The library is compiled where there is a compiler. Without one the wheel has no library and fits all
machines; the package then uses numpy.
"""

from __future__ import annotations

import ctypes
import os
import re
import runpy
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface
from packaging.tags import platform_tags

LINK = re.compile(r"(\]\(|src=\")(?![a-z]+:|#)([^)\"\s]+)")


class ReadmeMetadataHook(MetadataHookInterface):
    """README.md as the description, which is shown where its relative links lead nowhere."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Make links absolute: to the files of the tag of this version."""
        source, tag = metadata["urls"]["Source"], f"v{metadata['version']}"

        def absolute(link: re.Match[str]) -> str:
            kind = "raw" if link[2].endswith((".png", ".svg")) else "blob"
            return f"{link[1]}{source}/{kind}/{tag}/{link[2]}"

        text = Path(self.root, "README.md").read_text("utf-8")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": LINK.sub(absolute, text),
        }


class NativeBuildHook(BuildHookInterface):
    """Compile the library into the wheel, or in place for an editable installation."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before the wheel is made; a failure leaves the library out."""
        if os.environ.get("CELLUCID_DASK_NATIVE") == "0":
            self.app.display_info("native library: left out, as CELLUCID_DASK_NATIVE=0 asks")
            return
        native = Path(self.root, "cellucid_dask", "native")
        build = runpy.run_path(str(native / "build.py"))
        try:
            if version == "editable":
                library = native / build["LIBRARY"]
                if _fits(library, build):
                    self.app.display_info("native library: up to date")
                    return
            else:
                # The folder is removed together with this object.
                self._folder = TemporaryDirectory(prefix="cellucid-dask-build-")
                library = Path(self._folder.name, build["LIBRARY"])
            name = build["compile_library"](library)
        except (build["BuildError"], OSError) as error:
            self.app.display_warning(f"native library: left out, genes use numpy ({error})")
            return
        self.app.display_info(f"native library: compiled with {name}")
        if version != "editable":
            build_data["force_include"][str(library)] = f"cellucid_dask/native/{library.name}"
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{_platform(build['MACOS'])}"


def _fits(library: Path, build: dict[str, Any]) -> bool:
    """Whether a library is there that was made from the present sources for this machine."""
    try:
        ctypes.CDLL(str(library))
        return bool(build["is_current"](library))
    except OSError:
        return False


def _platform(macos: str) -> str:
    """Platform tag for what a compiler of this machine makes."""
    if sys.platform == "darwin":
        return f"macosx_{macos.replace('.', '_')}_{os.uname().machine}"
    # The tag that promises no version of glibc; a 32-bit Python on a 64-bit kernel has its own.
    return next(tag for tag in platform_tags() if tag.startswith("linux_"))
