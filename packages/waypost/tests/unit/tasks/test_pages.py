"""What the supervisor shows to Prometheus."""

from prometheus_client.parser import text_string_to_metric_families

from waypost.tasks.pages import platform_metrics
from waypost.tasks.requests import TaskRow


def row(service: str, state: str) -> TaskRow:
    return TaskRow(service=service, instance="i", address="127.88.0.1:8080", pid=1, state=state, restarts=0)


def test_tasks_are_counted_by_service_and_state() -> None:
    tasks = [row("web", "running"), row("web", "running"), row("web", "crash loop"), row("api", "starting")]
    text = platform_metrics(tasks, {"web": 3, "api": 1}, {"web": 7, "api": 1}, {"registry": 5, "prober": None})
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples == {
        ("waypost_tasks", "api", "starting"): 1,
        ("waypost_tasks", "web", "crash_loop"): 1,
        ("waypost_tasks", "web", "running"): 2,
        ("waypost_tasks_wanted", "api"): 1,
        ("waypost_tasks_wanted", "web"): 3,
        ("waypost_task_starts_total", "api"): 1,
        ("waypost_task_starts_total", "web"): 7,
        ("waypost_part_up", "prober"): 0,
        ("waypost_part_up", "registry"): 1,
    }


def test_a_platform_without_tasks_shows_every_name() -> None:
    families = {family.name for family in text_string_to_metric_families(platform_metrics([], {}, {}, {}))}
    assert families == {"waypost_tasks", "waypost_tasks_wanted", "waypost_task_starts", "waypost_part_up"}
