"""A toolchain of two tiny packages, for tests of what installs toolchains and of what calls their workers."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

from npuface_export.toolchains import Toolchain

TINY = Toolchain(
    name="tiny",
    title="Tiny's Compiler",
    main="tiny-tool",
    compilers=("tiny",),
    licence="the Tiny licence",
    licence_url="https://tiny.example/licence",
    disk_mb=1,
    packages=("tiny_part==1.0", "tiny-tool==2.1"),
    newest_python=(3, 99),
)


def installed(toolchain: Toolchain) -> None:
    """An environment without packages and with the note that it has them."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(toolchain.folder)], check=True)
    toolchain.write_ready({})


def write_wheel(folder: Path, name: str, version: str, requires: str = "not-there==9") -> None:
    """A wheel of one module, made without any tool."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = '{version}'\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Dist: {requires}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text)}\n"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            wheel.writestr(path, text)
