"""When a service begins to answer the sick, it is told, once."""

from waypost.catalog.changes import InstanceRegistered, LeaseLapsed, LeaseRenewed
from waypost.health.guarded import GuardedServices

from .world import World


def test_the_beginning_and_the_end_are_told_once() -> None:
    world = World(1)
    world.start_task()
    world.step()
    (task,) = world.tasks
    guarded = GuardedServices()
    guarded.load(world.catalog)
    assert guarded.look(world.catalog) == []

    for change, expected in ((LeaseLapsed(*task.key), [True]), (LeaseRenewed(*task.key), [False])):
        world.catalog.apply(world.catalog.revision + 1, change)
        guarded.follow(change)
        assert [turned for _, turned in guarded.look(world.catalog)] == expected
        assert guarded.look(world.catalog) == []


def test_many_changes_cost_one_look() -> None:
    world = World(1)
    world.start_task()
    world.step()
    (task,) = world.tasks
    instance = world.catalog.get_instance(*task.key)
    assert instance is not None
    guarded = GuardedServices()
    for change in (LeaseLapsed(*task.key), InstanceRegistered(instance)):
        world.catalog.apply(world.catalog.revision + 1, change)
        guarded.follow(change)
    assert guarded.look(world.catalog) == []
