"""Nothing of AWS's model of the API is forgotten: what the tests of this folder have seen is all that it has."""

from pathlib import Path

import pytest

from .coverage import MODEL, Coverage, everything

EXCUSED = {
    "CreatePrivateDnsNamespace ! NamespaceAlreadyExists": "as on AWS, the operation fails instead",
    "CreateService ! ResourceLimitExceeded": "AWS documents no quota of services",
    "RegisterInstance ! ResourceInUse": "an instance holds nothing",
    "DeregisterInstance ! ResourceInUse": "the same",
    "UpdateHttpNamespace ! ResourceInUse": "an update is in nothing's way",
    "UpdatePrivateDnsNamespace ! ResourceInUse": "the same",
    "UpdatePublicDnsNamespace ! ResourceInUse": "the same",
}


def test_every_operation_member_and_error_of_the_model_was_seen(
    request: pytest.FixtureRequest, coverage: Coverage, local_only: None
) -> None:
    folder = Path(__file__).parent
    run = {Path(item.path).name for item in request.session.items if Path(item.path).parent == folder}
    if run != {path.name for path in folder.glob("test_*.py")}:
        pytest.skip("tells something only after all tests of the folder")
    assert len(MODEL.operation_names) >= 30
    missing = sorted(everything() - coverage.seen - set(EXCUSED))
    assert missing == []
    assert not coverage.seen & set(EXCUSED)  # what has been seen needs no excuse
