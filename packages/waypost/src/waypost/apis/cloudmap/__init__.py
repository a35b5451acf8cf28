"""AWS Cloud Map's API, version 2017-03-14: ``POST /`` with AWS JSON 1.1, operation by operation.

Source: the Cloud Map API reference, and the service model that botocore ships, which this package reads to check what
comes in.
"""
