"""Archives that speak DICOMweb: QIDO-RS to ask, WADO-RS to fetch, STOW-RS to store (PS3.18 8.3, 10.4 to 10.6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from data_contracts import DataError, NetworkError
from medkd.network.installed import require_network
from medkd.network.mirror import Instance, StudyMirror
from medkd.network.retry import Transient
from medkd.network.secure import AUTHORITY, CERTIFICATE, KEY, bearer_token
from medkd.network.whole_dataset import UID_FORM

if TYPE_CHECKING:
    import requests

T = TypeVar("T")
#: Seconds for a connection, and between two pieces of an answer.
TIMEOUT_S = (10.0, 60.0)
#: Answers asked for at once; archives that give fewer are asked until they give none.
PAGE = 500
#: Answers that mean: not now.
_NOT_NOW = frozenset((408, 425, 429, 500, 502, 503, 504))
_STUDY, _SERIES, _CLASS, _INSTANCE = "0020000D", "0020000E", "00080016", "00080018"
_REFERENCED, _FAILED, _FAILURE, _REFERENCED_INSTANCE = "00081199", "00081198", "00081197", "00081155"
#: As it is stored, in whatever encoding: nothing is decoded on the way.
_ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_PIECE = 1 << 18


class WebArchive:
    """An origin server of DICOMweb.

    Args:
        url: of its root.
        tls: folder of certificates.
        page: answers asked for at once.
        timeout_s: for a connection, and between two pieces of an answer.

    Raises:
        MissingDependencyError: ``NETWORK_LIBRARIES``.
        NetworkError: ``NETWORK_TOKEN``, ``TLS_FILES``.
    """

    def __init__(self, url: str, *, tls: Path | None = None, page: int = PAGE, timeout_s: tuple[float, float] = TIMEOUT_S) -> None:
        require_network()
        from dicomweb_client import DICOMwebClient

        self.url, self._page, self._timeout_s = url, page, timeout_s
        self._session = _session(url, tls)
        try:
            self._client: Any = DICOMwebClient(url, session=self._session, timeout=timeout_s)
        except ValueError as error:
            raise NetworkError("NETWORK_URI", f"expected the root of a DICOMweb service, got {url!r}") from error
        # Tried again by ourselves: this library waits up to half a minute, and knows of no connection that breaks off.
        self._client.set_http_retry_params(retry=False)

    def studies(self, keys: tuple[tuple[str, str], ...]) -> list[str]:
        """Return the StudyInstanceUIDs of the studies that have the keys (QIDO-RS)."""
        filters = dict(keys)
        found = self._pages(
            lambda limit, offset: self._client.search_for_studies(search_filters=filters, limit=limit, offset=offset), _STUDY
        )
        return [_value(one, _STUDY) for one in found]

    def instances(self, study: str) -> list[Instance]:
        """Return every object of a study (QIDO-RS)."""
        found = self._pages(lambda limit, offset: self._client.search_for_instances(study, limit=limit, offset=offset), _INSTANCE)
        listed = [Instance(_value(one, _SERIES), _value(one, _INSTANCE), _value(one, _CLASS)) for one in found]
        strange = [one for one in listed if not UID_FORM.match(one.sop_instance_uid) or not UID_FORM.match(one.series_instance_uid)]
        if strange:
            raise NetworkError("PEER_ANSWER", f"expected UIDs of series and instances from {self.url}, got {strange[0]}")
        return listed

    def fetch(self, study: str, wanted: list[Instance], mirror: StudyMirror) -> None:
        """Bring objects one by one (WADO-RS)."""
        for one in wanted:
            place = f"{self.url}/studies/{study}/series/{one.series_instance_uid}/instances/{one.sop_instance_uid}"
            self._asked(lambda place=place, one=one: self._fetch(place, one, mirror))  # type: ignore[misc]

    def stored(self, study: str) -> set[str]:
        """Return the identifiers of the objects of a study that the archive holds; none where it does not know the study."""
        return {one.sop_instance_uid for one in self.instances(study)}

    def store(self, payloads: Iterable[bytes]) -> dict[str, int]:
        """Store DICOM files (STOW-RS).

        Returns:
            Of the objects that were refused, the failure reason (0008,1197) by SOP Instance UID.
        """
        return self._asked(lambda: self._store(list(payloads)))

    def _fetch(self, place: str, one: Instance, mirror: StudyMirror) -> None:
        with self._session.get(place, headers={"Accept": _ACCEPT}, stream=True, timeout=self._timeout_s) as response:
            response.raise_for_status()
            if response.headers.get("Content-Type", "").lower().startswith("multipart/"):
                parts: Iterator[bytes] = self._client._decode_multipart_message(response, stream=True)
                payload: Iterable[bytes] = (next(parts, b""),)
            else:
                payload = response.iter_content(_PIECE)
            try:
                mirror.keep(payload, one.sop_instance_uid)
            except DataError as error:
                # An answer that was cut off where nothing tells it from a whole one.
                raise Transient from error

    def _store(self, payloads: list[bytes]) -> dict[str, int]:
        content = self._client._encode_multipart_message(payloads, _STORED)
        headers = {"Content-Type": _STORED, "Accept": "application/dicom+json"}
        response = self._session.post(f"{self.url}/studies", data=content, headers=headers, timeout=self._timeout_s)
        if response.status_code not in (HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.CONFLICT):
            response.raise_for_status()
        try:
            answer = response.json() if response.content else {}
        except ValueError:
            answer = {}
        answer = answer[0] if isinstance(answer, list) and answer else answer
        failed = answer.get(_FAILED, {}).get("Value", []) if isinstance(answer, dict) else []
        return {_value(one, _REFERENCED_INSTANCE): int(_value(one, _FAILURE) or 0x0110) for one in failed}

    def _pages(self, ask: Callable[[int, int], list[dict[str, Any]]], tag: str) -> list[dict[str, Any]]:
        """Return the answers of all pages, each once: some archives answer with less than a page, some with the same one again."""
        found: dict[str, dict[str, Any]] = {}
        offset = 0
        while True:
            answers = self._asked(partial(ask, self._page, offset))
            new = {key: one for one in answers if (key := _value(one, tag)) and key not in found}
            found |= new
            offset += len(answers)
            if not new:
                return list(found.values())

    def _asked(self, action: Callable[[], T]) -> T:
        """Return what a request returns; turn what goes wrong into an error of ours, transient where another attempt may help."""
        import requests

        try:
            return action()
        except requests.exceptions.SSLError as error:
            raise NetworkError("TLS_REFUSED", f"expected {self.url} with a certificate that is trusted: {_reason(error)}") from error
        except requests.Timeout as error:
            raise Transient from self._caused(
                error, "QIDO_TIMEOUT", f"expected an answer of {self.url} within {self._timeout_s[1]:g} s, none came"
            )
        except requests.HTTPError as error:
            trouble = self._refused(error)
            raise trouble from trouble.__cause__ or error
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError) as error:
            raise Transient from self._caused(
                error, "PEER_UNREACHABLE", f"expected {self.url} to answer, the connection failed: {_reason(error)}"
            )
        except (requests.RequestException, ValueError) as error:
            raise NetworkError("PEER_ANSWER", f"expected DICOMweb of {self.url}, got {type(error).__name__}: {str(error)[:200]}") from error

    def _refused(self, error: requests.HTTPError) -> Exception:
        answer = error.response
        status = 0 if answer is None else answer.status_code
        words = f"{status} {'' if answer is None else answer.reason}"
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return NetworkError(
                "PEER_REFUSED", f"expected {self.url} to let us in, it answers {words}; put a token into MEDKD_DICOMWEB_TOKEN"
            )
        known = NetworkError("PEER_REFUSED", f"expected {self.url} to answer, it answers {words}")
        if status not in _NOT_NOW:
            return known
        trouble = Transient(words)
        trouble.__cause__ = known
        return trouble

    @staticmethod
    def _caused(error: Exception, code: str, sentence: str) -> NetworkError:
        found = NetworkError(code, sentence)
        found.__cause__ = error
        return found


#: PS3.18 10.5.2; the boundary is one of the library's multipart messages.
_STORED = 'multipart/related; type="application/dicom"; boundary="0f3cf5c0-70e0-41ef-baef-c6f9f65ec3e1"'


def _session(url: str, tls: Path | None) -> requests.Session:
    import requests

    session = requests.Session()
    # Netrc and proxies of the environment would send what they hold to whoever is asked.
    session.trust_env = False
    token = bearer_token(url)
    if token is not None:
        session.headers["Authorization"] = f"Bearer {token}"
    if tls is not None:
        if not tls.is_dir():
            raise NetworkError("TLS_FILES", f"expected a folder with {AUTHORITY}, or {CERTIFICATE} and {KEY}, at {tls}, there is none")
        if (tls / AUTHORITY).is_file():
            session.verify = str(tls / AUTHORITY)
        if (tls / CERTIFICATE).is_file():
            session.cert = (str(tls / CERTIFICATE), str(tls / KEY))
    return session


def _value(answer: dict[str, Any], tag: str) -> str:
    values = answer.get(tag, {}).get("Value", []) if isinstance(answer, dict) else []
    return str(values[0]) if values else ""


def _reason(error: BaseException) -> str:
    """Return the innermost reason of a failed connection, without addresses that hold keys of a query."""
    inner: BaseException = error
    while (below := inner.__cause__ or inner.__context__) is not None:
        inner = below
    return f"{type(inner).__name__}: {str(inner)[:160]}"
