"""MLflow's basic-auth application with what it leaves open closed: the application that ``mlflow server --app-name medkd-secured`` runs.

MLflow 3.17.2 refuses by itself paths that leave an artefact folder (``..``, absolute, encoded once or more often) and the artefacts of what
a user has no permission for. It takes an experiment's artefact location from whoever creates one, though: ``file:///etc`` lets any user write
into that folder of the server, ``s3://…`` read and write buckets with the server's own key. Here only the server says where artefacts lie.
"""

from __future__ import annotations

import fcntl
import json
import os
from typing import Any

from flask import Response, request
from mlflow.environment_variables import MLFLOW_AUTH_CONFIG_PATH
from mlflow.protos.service_pb2 import CreateExperiment
from mlflow.server import app
from mlflow.server.auth import create_app as create_auth_app
from mlflow.server.handlers import _get_request_message


def create_app() -> Any:
    """Return the application; called once in each worker process."""
    # Workers begin together, and on an empty database each would lay out the tables of users.
    with open(os.fspath(MLFLOW_AUTH_CONFIG_PATH.get()), encoding="utf-8") as config:
        fcntl.flock(config, fcntl.LOCK_EX)
        application = create_auth_app(app)
    app.before_request(refuse_artifact_location)  # after authentication: a stranger is told nothing
    return application


def refuse_artifact_location() -> Response | None:
    """Refuse an experiment whose creator says where its artefacts lie.

    The message is read by MLflow's own parser: what it sees in any spelling, this sees too.
    """
    if request.endpoint != "_create_experiment" or not _get_request_message(CreateExperiment()).artifact_location:
        return None
    sentence = "expected an experiment without an artefact location, got one; leave it out: this server says where artefacts lie"
    body = {"error_code": "INVALID_PARAMETER_VALUE", "message": f"ARTIFACT_LOCATION: {sentence}"}
    return Response(json.dumps(body), status=400, mimetype="application/json")
