"""Names that commands and options had before: still read by this version, with one line that names the new ones."""

from __future__ import annotations

from collections.abc import Iterator

#: Commands that are called otherwise now.
COMMANDS = {
    "extract": "extract-knowledge",
    "catalogue": "list",
    "inspect": "inspect-model",
    "planted-truth": "benchmark-explainers",
    "report": "report-store",
}
#: Options that are called otherwise now, by the (new) command that has them.
OPTIONS = {
    "explain-study": {"--seconds": "--time-budget"},
    "deidentify": {"--kept": "--quarantine-folder"},
    "evaluate-folder": {"--pair-by": "--patient-pattern"},
}


def read_old_names(arguments: list[str]) -> tuple[list[str], str]:
    """Return a command line in today's names.

    Args:
        arguments: what was typed behind the name of the program.

    Returns:
        The arguments, and the line that says what they are called now; an empty line where nothing had to be translated.
    """
    place = next((place for place, argument in enumerate(arguments) if not argument.startswith("-")), None)
    if place is None:
        return arguments, ""
    before, typed, rest = arguments[:place], arguments[place], arguments[place + 1 :]
    command, rest, said = _command(typed, rest)
    known = OPTIONS.get(command, {})
    for old, new in known.items():
        if any(_is(argument, old) for argument in rest):
            rest = [new + argument.removeprefix(old) if _is(argument, old) else argument for argument in rest]
            said = [*said, f"`{old}` is `{new}`"]
    if not said:
        return arguments, ""
    return [*before, command, *rest], f"renamed: {', '.join(said)}; this version is the last to read the old names"


def _command(typed: str, rest: list[str]) -> tuple[str, list[str], list[str]]:
    """Return the command that is meant, its arguments, and what to say of it; commands with several modes were split by their modes."""
    if typed in COMMANDS:
        return COMMANDS[typed], rest, [f"`medkd {typed}` is `medkd {COMMANDS[typed]}`"]
    given = {argument.partition("=")[0] for argument in rest}
    if typed == "explain" and "--study" in given:
        return "explain-study", _first(rest, "--study"), ["`medkd explain --study STUDY` is `medkd explain-study STUDY`"]
    if typed == "explain" and "--model" in given:
        return "explain-model", rest, ["`medkd explain RECIPE --model` is `medkd explain-model RECIPE --model`"]
    if typed == "evaluate" and given & {"--data", "--model"}:
        return "evaluate-folder", _first(rest, "--data"), ["`medkd evaluate --data FOLDER` is `medkd evaluate-folder FOLDER`"]
    return typed, rest, []


def _first(arguments: list[str], option: str) -> list[str]:
    """Return the arguments with the value of an option as the first of them, without the option."""
    values, others = [], []
    remaining: Iterator[str] = iter(arguments)
    for argument in remaining:
        if argument == option:
            values += [value for value in [next(remaining, None)] if value is not None]
        elif _is(argument, option):
            values.append(argument.removeprefix(f"{option}="))
        else:
            others.append(argument)
    return [*values, *others]


def _is(argument: str, option: str) -> bool:
    return argument == option or argument.startswith(f"{option}=")
