"""What a recipe asks of a teacher and students that do not see the same: classes that labels never show, other images, a clinical row."""

from __future__ import annotations

from collections.abc import Iterator

from data_contracts import DicomData, ImageFolderData, PhantomData, Recipe, RecipeError, Task, TaskKind, TeacherRecipe, VolumeFolderData
from medkd.catalogue import NETWORKS, did_you_mean
from medkd.phantom.clinical import COLUMNS
from medkd.phantom.sequences import SEQUENCES
from medkd.training.mistake import FieldPath, Mistake

_HIDDEN: FieldPath = ("student", "hidden_classes")


def pair_mistakes(recipe: Recipe) -> Iterator[Mistake]:
    """Yield what cannot be in a recipe whose students are not shown what its teacher is."""
    if isinstance(recipe.data, PhantomData) and recipe.data.cysts and len(recipe.task.classes) != 3:
        sentence = f"expected three classes where the phantom draws cysts, got {list(recipe.task.classes)}"
        yield Mistake(("data", "cysts"), RecipeError("RECIPE_CLASSES", sentence))
    if recipe.student.hidden_classes:
        yield from _hidden_mistakes(recipe)
    broken = list(_name_mistakes(recipe))
    yield from broken
    if not broken:
        yield from _row_mistakes(recipe)
        yield from _difference_mistakes(recipe)


def _hidden_mistakes(recipe: Recipe) -> Iterator[Mistake]:
    hidden, classes = recipe.student.hidden_classes, recipe.task.classes

    def refused(place: FieldPath, sentence: str) -> Mistake:
        return Mistake(place, RecipeError("RECIPE_HIDDEN_CLASS", sentence))

    unknown = [name for name in hidden if name not in classes]
    shown = [name for name in (classes[1:] if recipe.task.kind.is_dense else classes) if name not in hidden]
    if unknown or len(set(hidden)) < len(hidden):
        yield refused(_HIDDEN, f"expected different classes of the task, {list(classes)}, as student.hidden_classes, got {list(hidden)}")
    elif recipe.task.kind is TaskKind.DETECTION:
        yield refused(_HIDDEN, "expected no hidden_classes in a recipe of a detection: it has one class of lesions; leave them out")
    elif recipe.task.kind.is_dense and classes[0] in hidden:
        yield refused(_HIDDEN, f"expected foreground classes as student.hidden_classes, got the background {classes[0]!r}")
    elif not shown:
        yield refused(_HIDDEN, f"expected a class that the students' labels show, all of {list(hidden)} are hidden: leave one out")
    if recipe.experiment is not None:
        sentence = "expected no experiment beside student.hidden_classes: its choices are made on cases that show the class; leave it out"
        yield refused(("experiment",), sentence)


def _inputs(place: FieldPath, sentence: str) -> Mistake:
    return Mistake(place, RecipeError("RECIPE_INPUTS", sentence))


def _teachers(recipe: Recipe) -> dict[FieldPath, TeacherRecipe]:
    """Return the teachers that are trained, by their place: a registered one is known when it is fetched."""
    named: dict[FieldPath, TeacherRecipe] = {("teacher",): recipe.teacher}
    named |= {("teachers", name): one for name, one in recipe.teachers.items()}
    return {place: one for place, one in named.items() if one.registered is None}


