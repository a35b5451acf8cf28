"""Leases, guards and drains under a seeded simulation with a fake clock. A failing seed is in the test's message."""

import pytest

from waypost.promise import violations

from .world import World


def act(world: World) -> None:
    """Do something, or mostly nothing, to the world."""
    chance = world.chance
    roll = chance.random()
    alive = [task for task in world.tasks if task.registered and not task.ended and task.leaves_at is None]
    if roll < 0.06 and len(world.tasks) < 24:
        world.start_task()
    elif roll < 0.075 and alive:
        task = chance.choice(alive)
        task.crashed = task.ever_late = True
    elif roll < 0.09 and alive:
        task = chance.choice(alive)
        task.ever_late = True
        task.pauses_until = world.now + chance.uniform(1, 60)
    elif roll < 0.11 and alive:
        task = chance.choice([each for each in alive if not each.crashed] or alive)
        if not task.crashed and world.deregister(task.key):
            task.leaves_at = world.now + 2.5
    elif roll < 0.13 and alive:
        world.drain(chance.choice(alive).key, chance.choice((None, 5.0, 20.0)))
    elif roll < 0.145 and world.drained_until:
        world.undrain(chance.choice(list(world.drained_until)))
    elif roll < 0.15 and alive:
        task = chance.choice(alive)  # an operator's word
        if world.deregister(task.key):
            task.lost_its_registry = True
    else:
        break_something(world, roll)


def break_something(world: World, roll: float) -> None:
    chance = world.chance
    if 0.15 <= roll < 0.155:
        world.paused_until = world.now + chance.uniform(2.5, 60)
    elif 0.155 <= roll < 0.16:
        world.away_until = world.now + chance.uniform(1, 60)
    elif 0.16 <= roll < 0.165 and world.now >= max(world.paused_until, world.away_until):
        world.restart_registry()


def run(seed: int) -> list[str]:
    """Return what went wrong in one life of the world."""
    world = World(seed)
    for _ in range(240):
        world.step(act)
        world.check()
    # Nothing happens any more: what is gone must leave, whoever is there must be answered.
    for task in world.tasks:
        task.pauses_until = 0.0
    for step in range(2_400):
        for key in list(world.drained_until):
            world.undrain(key)
        world.step()
        if step > 160 and not any(task.crashed and world.catalog.get_instance(*task.key) for task in world.tasks):
            break
    world.check()
    for task in world.tasks:
        instance = world.catalog.get_instance(*task.key)
        gone = task.crashed or task.ended or task.lost_its_registry
        if gone and instance is not None:
            world.problems.append(f"{task.key} is a ghost")
        if not gone and (instance is None or not instance.well or instance.drain is not None):
            world.problems.append(f"{task.key} lives, and the registry says {instance}")
    return world.problems + violations(world.events)


@pytest.mark.parametrize("block", range(6))
def test_no_request_is_lost_and_no_ghost_is_left(block: int) -> None:
    run_block(block)


@pytest.mark.soak
@pytest.mark.parametrize("block", range(6, 200))
def test_no_request_is_lost_and_no_ghost_is_left_in_many_lives(block: int) -> None:
    run_block(block)


def run_block(block: int) -> None:
    """Run a hundred seeds."""
    for seed in range(block * 100, block * 100 + 100):
        problems = run(seed)
        assert not problems, f"seed {seed}: {problems[:5]}"
