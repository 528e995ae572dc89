"""Somebody else's code in a process of its own, which ends when its time is up."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from pydantic import ValidationError

from data_contracts import CatalogueError, FrozenModel
from medkd.loss_check.read_loss import require_file
from medkd.loss_check.verdict import LossReport


class CheckRequest(FrozenModel):
    """What the process is asked.

    Attributes:
        path: Python file, absolute.
        function: name of the callable in it; None takes ``loss`` or the one that is called as the file is.
        dims: numbers of spatial dimensions.
        out: file for the answer.
    """

    path: str
    function: str | None = None
    dims: tuple[int, ...] = (2, 3)
    out: str


class CheckAnswer(FrozenModel):
    """What the process found: a report, or why there is none.

    Attributes:
        report: of the check.
        code: of the error.
        message: of the error.
    """

    report: LossReport | None = None
    code: str = ""
    message: str = ""


def check_file(path: Path, function: str | None = None, *, seconds: float = 300.0, dims: tuple[int, ...] = (2, 3)) -> LossReport:
    """Check a loss in somebody's file. The file's code is run with the rights of whoever asks; what it prints is not shown.

    Args:
        path: Python file.
        function: name of the callable; None takes ``loss``, or the one that is called as the file is.
        seconds: after which the process is ended, with all that it started.
        dims: numbers of spatial dimensions.

    Raises:
        CatalogueError: ``LOSS_FILE``, ``LOSS_UNREADABLE``, ``LOSS_SIGNATURE`` and ``LOSS_FAILED`` as :func:`~medkd.loss_check.read_loss.file_loss` and
            :func:`~medkd.loss_check.check_loss.check_loss`; ``LOSS_TIME`` when it takes longer; ``LOSS_ENDED`` when the process ends without an answer.
    """
    require_file(path)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "answer.json"
        request = CheckRequest(path=str(path.resolve()), function=function, dims=dims, out=str(out))
        status = _run(request, seconds)
        if status is None:
            raise CatalogueError(
                "LOSS_TIME", f"expected {path.name} to be checked within {seconds:g} s, it was not; give more with --time-limit"
            )
        answer = _answer(out)
    if answer.report is not None:
        return answer.report
    raise CatalogueError(
        answer.code or "LOSS_ENDED",
        answer.message or f"expected the code of {path.name} to come back, its process ended with status {status} and no answer",
    )


def _run(request: CheckRequest, seconds: float) -> int | None:
    """Run the process and return its status; None where it was ended for its time."""
    command = [sys.executable, "-m", "medkd.loss_check.in_process"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, text=True, **quiet) as process:  # type: ignore[call-overload]
        try:
            process.communicate(request.model_dump_json(), timeout=seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            # The group: what the code started goes with it.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        status: int = process.returncode
        return status


def _answer(out: Path) -> CheckAnswer:
    try:
        return CheckAnswer.model_validate_json(out.read_bytes())
    except (OSError, ValidationError):
        return CheckAnswer()


def main() -> None:
    """Answer the request on standard input."""
    import torch

    from medkd.loss_check.check_loss import check_loss
    from medkd.loss_check.read_loss import file_loss

    request = CheckRequest.model_validate_json(sys.stdin.read())
    torch.set_num_threads(1)  # networks this small are slower on several
    try:
        answer = CheckAnswer(report=check_loss(file_loss(Path(request.path), request.function), dims=request.dims))
    except CatalogueError as error:
        answer = CheckAnswer(code=error.code, message=str(error))
    Path(request.out).write_text(answer.model_dump_json(), encoding="utf-8")


if __name__ == "__main__":
    main()
