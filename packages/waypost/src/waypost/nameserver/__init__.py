"""The catalog as DNS zones: a pure core from query octets to reply octets, and the process that serves it.

The core, from the inside out:

- ``names``: domain names in wire form
- ``records``: what an owner name answers with
- ``zones``: which zone a name is in, and what is at it
- ``edns``, ``queries``: what is asked
- ``answers``: sections of a reply as octets
- ``answerer``: query in, reply out

The edge: ``datagrams`` (UDP), ``connections`` (TCP), ``front`` (what both do around the core), ``feed_follower`` (the
registry's changes) and ``__main__`` (the process).
"""
