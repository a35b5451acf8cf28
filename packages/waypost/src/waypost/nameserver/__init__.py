"""The catalog as DNS zones: a pure core from query octets to reply octets, and the processes that serve it.

The core, from the inside out:

- ``names``: domain names in wire form
- ``clients``: what an asker sees and may
- ``records``: what an owner name answers with
- ``zones``: which zone a name is in, and what is at it
- ``edns``, ``queries``: what is asked
- ``sections``, ``answers``, ``messages``: a reply as octets
- ``transfers``: a whole zone as messages
- ``freshness``, ``limiter``: what answers are worth, and how many one network gets
- ``answerer``: query in, reply out

The edge: ``front`` (what both transports do around the core), ``datagrams`` (UDP), ``connections`` (TCP),
``feed_follower`` (the registry's changes), ``notify`` (secondaries), ``forwarding`` (other names), ``counters`` and
``pages`` (metrics), ``settings`` and ``__main__`` (the process).
"""
