"""The dashboard at ``/ui``: pages of the registry's own, live over one stream of events.

Everything is served by the registry's process from its memory: the page needs nothing from elsewhere, and asks nothing
twice. What it shows is bounded, and kept up change by change, so that pages that are open do not slow DNS or the API.
"""
