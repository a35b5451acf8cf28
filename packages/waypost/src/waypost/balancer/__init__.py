"""The load balancer: an HTTP reverse proxy to the healthy instances of one service, which it learns from Cloud Map.

Inside out: ``requests`` and ``headers`` hold the rules of HTTP that need no socket; ``body`` and ``connection`` speak
HTTP/1.1 with a client; ``targets`` follows the registry; ``forwarding`` carries one exchange; ``__main__`` builds the
process.
"""
