"""Where the baseline of a test is: `attention_baselines/<module>/<test>-<digest>.json`, beside the module.

Standard library only. Slugs are for readers and may collide; digests are of the full names and do not. Neither depends
on where the root of the project is, nor on how pytest was started.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from pathlib import Path

_LONGEST = 60
_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_VARIANT = re.compile(r"[A-Za-z0-9_-]{1,60}")
_OURS = re.compile(r"(.+)-[0-9a-f]{8}(?:\.([A-Za-z0-9_-]{1,60}))?\.json")


def module_directory(module: Path, directory: str) -> Path:
    """Return where the baselines of a test module are.

    Args:
        module: The module's file.
        directory: The name of the directory beside it.
    """
    stem = module.stem
    plain = _SAFE.fullmatch(stem) and len(stem) <= _LONGEST
    return module.parent / directory / (stem if plain else f"{_slug(stem)}-{_digest(stem)}")


def file_name(module: Path, test: str, name: str | None, variant: str | None) -> str:
    """Return the file name of a baseline.

    Args:
        module: The module's file.
        test: The test within it: "TestDogs::test_looks[3]".
        name: The baseline's own name, which then stands for the test.
        variant: What sets it apart from that of another platform.
    """
    # A test and a name that read alike are two baselines.
    whole = f"{module.name}::{test}" if name is None else f"{module.name} {name}"
    suffix = "" if variant is None else f".{variant}"
    return f"{_slug(test if name is None else name)}-{_digest(whole)}{suffix}.json"


def picture_of(path: Path) -> Path:
    """Return where the picture of a baseline is."""
    return path.with_suffix(".png")


def is_variant(value: object) -> bool:
    """Return whether a value can be a variant: up to 60 letters, digits, dashes and underscores, or None."""
    return value is None or (isinstance(value, str) and _VARIANT.fullmatch(value) is not None)


def baselines_in(directory: Path, variant: str | None) -> list[Path]:
    """Return the baselines of one variant in a module's directory; whatever else lies there is not ours."""
    return [path for path in all_baselines_in(directory) if parts_of(path)[1] == variant]


def all_baselines_in(directory: Path) -> list[Path]:
    """Return the baselines of every variant in a module's directory."""
    try:
        found = sorted(directory.iterdir())
    except OSError:
        return []
    return [path for path in found if _OURS.fullmatch(path.name) and path.is_file()]


def parts_of(path: Path) -> tuple[str, str | None]:
    """Return what the file name of a baseline says: a slug, and the variant or None."""
    match = _OURS.fullmatch(path.name)
    return ("", None) if match is None else (match[1], match[2])


def _slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9]+", "-", plain)[:_LONGEST].strip("-").lower() or "test"


def _digest(text: str) -> str:
    # Editors and file systems differ in how they compose accents.
    composed = unicodedata.normalize("NFC", text)
    return hashlib.sha256(composed.encode("utf-8", "surrogatepass")).hexdigest()[:8]
