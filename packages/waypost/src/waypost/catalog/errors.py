"""What the rules refuse, each with the facts that a caller needs to mend it.

CatalogError
├── InvalidInput
├── NamespaceNotFound, ServiceNotFound, InstanceNotFound, OperationNotFound
├── CustomHealthNotFound, ResourceNotFoundException
├── NamespaceAlreadyExists, ServiceAlreadyExists
├── ResourceInUse, DuplicateRequest
└── ResourceLimitExceeded, TooManyTagsException, ServiceAttributesLimitExceededException

The names are those of Cloud Map's API, so that its edge maps them by class name.
"""

__all__ = [
    "CatalogError",
    "CustomHealthNotFound",
    "DuplicateRequest",
    "InstanceNotFound",
    "InvalidInput",
    "NamespaceAlreadyExists",
    "NamespaceNotFound",
    "OperationNotFound",
    "ResourceInUse",
    "ResourceLimitExceeded",
    "ResourceNotFoundException",
    "ServiceAlreadyExists",
    "ServiceAttributesLimitExceededException",
    "ServiceNotFound",
    "TooManyTagsException",
]


class CatalogError(Exception):
    """A command or a look-up was refused; nothing has changed."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidInput(CatalogError):
    """A value breaks a limit or a rule. The message names it and says what would be right."""


class NamespaceNotFound(CatalogError):
    """No namespace has this id, ARN or name."""


class ServiceNotFound(CatalogError):
    """No service has this id, ARN or name."""


class InstanceNotFound(CatalogError):
    """The service holds no instance of this id."""


class OperationNotFound(CatalogError):
    """No operation that is still kept has this id."""


class CustomHealthNotFound(CatalogError):
    """The service was not created with HealthCheckCustomConfig."""


class NamespaceAlreadyExists(CatalogError):
    """Another request has created a namespace of this name; the fields describe that one."""

    def __init__(self, message: str, namespace_id: str, creator_request_id: str | None) -> None:
        super().__init__(message)
        self.args = (message, namespace_id, creator_request_id)
        self.namespace_id, self.creator_request_id = namespace_id, creator_request_id


class ServiceAlreadyExists(CatalogError):
    """Another request has created a service of this name; the fields describe that one."""

    def __init__(self, message: str, service_id: str, service_arn: str, creator_request_id: str | None) -> None:
        super().__init__(message)
        self.args = (message, service_id, service_arn, creator_request_id)
        self.service_id, self.service_arn, self.creator_request_id = service_id, service_arn, creator_request_id


class ResourceInUse(CatalogError):
    """What is to be deleted still holds something; the message says what."""


class DuplicateRequest(CatalogError):
    """Another operation on the same resource is under way, and has been for a while; the field is its id."""

    def __init__(self, message: str, operation_id: str) -> None:
        super().__init__(message)
        self.args = (message, operation_id)
        self.operation_id = operation_id


class ResourceLimitExceeded(CatalogError):
    """A quota is used up."""


class ResourceNotFoundException(CatalogError):
    """No namespace or service has this ARN."""


class TooManyTagsException(CatalogError):
    """A resource would have more than 50 tags; the field is its ARN, or its name before it has one."""

    def __init__(self, message: str, resource_name: str) -> None:
        super().__init__(message)
        self.args = (message, resource_name)
        self.resource_name = resource_name


class ServiceAttributesLimitExceededException(CatalogError):
    """A service would have more than 30 attributes."""
