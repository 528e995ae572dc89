"""Studies, a running server and browsers of tests of the served review."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import uvicorn

from data_contracts import Geometry, ReviewReport, SanityCheck, map_name, read_record
from medkd.review.caveats import compute_caveats
from medkd.review.shown import StudyArrays
from medkd.review.study_file import NAME, write_study_file

GOLDEN = Path(__file__).parent / "contracts" / "golden" / "review_2.json"
SHAPE = (12, 40, 48)
PASSWORD = "correct horse"


def one_report(place: int, *, lesions: int = 1, shape=SHAPE) -> tuple[ReviewReport, StudyArrays]:
    """Return a report with as many lesions side by side, and its arrays; ``place`` tells studies apart."""
    generator = np.random.default_rng(place)
    base = read_record(GOLDEN.read_bytes(), ReviewReport)
    one = base.explanations[0]
    geometry = Geometry(shape=shape, affine_lps_mm=one.volume.geometry.affine_lps_mm, spacing_mm=one.volume.geometry.spacing_mm, residual_mm=0.001)  # fmt: skip
    volume = one.volume.model_copy(
        update={"geometry": geometry, "study_key": f"study-{place:03d}", "series_key": f"series-{place:03d}", "patient_key": f"patient-{place:03d}"}
    )  # fmt: skip
    whole, kept, maps, found = np.zeros(shape, np.uint8), {}, [], []
    for number in range(1, lesions + 1):
        mask = np.zeros(shape, np.uint8)
        mask[3:7, 5 + 8 * (number - 1) : 11 + 8 * (number - 1), 12:24] = 1
        whole |= mask
        kept[f"mask/{number}"] = mask
        for ref in one.maps:
            name = map_name(number, ref.model_role, "grad_cam")
            kept[name] = (np.abs(generator.standard_normal(shape)) * mask * number + 0.02).astype(np.float32)
            maps.append(ref.model_copy(update={"tensor": name}))
        found.append(one.lesions[0].model_copy(update={"tracking_id": f"lesion-{number}", "key_slice": 4, "first_slice": 3, "last_slice": 6, "share_in_teacher": 0.9}))  # fmt: skip
    kept |= {"segmentation/student": whole, "segmentation/teacher": np.roll(whole, 1, 2)}
    passed = SanityCheck(name="randomisation", value=0.2, limit=0.5, passed=True)
    explanation = one.model_copy(
        update={
            "volume": volume, "lesions": tuple(found), "maps": tuple(maps), "teacher_only": (),
            "sanity_reports": (one.sanity_reports[0].model_copy(update={"checks": (passed,), "trusted": True, "samples": None}),),
        }
    )  # fmt: skip
    values = np.rint(40 * generator.standard_normal(shape) + 100 * whole).astype(np.float32)
    return base.model_copy(update={"explanations": (explanation,), "caveats": compute_caveats((explanation,))}), StudyArrays(
        values, (kept,), np.roll(whole, 1, 1)
    )


def write_studies(folder: Path, count: int, *, lesions: int = 1, shape=SHAPE) -> Path:
    """Write as many reports as a server reads them, and return the folder."""
    for place in range(count):
        report, arrays = one_report(place, lesions=lesions, shape=shape)
        own = folder / report.volume.series_key
        own.mkdir(parents=True, exist_ok=True)
        (own / "report.json").write_bytes(report.canonical_json())
        write_study_file(own / NAME, report, arrays)
    return folder


#: Clients that are open; those of a test are closed when it ends.
CLIENTS: list[httpx.Client] = []


class Browser:
    """A client with a session, which sends forms with the token of the page that it is on."""

    def __init__(self, address: str, name: str | None = None, password: str = PASSWORD) -> None:
        self.address = address
        self.client = httpx.Client(base_url=address, follow_redirects=True, timeout=30)
        CLIENTS.append(self.client)
        self.page = None
        if name is not None:
            self.get("/login")
            self.post("/login", name=name, password=password, next="/")
            assert self.page.status_code == 200, self.page.text

    def get(self, path: str, **options):
        self.page = self.client.get(path, **options)
        return self.page

    @property
    def token(self) -> str:
        return re.search(r'name="csrf" value="([^"]+)"', self.page.text)[1]

    def post(self, path: str, **fields):
        self.page = self.client.post(path, data={"csrf": self.token, **fields})
        return self.page

    def read(self, key: str, answer: str = "present"):
        self.get(f"/study/{key}")
        return self.post(f"/study/{key}/own-read", read=answer, seconds="4.2")

    def filled(self, **changes) -> dict:
        """Return a form of the study that is open, as its script would send it."""
        given = dict(re.findall(r'data-(\w+)="([^"]*)"', re.search(r'<form id="feedback"[^>]*>', self.page.text)[0]))
        findings = re.findall(r'data-finding="([^"]+)"', self.page.text)
        return {
            "schema_version": "feedback_form/1",
            "form": given["form"],
            "report": given["report"],
            "study_key": given["study"],
            "decision": "accept",
            "verdicts": [{"finding": name, "prediction": "agree", "explanation": "accepted"} for name in findings],
            "likert": dict.fromkeys(("understandable", "plausible", "certainty_fits", "useful"), 4),
            "seconds_on_page": 20.0,
            "seconds_with_overlay": 5.0,
            "page_version": given["version"],
            "supersedes": given["supersedes"] or None,
            "own_read": {"answer": "present", "seconds": 4.2},
            **changes,
        }

    def sign(self, key: str, form: dict, token: str | None = None):
        headers = {"Accept": "application/json", "X-CSRF-Token": self.token if token is None else token}
        return self.client.post(f"/study/{key}/feedback", json=form, headers=headers)


@contextlib.contextmanager
def running(app):
    """Serve an application on a free port and yield its address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", server_header=False, proxy_headers=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def with_accounts(app):
    """Give an application a reader or two and an administrator."""
    for name, role in (("anna", "reader"), ("ben", "reader"), ("chief", "administrator")):
        app.state.services.accounts.add(name, PASSWORD, role=role)
    return app
