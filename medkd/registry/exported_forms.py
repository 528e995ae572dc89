"""Exported forms below a registered version: ``forms/NAME/…`` with a record, every byte verified when they are fetched."""

from __future__ import annotations

from pathlib import Path

from data_contracts import CompressionError, ModelRef, load_record
from data_contracts.compression import ExportedForm
from medkd.registry.interface import Registry, resolve
from medkd.storage.store import sha256_file

#: Where forms lie below a version, the record of each, and the tag with its digest, which is set last: without it there is no form.
PLACE, RECORD, TAG = "forms", "form.json", "medkd.form."


def form_digests(registry: Registry, model: ModelRef) -> dict[str, str]:
    """Return the digest of the record of each form of a version, by name."""
    return {key.removeprefix(TAG): digest for key, digest in sorted(registry.tags(model).items()) if key.startswith(TAG)}


def attach_form(registry: Registry, model: ModelRef, form: ExportedForm, folder: Path) -> bool:
    """Put a form below its version and return whether it was not there before; one of the same name with other files is replaced.

    Args:
        registry: that holds the version.
        model: the version.
        form: record of what lies in the folder.
        folder: its files; ``form.json`` is written beside them.

    Raises:
        CompressionError: ``FORM_ALTERED`` when a file of the folder is not the one of the record.
    """
    known = form_digests(registry, model).get(form.name)
    if known is not None:
        there = _read_record(registry, model, form.name, known)
        # Differences that were measured vary in their last bits from run to run: the files decide.
        if there is not None and (there.files, there.kind, there.precision) == (form.files, form.kind, form.precision):
            there.write(folder / RECORD)
            return False
    _verify(folder, form)
    form.write(folder / RECORD)
    files: dict[str, list[Path]] = {}
    for name in (*sorted(form.files), RECORD):
        files.setdefault((Path(PLACE) / form.name / name).parent.as_posix(), []).append(folder / name)
    registry.attach(model, files, {f"{TAG}{form.name}": form.digest()})
    return True


def fetch_form(registry: Registry, uri: str, name: str) -> tuple[ExportedForm, Path]:
    """Return a form of a version and the folder of its files, every byte verified. The copy lives as long as the registry's object.

    Raises:
        RegistryError: ``MODEL_URI`` or ``VERSION_UNKNOWN``.
        CompressionError: ``FORM_UNKNOWN``, listing those that there are; ``FORM_ALTERED``, naming the file.
    """
    model = resolve(registry, uri)
    known = form_digests(registry, model)
    if name not in known:
        listed = ", ".join(known) or "none"
        raise CompressionError(
            "FORM_UNKNOWN", f"expected an exported form of {model.uri} ({listed}), got {name!r}; make it with `medkd export {model.uri}`"
        )
    form = _read_record(registry, model, name, known[name])
    if form is None:
        raise CompressionError("FORM_ALTERED", f"expected {RECORD} of the form {name} of {model.uri} as it was attached; export it again")
    folder: Path | None = None
    for file in sorted(form.files):
        copy = registry.fetch_attached(model.uri, f"{PLACE}/{name}/{file}")
        if copy is None:
            raise CompressionError("FORM_ALTERED", f"expected {file} of the form {name} of {model.uri}, it is gone; export it again")
        folder = copy.parents[len(Path(file).parts) - 1]
    if folder is None:
        raise CompressionError("FORM_ALTERED", f"expected files of the form {name} of {model.uri}, its record lists none; export it again")
    _verify(folder, form)
    return form, folder


def _read_record(registry: Registry, model: ModelRef, name: str, digest: str) -> ExportedForm | None:
    """Return the record of a form; None where it is gone, altered, or of another version."""
    path = registry.fetch_attached(model.uri, f"{PLACE}/{name}/{RECORD}")
    if path is None or sha256_file(path) != digest:
        return None
    form = load_record(path, ExportedForm)
    inside = all(not Path(file).is_absolute() and ".." not in Path(file).parts for file in form.files)
    return form if inside and form.source == model.lineage and form.name == name else None


def _verify(folder: Path, form: ExportedForm) -> None:
    for file, digest in sorted(form.files.items()):
        path = folder / file
        if not path.is_file() or sha256_file(path) != digest:
            raise CompressionError(
                "FORM_ALTERED",
                f"expected {file} of the form {form.name} with sha256 {digest[:12]}, it is missing or altered; export it again",
            )
