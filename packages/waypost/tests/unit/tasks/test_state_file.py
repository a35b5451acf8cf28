"""What a supervisor leaves for the next one."""

from pathlib import Path

from waypost.tasks.state_file import SavedTask, SavedTasks, load_tasks, save_tasks, write_atomically

TASK = SavedTask(
    service="web",
    instance="abc",
    address="127.88.0.1",
    port=8080,
    ttl_s=2,
    stop_grace_s=5.0,
    fingerprint="f",
    registered=True,
    leaving=False,
    pid=12,
    start_ticks=34,
)
SAVED = SavedTasks(boot="this", cursor=7, resting=("127.88.0.2:8080",), resting_ttl_s=2, tasks=(TASK,))


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    save_tasks(tmp_path / "tasks.json", SAVED)
    assert load_tasks(tmp_path / "tasks.json", boot="this") == SAVED


def test_after_a_reboot_only_the_cursor_means_anything(tmp_path: Path) -> None:
    save_tasks(tmp_path / "tasks.json", SAVED)
    assert load_tasks(tmp_path / "tasks.json", boot="next") == SavedTasks(boot="next", cursor=7)


def test_a_file_that_is_not_there_or_not_whole_counts_as_none(tmp_path: Path) -> None:
    path = tmp_path / "tasks.json"
    assert load_tasks(path, boot="this") == SavedTasks(boot="this")
    path.write_text('{"boot": "this", "tas')
    assert load_tasks(path, boot="this") == SavedTasks(boot="this")
    path.write_bytes(b'{"boot": "\xff"}')
    assert load_tasks(path, boot="this") == SavedTasks(boot="this")


def test_a_file_is_replaced_as_a_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]
