"""Where a task's AWS credentials come from: its environment, or the address that ECS gives each task."""

import json
import os
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

import httpx2

from waypost_client.signing import Credentials

__all__ = ["CredentialSource"]

ECS_ADDRESS: Final = "http://169.254.170.2"
EARLY_S: Final = 300.0  # before they end, new ones are fetched


class CredentialSource:
    """Gives the credentials that are good now; None: there are none, and requests go unsigned."""

    def __init__(self, environment: Mapping[str, str] = os.environ, *, wall: Callable[[], float] = time.time) -> None:
        self._environment, self._wall = environment, wall
        self._fetched: Credentials | None = None
        self._good_until = float("-inf")

    async def current(self, http: httpx2.AsyncClient) -> Credentials | None:
        """Return the credentials for the next request.

        :raises httpx2.HTTPError: ECS does not give them.
        """
        given = self._environment
        key, secret = given.get("AWS_ACCESS_KEY_ID"), given.get("AWS_SECRET_ACCESS_KEY")
        if key and secret:
            return Credentials(access_key=key, secret_key=secret, token=given.get("AWS_SESSION_TOKEN") or None)
        url = given.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
        if relative := given.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
            url = ECS_ADDRESS + relative
        if not url:
            return None
        if self._wall() > self._good_until - EARLY_S:
            token = given.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
            reply = await http.get(url, headers={"Authorization": token} if token else {})
            reply.raise_for_status()
            answer = json.loads(reply.content)
            self._fetched = Credentials(
                access_key=answer["AccessKeyId"], secret_key=answer["SecretAccessKey"], token=answer.get("Token")
            )
            self._good_until = datetime.fromisoformat(answer["Expiration"]).timestamp()
        return self._fetched