def _name_mistakes(recipe: Recipe) -> Iterator[Mistake]:
    """Yield images and columns that the data have not, or that are none of the task's."""
    task, data = recipe.task, recipe.data
    if isinstance(data, PhantomData):
        yield from (_unknown(("task", "channels"), name, SEQUENCES) for name in task.channels if name not in SEQUENCES)
        yield from (_unknown(("task", "clinical"), name, COLUMNS) for name in task.clinical if name not in COLUMNS)
    if isinstance(data, VolumeFolderData) and data.dataset is None:  # what a list names is known when it is read
        held = tuple(data.channels)
        yield from (_unknown(("task", "channels"), name, held) for name in task.channels if name not in held)
    if isinstance(data, DicomData):
        yield from _dicom_mistakes(task, data)
    if isinstance(data, ImageFolderData) and task.channels:
        sentence = f"expected no task.channels of folders of pictures, whose cases have one image, got {list(task.channels)}"
        yield _inputs(("task", "channels"), sentence)
    if isinstance(data, DicomData) and task.clinical:
        yield _inputs(("task", "clinical"), f"expected no task.clinical of DICOM studies, which have no table, got {list(task.clinical)}")
    known = (*task.image_names, *task.clinical)
    inputs: dict[FieldPath, tuple[str, ...]] = {place: one.inputs for place, one in _teachers(recipe).items()}
    for place, own in {**inputs, ("student",): recipe.student.inputs}.items():
        yield from (_unknown((*place, "inputs"), name, known) for name in own if name not in known)
        if own and not set(own) & set(task.image_names):
            sentence = f"expected an image among the inputs of {place[-1]}, one of {list(task.image_names)}, got {list(own)}"
            yield _inputs((*place, "inputs"), sentence)
    needed = [name for name in recipe.student.inputs if name in task.clinical]
    if needed:
        sentence = f"expected images alone as student.inputs, got the clinical column {needed[0]!r}: students must do without the row; leave it out"
        yield _inputs(("student", "inputs"), sentence)


def _dicom_mistakes(task: Task, data: DicomData) -> Iterator[Mistake]:
    """Yield what of several images of a DICOM study cannot be: which volumes they are must be said, and only volumes can share a grid."""
    if task.channels and not data.channels:
        sentence = f"expected data.channels, which says which volumes of a study are {list(task.channels)}, got none: add it or leave task.channels out"
        yield _inputs(("task", "channels"), sentence)
        return
    yield from (_unknown(("task", "channels"), name, tuple(data.channels)) for name in task.channels if name not in data.channels)
    if data.channels and not task.channels:
        yield _inputs(("task", "channels"), f"expected task.channels, which of {list(data.channels)} networks see, got none")
    if data.channels and task.spatial_dims == 2:
        yield _inputs(
            ("data", "channels"), "expected volumes, whose places in the patient are known, as several images of a case, got pictures"
        )


def _unknown(place: FieldPath, name: str, known: tuple[str, ...]) -> Mistake:
    return _inputs(place, f"expected {'.'.join(map(str, place))} among {list(known)}, got {name!r}{did_you_mean(name, known)}")


def _row_mistakes(recipe: Recipe) -> Iterator[Mistake]:
    """Yield networks that could not read the row that they get, and settings that would change it."""
    for place, one in _teachers(recipe).items():
        seen = recipe.task.seen_through(one.inputs) if one.inputs else recipe.task
        reads = NETWORKS.entry(one.network.builder).fact("ROW", False)
        if seen.clinical and not reads:
            sentence = f"expected a network that reads a clinical row (resnet_with_row) where {place[-1]} sees {list(seen.clinical)}, got {one.network.builder!r}"
            yield _inputs((*place, "network", "builder"), sentence)
        if seen.clinical and one.fit.strong is not None:
            yield _inputs(
                (*place, "fit", "strong"), f"expected no strong augmentation of {place[-1]}, which reads a clinical row: leave it out"
            )
    if recipe.task.clinical and recipe.knowledge.views:
        sentence = f"expected knowledge.views: 0 beside a clinical row, whose views are not drawn, got {recipe.knowledge.views}"
        yield _inputs(("knowledge", "views"), sentence)


def _difference_mistakes(recipe: Recipe) -> Iterator[Mistake]:
    """Yield what needs networks that see the same, of a recipe whose networks do not."""
    own = recipe.student_task()
    if recipe.task == own == recipe.teacher_task():
        return
    if recipe.experiment is not None:
        yield _inputs(
            ("experiment",),
            "expected no experiment where teacher and students see different inputs: it is not there for them; leave it out",
        )
    for name, arm in recipe.arms.items():
        if arm.init == "compressed_teacher" and recipe.teacher_task() != own:
            sentence = f"expected another init of arm {name!r}: the compressed teacher would need {list(recipe.teacher_task().input_names)} of a student that sees {list(own.input_names)}"
            yield _inputs(("arms", name, "init"), sentence)
