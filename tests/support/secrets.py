"""Secrets for tests, in the Secrets Manager of a deployment."""

from __future__ import annotations

from tests.support.deployment import Deployment


def put_secret(deployment: Deployment, name: str, text: str) -> str:
    """The whole name, as a job gives it. The server is shared: what another test left is overwritten."""
    client, whole = deployment.client("secretsmanager"), f"sluiceway/{name}"
    try:
        client.create_secret(Name=whole, SecretString=text)
    except client.exceptions.ResourceExistsException:
        client.put_secret_value(SecretId=whole, SecretString=text)
    return whole
