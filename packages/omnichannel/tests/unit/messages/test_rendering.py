import pytest

from omnichannel.messages.model import Channel
from omnichannel.messages.rendering import InvalidTemplate, Source, Words, check_source, render, render_source


def test_a_template_says_what_its_variables_say() -> None:
    text = "Hi {{ user.name }}:{% for item in items %} {{ item }}{% if not loop.last %},{% endif %}{% endfor %}\n"
    assert render(text, {"user": {"name": "Ada"}, "items": [1, 2]}, field="body") == "Hi Ada: 1, 2\n"


def test_each_channel_may_say_something_of_its_own() -> None:
    source = Source(
        words=Words(subject="{{ a }}", body="long {{ a }}"),
        variants={Channel.EMAIL: Words(subject="mail {{ a }}", body="{{ a * 2 }}")},
    )
    shown = render_source(source, {"a": 21})
    assert shown.words == Words(subject="21", body="long 21")
    assert shown.variants[Channel.EMAIL] == Words(subject="mail 21", body="42")


@pytest.mark.parametrize(
    "text",
    [
        "{{ missing }}",
        "{{ user.missing }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ user.items.__globals__ }}",
        "{% if",
        "{{ 1 / 0 }}",
        "{{ 'x' * 1000000000 }}",
        "{{ 10 ** 100000000 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '%*d' % (1000000000, 1) }}",
        "{{ 'x'.ljust(1000000000) }}",
        "{{ 'x'.replace('', 'y' ) }}",
        "{{ 'x'|center(1000000000) }}",
        "{{ range(1000000000) }}",
        "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
        "{% for a in user recursive %}{{ loop(user) }}{% endfor %}",
        "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
        "{% include 'other' %}",
        "{% for a in range(9999) %}{{ 'x' }}{{ long }}{% endfor %}",
    ],
)
def test_what_a_template_may_not_do_is_refused_soon(text: str) -> None:
    with pytest.raises(InvalidTemplate) as raised:
        render(text, {"user": {"name": "Ada"}, "long": "y" * 1000}, field="body")
    assert raised.value.field == "body"


def test_numbers_are_still_reckoned_with() -> None:
    assert render("{{ 7 % 3 }} {{ 6 * 7 }}", {}, field="body") == "1 42"


def test_a_template_that_cannot_be_parsed_is_named_with_its_channel_and_line() -> None:
    source = Source(words=Words(subject="s", body="b"), variants={Channel.EMAIL: Words(subject="s", body="\n{% if %}")})
    with pytest.raises(InvalidTemplate, match="line 2") as raised:
        check_source(source)
    assert (raised.value.field, raised.value.channel) == ("body", Channel.EMAIL)
