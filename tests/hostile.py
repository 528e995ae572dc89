"""What people and strangers may hand to a command that is not what it asks for; and the commands that take a file or a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import flows

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
#: Things that are no recipe, no policy, no table, no DICOM and no store, by what is wrong with them.
THINGS = ("missing", "empty", "folder", "junk", "huge", "ünïcödé 名.yaml", "list", "laughs", "deep", "twice", "itself", "wide", "zero", "latin", "dangling", "under/file")  # fmt: skip

RECIPE_COMMANDS = {
    "plan": (), "cross-validate": (),
    "run": (), "extract-knowledge": (), "experiment": (), "evaluate": (), "explain": (),
    "distill": ("--knowledge", "models:/x-knowledge/1"), "inspect-model": ("--model", "models:/x/1"),
    "explain-model": ("--model", "models:/x/1"), "redistill": ("--feedback", "."), "compress": (),
}  # fmt: skip
#: Command → what is typed for one thing; the registry is one without models, the run is its folder, an empty folder lies beside.
COMMANDS: dict[str, Callable[[Path, str, Path], tuple[object, ...]]] = {
    **{
        name: lambda thing, registry, _, name=name, more=more: (
            name, thing, *more, *(("--tracking-uri", registry) if name in ("distill", "inspect-model", "explain-model") else ())
        )
        for name, more in RECIPE_COMMANDS.items()
    },
    "recipe check": lambda thing, *_: ("recipe", "check", thing),
    "recipe show": lambda thing, *_: ("recipe", "show", thing),
    "plan-recipe": lambda thing, *_: ("plan-recipe", thing, "--out", "planned.yaml"),
    "recipe new --out": lambda thing, *_: ("recipe", "new", "images", thing / "under"),
    "ingest": lambda thing, *_: ("ingest", thing, "--out", "store"),
    "ingest --policy": lambda thing, _, empty: ("ingest", empty, "--out", "other", "--policy", thing),
    "deidentify": lambda thing, *_: ("deidentify", thing, "--out", "share"),
    "run-study": lambda thing, registry, _: ("run-study", thing, "--out", "study", "--model", "models:/x/1", "--tracking-uri", registry),
    "explain-study": lambda thing, registry, _: (
        "explain-study", thing, "--out", "explained", "--model", "models:/x/1", "--tracking-uri", registry
    ),
    "report-store": lambda thing, registry, _: ("report-store", thing, "--run", Path(registry.removeprefix("sqlite:///")).parent),
    "report-store --run": lambda thing, _, empty: ("report-store", empty, "--run", thing),
    "replay": lambda thing, registry, _: ("replay", "abcdef", "--in", thing, "--tracking-uri", registry),
    "evaluate-folder": lambda thing, registry, _: (
        "evaluate-folder", thing, "--model", "models:/x/1", "--out", "out", "--tracking-uri", registry
    ),
    "demo --out": lambda thing, *_: ("demo", "--size", "smoke", "--out", thing / "under"),
    "phantom --out": lambda thing, *_: ("phantom", "--studies", 1, "--out", thing / "under"),
    "redistill --feedback": lambda thing, _, empty: (
        "redistill", Path(flows.__file__).parent / "recipes" / "phantom-classification.yaml", "--feedback", thing, "--reports", empty, "--engine", "none"
    ),
    "benchmark-explainers --out": lambda thing, *_: ("benchmark-explainers", "--cases", 2, "--out", thing / "under"),
}  # fmt: skip


def write_things(root: Path) -> Path:
    """Write one of each; return where they lie."""
    (root / "empty").touch()
    (root / "folder").mkdir()
    (root / "junk").write_bytes(bytes(range(256)) * 64)
    with (root / "huge").open("wb") as stream:
        stream.truncate(2**28)
    texts = {
        "ünïcödé 名.yaml": "名: [é, 'ü']\n", "list": "- 1\n- 2\n", "laughs": LAUGHS, "deep": "[" * 3000, "twice": "name: a\nname: b\n",
        "itself": "a: &a [*a]\n", "wide": "a: 2020-99-99\n", "zero": "a: \0\n", "latin": "",
    }  # fmt: skip
    for name, text in texts.items():
        (root / name).write_text(text, encoding="utf-8")
    (root / "latin").write_bytes("name: Müller\n".encode("latin-1"))
    (root / "dangling").symlink_to(root / "nowhere")
    return root
