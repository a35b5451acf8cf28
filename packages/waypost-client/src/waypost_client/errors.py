"""What can go wrong when a service is looked for.

* LookupFailed
  x NoAddress: DNS says that there is nobody
  x ResolutionFailed: DNS says nothing
* NameserverUnknown: there is nobody to ask
"""

__all__ = ["LookupFailed", "NameserverUnknown", "NoAddress", "ResolutionFailed"]


class LookupFailed(Exception):
    """A name did not lead to an address."""

    name: str


class NoAddress(LookupFailed):
    """DNS answered: the name does not exist, or it has no address at present."""

    def __init__(self, name: str, exists: bool) -> None:
        super().__init__(name, exists)
        self.name, self.exists = name, exists

    def __str__(self) -> str:
        return f"{self.name} has no address at present" if self.exists else f"{self.name} does not exist"


class ResolutionFailed(LookupFailed):
    """No nameserver gave a usable answer, and none is remembered."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name, self.reason = name, reason

    def __str__(self) -> str:
        return f"{self.name} could not be resolved: {self.reason}"


class NameserverUnknown(Exception):
    """It is not known which nameserver to ask, or what is given as one is none."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(source, reason)
        self.source, self.reason = source, reason  # source: the variable or file that should have said it

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"
