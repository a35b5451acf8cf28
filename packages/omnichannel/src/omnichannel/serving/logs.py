"""The log: one JSON object a line on standard error, of our own events and of the libraries' alike.

Events are named ``area.fact`` and carry their facts as fields. ``request_id`` and ``service`` come from the context.
The values of variables are left out of tracebacks: keys and passwords are among them.
"""

import logging
import sys

from omnichannel.structured_log import structlog

__all__ = ["configure_log"]


def configure_log(*, service: str, instance: str) -> None:
    """Send everything that this process logs to standard error as JSON, marked with who speaks."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder(allow=())],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.ExceptionRenderer(
                    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
                ),
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for talkative in ("alembic", "uvicorn"):  # at every start and stop, of what service.listening says already
        logging.getLogger(talkative).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service, **({"instance": instance} if instance else {}))
