"""Runs tasks as ECS would: starts, checks, registers, drains, deregisters and stops them, each on its own address.

It speaks to the registry by Cloud Map's API alone.
"""
